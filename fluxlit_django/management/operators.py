"""The one running fluxlit_run that a command means."""

from __future__ import annotations

from django.core.management.base import CommandError

from fluxlit_django.supervisor.operator_line import Operator


def choose(operators: list[Operator]) -> Operator:
    """The only one.

    Raises:
        CommandError: there is none (exit code 2), or there are several (1).
    """
    if not operators:
        msg = (
            "No fluxlit_run of this project and this user is running. "
            "If it has another FLUXLIT_RUNTIME_DIR than this command, give both the same."
        )
        raise CommandError(msg, returncode=2)
    if len(operators) > 1:
        ports = ", ".join(str(operator.identity.port) for operator in operators)
        msg = (
            f"Several are running, on the ports {ports}. Name one, for example --port {ports.split(',')[0]}."
        )
        raise CommandError(msg)
    return operators[0]

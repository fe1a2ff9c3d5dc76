"""`manage.py fluxlit_reload`: replace every process of a running fluxlit_run, one at a time."""

from __future__ import annotations

import contextlib
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fluxlit_django.conf import get_config
from fluxlit_django.exceptions import FluxLitError
from fluxlit_django.supervisor.operator_line import Operator, find_operators, own_project


class Command(BaseCommand):
    """Find the one supervisor, ask it, wait."""

    help = "Replace every process of a running fluxlit_run, one at a time: for new code and settings."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The one option."""
        parser.add_argument("--port", type=int, help="Port of the fluxlit_run that is meant.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Return once everything is replaced.

        Raises:
            CommandError: no fluxlit_run is there, several are, or a new process does not serve.
        """
        with contextlib.ExitStack() as cleanup:
            found = list(find_operators(get_config().runtime_dir, cleanup))
            operator = choose([each for each in found if is_meant(each, options["port"])])
            try:
                problem = operator.reload()
            except FluxLitError as exc:
                raise CommandError(str(exc)) from exc
        if problem:
            msg = f"Not everything is replaced; what is not goes on as it was.\n{problem}"
            raise CommandError(msg)
        self.stdout.write("Every process is replaced; sessions that were open go on until they end.")


def is_meant(operator: Operator, port: int | None) -> bool:
    """Whether this supervisor runs our project, on the port that was given, if any."""
    identity = operator.identity
    return identity.project == own_project() and port in {None, identity.port}


def choose(operators: list[Operator]) -> Operator:
    """The only one.

    Raises:
        CommandError: there is none, or there are several.
    """
    if not operators:
        msg = (
            "No fluxlit_run of this project and this user is running. "
            "If it has another FLUXLIT_RUNTIME_DIR than this command, give both the same."
        )
        raise CommandError(msg)
    if len(operators) > 1:
        ports = ", ".join(str(operator.identity.port) for operator in operators)
        msg = (
            f"Several are running, on the ports {ports}. Name one, for example --port {ports.split(',')[0]}."
        )
        raise CommandError(msg)
    return operators[0]

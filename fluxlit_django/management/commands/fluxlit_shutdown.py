"""`manage.py fluxlit_shutdown`: stop a running fluxlit_run in order, and wait for its end."""

from __future__ import annotations

import contextlib
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fluxlit_django.conf import Config, load_config
from fluxlit_django.exceptions import FluxLitError
from fluxlit_django.management.operators import choose
from fluxlit_django.supervisor.operator_line import find_own
from fluxlit_django.supervisor.supervisor import Patience

_KILLED_S = 10.0  # what the end of killed processes may take
_SPARE_S = 5.0


class Command(BaseCommand):
    """Find the one supervisor, ask it, wait."""

    help = (
        "Stop a running fluxlit_run of this project: what runs may end, as at SIGTERM. The exit code is 0 "
        "when it has stopped, 1 when it still runs after --wait, 2 when none is running."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Which one, and how long."""
        parser.add_argument("--port", type=int, help="port of the fluxlit_run that is meant")
        parser.add_argument("--wait", type=float, help="seconds to wait (default: what a stop may take)")
        parser.add_argument("--force", action="store_true", help="have it kill what still runs after --wait")

    def handle(self, *args: Any, **options: Any) -> None:
        """Return once it has stopped.

        Raises:
            CommandError: none is there, several are, or it goes on.
        """
        config, _ = load_config()  # what is wrong with it must not keep anybody from stopping
        wait_s = longest_stop_s(config) if options["wait"] is None else options["wait"]
        with contextlib.ExitStack() as cleanup:
            operator = choose(find_own(config.runtime_dir, options["port"], cleanup))
            pid = operator.identity.pid
            try:
                is_stopped = operator.stop(wait_s)
                if not is_stopped and options["force"]:
                    operator.hurry()
                    is_stopped = operator.wait_stopped(_KILLED_S)
            except FluxLitError as exc:
                raise CommandError(str(exc)) from exc
        if not is_stopped:
            msg = f"fluxlit_run (process {pid}) still runs after {wait_s:g} s. Wait on, or use --force."
            raise CommandError(msg)
        self.stdout.write(f"fluxlit_run (process {pid}) has stopped.")


def longest_stop_s(config: Config) -> float:
    """What a stop may take by the settings."""
    patience = Patience(drain_s=config.graceful_shutdown_timeout_s)
    return patience.drain_s + patience.margin_s + patience.sidecar_stop_s + _SPARE_S

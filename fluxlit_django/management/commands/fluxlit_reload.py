"""`manage.py fluxlit_reload`: replace every process of a running fluxlit_run, one at a time."""

from __future__ import annotations

import contextlib
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fluxlit_django.conf import get_config
from fluxlit_django.exceptions import FluxLitError
from fluxlit_django.management.operators import choose
from fluxlit_django.supervisor.operator_line import find_own


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
            operator = choose(find_own(get_config().runtime_dir, options["port"], cleanup))
            try:
                problem = operator.reload()
            except FluxLitError as exc:
                raise CommandError(str(exc)) from exc
        if problem:
            msg = f"Not everything is replaced; what is not goes on as it was.\n{problem}"
            raise CommandError(msg)
        self.stdout.write("Every process is replaced; sessions that were open go on until they end.")

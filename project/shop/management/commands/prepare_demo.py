"""`manage.py prepare_demo`: what the demo needs before it can be served."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """All of it in one process: most of what each command takes is the start of Python and Django."""

    help = "Makes the database, the demo's data and the administrator; what is there already stays."
    requires_system_checks = ()  # `fluxlit_run` comes next, and makes its own

    def handle(self, *args: Any, **options: Any) -> None:
        shared = {name: options.get(name) for name in ("stdout", "stderr", "no_color", "force_color")}
        call_command("migrate", verbosity=0, **shared)
        call_command("load_demo", **shared)
        call_command("demo_admin", **shared)

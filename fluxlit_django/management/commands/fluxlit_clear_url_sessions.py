"""`manage.py fluxlit_clear_url_sessions`: delete the URL sessions whose time is over."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from fluxlit_django.management import database
from fluxlit_django.url_session import DatabaseSessionStore


class Command(BaseCommand):
    """Deletes the URL sessions in the database whose time is over; run it daily."""

    help = "Delete the URL sessions in the database whose time is over."

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete them and say how many.

        Raises:
            CommandError: the database refuses.
        """
        with database.needed():
            count = DatabaseSessionStore().clear_expired()
        self.stdout.write(f"Deleted {count} URL session{'' if count == 1 else 's'}.")

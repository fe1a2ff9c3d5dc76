"""`manage.py fluxlit_prune`: delete the starts and events that are old."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fluxlit_django.conf import get_config
from fluxlit_django.history import retention
from fluxlit_django.management import database


class Command(BaseCommand):
    """Deletes what the admin shows of the past and nobody needs any more."""

    help = (
        "Delete the settings snapshots and events that are older than some days; the newest snapshot stays."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The one option."""
        parser.add_argument(
            "--days", type=int, help="Days for which rows are kept. Default: FLUXLIT_HISTORY_DAYS."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete them and say how many.

        Raises:
            CommandError: the number of days is not over 0, or the database refuses.
        """
        config = get_config()
        days = config.history_days if options["days"] is None else options["days"]
        if days <= 0 and options["days"] is not None:
            msg = f"--days is {days}. Use a number over 0."
            raise CommandError(msg)
        with database.needed():
            starts, events = retention.prune(days=days, events=config.history_events)
        self.stdout.write(f"Deleted {_count(starts, 'settings snapshot')} and {_count(events, 'event')}.")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"

"""`manage.py demo_admin`: the administrator of the demo."""

from __future__ import annotations

import os
import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser

PASSWORD_VARIABLE = "FLUXLIT_DEMO_PASSWORD"


class Command(BaseCommand):
    """Make the administrator once; an existing one keeps the password unless the variable sets it."""

    help = (
        "Makes an administrator with a random password, printed once. "
        f"{PASSWORD_VARIABLE} in the environment sets the password instead, for an existing one too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", default="admin", help="name to sign in with (default: admin)")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        chosen = os.environ.get(PASSWORD_VARIABLE, "")
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            password = chosen or secrets.token_urlsafe(12)
            get_user_model().objects.create_superuser(username, f"{username}@fernhill.example", password)
            shown = f"the password from {PASSWORD_VARIABLE}" if chosen else f"password {password}"
            self.stdout.write(self.style.SUCCESS(f"Made the administrator: user {username}, {shown}"))
        elif chosen:
            user.set_password(chosen)
            user.save(update_fields=["password"])
            self.stdout.write(f"The administrator {username} has the password from {PASSWORD_VARIABLE}.")
        else:
            self.stdout.write(
                f"The administrator {username} keeps the password; {PASSWORD_VARIABLE} sets one."
            )

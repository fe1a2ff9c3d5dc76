"""`manage.py fluxlit_audit`: attacks on a running site, with a report."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from fluxlit_django import audit, conf
from fluxlit_django.audit import Row
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.redaction.names import redact
from fluxlit_django.visitor import Target, User, parse_site

_MARKS = {"held": "ok", "skipped": "--", "broken": "BROKEN", "failed": "FAILED"}


class Command(BaseCommand):
    """Attack a running site, and say what got through."""

    help = (
        "Attacks a running site of yours and reports what got through. The exit code is 0 when every attack "
        "that was tried was fended off, else 1. Give one account for the attacks of a signed-in viewer, and "
        "two for those of one viewer on another. Not for a site that others depend on at the moment."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        config, _ = conf.load_config()
        own = config.public_base_url or (
            f"http://{config.gateway_host}:{config.gateway_port}{config.root_path}"
        )
        parser.add_argument("--url", default=own, help=f"public URL of the site (default: {redact(own)})")
        parser.add_argument("--app", default="", help="name of the app to attack (default: the first)")
        parser.add_argument("--user", action="append", default=[], help="account to use; may be given twice")
        parser.add_argument("--password", action="append", default=[], help="password of each --user")
        parser.add_argument("--patience", type=float, default=90.0, help="seconds to wait for slow attacks")
        parser.add_argument("--insecure", action="store_true", help="don't check the TLS certificate")
        parser.add_argument("--json", action="store_true", help="write the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if len(options["user"]) != len(options["password"]):
            msg = "Give one --password for each --user."
            raise CommandError(msg)
        rows = asyncio.run(audit.run(self._target(options)))
        self.stdout.write(as_json(rows) if options["json"] else as_text(rows))
        if any(row.verdict in {"broken", "failed"} for row in rows):
            sys.exit(1)

    def _target(self, options: dict[str, Any]) -> Target:
        config = conf.get_config()
        try:
            url = parse_site(options["url"])
            app = config.get_app(options["app"]) if options["app"] else config.apps[0]
        except (ConfigError, ValueError) as exc:
            raise CommandError(str(exc)) from exc
        pairs = zip(options["user"], options["password"], strict=True)
        return Target(
            url=url,
            mount=app.mount,
            users=tuple(User(name, password, find_id(name)) for name, password in pairs),
            patience_s=options["patience"],
            verify=not options["insecure"],
        )


def find_id(name: str) -> str:
    """The primary key of an account in this project's database, "" when it has none of that name."""
    model = get_user_model()
    try:
        return str(model._default_manager.get_by_natural_key(name).pk)
    except (model.DoesNotExist, DatabaseError):
        return ""


def as_text(rows: list[Row]) -> str:
    """The report for people."""
    lines = [
        f"{_MARKS[row.verdict]:>6}  {row.title}{f': {row.detail}' if row.detail else ''}" for row in rows
    ]
    count = {verdict: sum(row.verdict == verdict for row in rows) for verdict in _MARKS}
    summary = ", ".join(f"{number} {verdict}" for verdict, number in count.items() if number)
    return "\n".join([*lines, f"{len(rows)} attacks: {summary}."])


def as_json(rows: list[Row]) -> str:
    """The report for programs."""
    ok = not any(row.verdict in {"broken", "failed"} for row in rows)
    return json.dumps({"ok": ok, "attacks": [dataclasses.asdict(row) for row in rows]}, indent=2)

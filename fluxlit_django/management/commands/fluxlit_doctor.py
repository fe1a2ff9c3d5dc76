"""`manage.py fluxlit_doctor`: what is wrong on this machine, or with a running site as browsers see it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fluxlit_django import conf, diagnostics
from fluxlit_django.conf import Config
from fluxlit_django.doctor import local, remote
from fluxlit_django.doctor.report import Row, Status, overall
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.redaction.names import redact
from fluxlit_django.visitor import Target, User, parse_site


class Command(BaseCommand):
    """Ask, and say what to change."""

    help = (
        "Examine this machine: configuration, address, database, cache, channel layer, and whether each "
        "app's sidecar starts. With --url, ask a running site through its public address instead, and say "
        "which hop breaks what. The exit code is 1 for a FAIL, and with --strict for a WARN too; else 0."
    )
    requires_system_checks = ()  # it shows what they find itself

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON, on one line")
        parser.add_argument("--strict", action="store_true", help="let every WARN be a FAIL")
        parser.add_argument("--warnings-only", action="store_true", help="exit with 0 whatever is found")
        parser.add_argument("--verbose", action="store_true", help="add the settings and versions")
        parser.add_argument("--quick", action="store_true", help="start no sidecar to see whether it serves")
        parser.add_argument("--url", default="", help="public URL of a running site to ask instead")
        parser.add_argument("--app", default="", help="name of the app to ask for (default: the first)")
        parser.add_argument("--user", default="", help="account to sign in with, for an app that needs it")
        parser.add_argument("--password", default="", help="its password")
        parser.add_argument("--insecure", action="store_true", help="don't check the TLS certificate")
        parser.add_argument(
            "--quiet-time",
            type=float,
            default=0.0,
            help="seconds an open socket is left alone (default: a ping and 5)",
        )
        parser.add_argument(
            "--large-uploads",
            action="store_true",
            help="send the largest upload even when it is above 16 MiB",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        config, _ = conf.load_config()
        found: Iterable[Row]
        if options["url"]:
            found = asyncio.run(ask(visit(config, options)))
        else:
            found = local.examine(config, start_sidecars=not options["quick"])
        rows = []
        for row in judged(found, strict=options["strict"]):
            rows.append(row)
            if not options["json"]:
                self._show(row)
        status = overall(rows)
        is_failure = status is Status.FAIL and not options["warnings_only"]
        if status is Status.FAIL and options["warnings_only"]:
            status = Status.WARN
        if options["json"]:
            self.stdout.write(json.dumps(as_object(config, rows, status, options), ensure_ascii=False))
        else:
            self._show_end(config, rows, options)
        if is_failure:
            sys.exit(1)

    def _show(self, row: Row) -> None:
        style = {
            Status.FAIL: self.style.ERROR,
            Status.WARN: self.style.WARNING,
            Status.PASS: self.style.SUCCESS,
        }
        mark = style.get(row.status, str)(f"{row.status.value:4}")
        self.stdout.write(f"{mark}  {row.name}: {row.detail}")
        if row.remedy:
            self.stdout.write(f"      → {row.remedy}")
        self.stdout.flush()

    def _show_end(self, config: Config, rows: list[Row], options: dict[str, Any]) -> None:
        if options["verbose"]:
            self.stdout.write("")
            for entry in conf.explain(config):
                self.stdout.write(f"{entry.name} = {entry.value!r} ({entry.source})")
        count = {status: sum(row.status is status for row in rows) for status in Status}
        said = ", ".join(f"{number} {status.value}" for status, number in count.items() if number)
        self.stdout.write(f"{len(rows)} checks: {said}.")


def judged(rows: Iterable[Row], *, strict: bool) -> Iterator[Row]:
    """The rows; under `strict` a warning is a failure."""
    for row in rows:
        is_failure = strict and row.status is Status.WARN
        yield dataclasses.replace(row, status=Status.FAIL) if is_failure else row


async def ask(visit: remote.Visit) -> list[Row]:
    """All rows of a visit."""
    return [row async for row in remote.examine(visit)]


def visit(config: Config, options: dict[str, Any]) -> remote.Visit:
    """What the options ask for.

    Raises:
        CommandError: there is no such app, or the URL is none.
    """
    try:
        url = parse_site(options["url"])
        app = config.get_app(options["app"]) if options["app"] else config.apps[0]
    except (ConfigError, ValueError) as exc:
        raise CommandError(str(exc)) from exc
    users = (User(options["user"], options["password"]),) if options["user"] else ()
    return remote.Visit(
        target=Target(url, mount=app.mount, users=users, verify=not options["insecure"]),
        api_path=config.api_mount_path,
        cap=config.gateway_max_proxy_request_body_bytes,
        ping_s=config.gateway_ws_ping_interval_s,
        quiet_s=options["quiet_time"] or config.gateway_ws_ping_interval_s + 5,
        sends_large_uploads=options["large_uploads"],
    )


def as_object(config: Config, rows: list[Row], status: Status, options: dict[str, Any]) -> dict[str, Any]:
    """The report for programs."""
    found: dict[str, Any] = {
        "status": status.value.lower(),
        "target": redact(options["url"]) or (config.apps[0].name if config.apps else ""),
        "warnings_only": options["warnings_only"],
        "checks": [{**dataclasses.asdict(row), "status": row.status.value} for row in rows],
    }
    if options["verbose"]:
        found["verbose"] = {
            "versions": diagnostics.versions(),
            "apps": [redact(dataclasses.asdict(app)) for app in config.apps],
            "settings_redacted": {entry.name: entry.value for entry in conf.explain(config)},
            "sources": {entry.name: entry.source for entry in conf.explain(config)},
        }
    return found

"""`manage.py fluxlit_config`: every setting as it counts, where it came from, and what is wrong."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from fluxlit_django import client, conf, diagnostics
from fluxlit_django.conf import AppConfig, Config, Effective, Problem
from fluxlit_django.redaction.names import redact


class Command(BaseCommand):
    """Show, and judge."""

    help = (
        "Show every setting, secrets left out, with its value and where that came from, and what is wrong. "
        "The exit code is 1 for an error, and with --strict for a warning too; else 0. "
        "-v 2 adds what each setting is for."
    )
    requires_system_checks = ()  # it shows what they find itself

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument("--strict", action="store_true", help="let warnings fail too")

    def handle(self, *args: Any, **options: Any) -> None:
        config, _ = conf.load_config()
        problems = diagnostics.find()
        if options["json"]:
            self.stdout.write(json.dumps(as_object(config, problems), indent=2, ensure_ascii=False))
        else:
            for line in self._lines(config, problems, has_help=options["verbosity"] > 1):
                self.stdout.write(line)
        if any(problem.is_error or options["strict"] for problem in problems):
            sys.exit(1)

    def _lines(self, config: Config, problems: list[Problem], *, has_help: bool) -> Iterator[str]:
        yield ", ".join(f"{name} {version}" for name, version in diagnostics.versions().items())
        yield f"Listens on {config.gateway_host}, port {config.gateway_port}"
        yield f"Pages call the API at {api_base(config)}"
        for app in config.apps:
            yield f"App {app.name} at {config.root_path}{app.url_path}, for {app.access}: {target(app)}"
        yield ""
        entries = conf.explain(config)
        width = max(len(entry.name) for entry in entries)
        for entry in entries:
            line = f"{entry.name:{width}}  {shown(entry)}"
            yield line if entry.source == "default" else f"{line}  ({said_by(entry)})"
            if has_help:
                yield f"    {entry.help} Default: {shown(dataclasses.replace(entry, value=entry.default))}."
        yield ""
        for problem in problems:
            style = self.style.ERROR if problem.is_error else self.style.WARNING
            yield style(f"[{level(problem).upper()}] {problem.code}: {problem.message}")
            if problem.hint:
                yield f"    {problem.hint}"
        count = len(problems)
        yield f"{count or 'No'} problem{'' if count == 1 else 's'} found."


def as_object(config: Config, problems: list[Problem]) -> dict[str, Any]:
    """The report for programs."""
    entries = conf.explain(config)
    return {
        "target": target(config.apps[0]) if config.apps else "",
        "binding": {
            "host": config.gateway_host,
            "port": config.gateway_port,
            "log_level": config.log_level,
        },
        "computed": {
            "public_mount_path": config.root_path,
            "derived_internal_api_base": api_base(dataclasses.replace(config, internal_api_base="")),
            "ambient_internal_api_base": redact(config.internal_api_base) or None,
        },
        "versions": diagnostics.versions(),
        "apps": [redact(dataclasses.asdict(app)) for app in config.apps],
        "settings": {entry.name.removeprefix("FLUXLIT_").lower(): entry.value for entry in entries},
        "fields": [dataclasses.asdict(entry) for entry in entries],
        "warnings": [problem_as_object(problem) for problem in problems],
    }


def problem_as_object(problem: Problem) -> dict[str, str]:
    """One problem for programs."""
    return {
        "level": level(problem),
        "code": problem.code,
        "id": problem.id,
        "message": problem.message,
        "hint": problem.hint,
        "doc": f"docs/diagnostics.md#{conf.CODES[problem.id]}",
    }


def level(problem: Problem) -> str:
    """`error` or `warn`."""
    return "error" if problem.is_error else "warn"


def target(app: AppConfig) -> str:
    """What an app runs."""
    return str(redact(app.upstream)) or app.script or app.target or "fluxlit_django:site"


def api_base(config: Config) -> str:
    """The URL by which pages call the API, without a password."""
    return str(redact(client.default_base_url(config)))


def said_by(entry: Effective) -> str:
    """Where a value came from, for people."""
    return f"{entry.source}: {entry.place}" if entry.place else entry.source


def shown(entry: Effective) -> str:
    """A value as one would write it into the environment."""
    value = entry.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} {entry.unit}".rstrip() if text else "none"

"""`manage.py fluxlit_pages manifest|validate`: what pages there are, and what is wrong with them."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fluxlit_django import conf
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.pages import discovery
from fluxlit_django.pages.registry import FluxLit
from fluxlit_django.redaction.names import redact


class Command(BaseCommand):
    """Prints the manifest of an app's pages, or checks them."""

    help = "Print the manifest of an app's pages, or check them."

    def add_arguments(self, parser: CommandParser) -> None:
        """`manifest` or `validate`, and whose pages."""
        parser.add_argument("action", choices=["manifest", "validate"], help="what to do")
        parser.add_argument("--app", default=conf.DEFAULT_APP, help="name of the app; default: %(default)s")
        parser.add_argument("--target", help="module:attribute of an app, instead of a configured one")
        parser.add_argument("--json", action="store_true", help="let validate print JSON")
        parser.add_argument(
            "--strict", action="store_true", help="let validate also refuse parameters that nothing fills"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print, or fail with exit code 1 when there is a problem.

        Raises:
            CommandError: the app cannot be loaded, or a page has a problem.
        """
        try:
            app = find_app(options["app"], options["target"])
        except (ConfigError, ImportError, ValueError, TypeError) as exc:
            self._fail([f"{type(exc).__name__}: {exc}"], as_json=options["json"])
            return
        if options["action"] == "manifest":
            self.stdout.write(json.dumps(app.build_page_manifest(), indent=2, ensure_ascii=False))
            return
        strict = options["strict"] or conf.get_config().strict_page_signatures
        problems = app.problems(strict=strict)
        if problems:
            self._fail(problems, as_json=options["json"])
        elif options["json"]:
            self.stdout.write(json.dumps({"pages": len(app.page_records), "problems": []}))

    def _fail(self, problems: list[str], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"problems": problems}))
        msg = "\n".join(problems)
        raise CommandError(msg)


def find_app(name: str, target: str | None) -> FluxLit:
    """The app of this target, else of the configured app of this name.

    Raises:
        ConfigError: there is none, or it runs a script.
    """
    if target:
        return discovery.load_app(conf.parse_target(target))
    app = conf.get_config().get_app(name)
    if app.script or app.upstream:
        msg = f"The app {name!r} has no pages of its own: it runs {app.script or redact(app.upstream)}."
        raise ConfigError(msg)
    return discovery.load_app(app.target)

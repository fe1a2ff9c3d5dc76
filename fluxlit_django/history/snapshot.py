"""What a start is remembered by: the effective settings, versions, command line and diagnostics, no secrets.

A snapshot is compared with the one before it, fact by fact; see `models.SettingsSnapshot`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core import checks

from fluxlit_django.conf import DEFAULT_APP, AppConfig, Config, explain, setting_fields
from fluxlit_django.diagnostics import versions
from fluxlit_django.models import SettingsSnapshot
from fluxlit_django.redaction.names import redact, redact_arguments
from fluxlit_django.redaction.values import Scrubber, secrets_of

_OUR_IDS = "fluxlit."


@dataclasses.dataclass(frozen=True)
class Difference:
    """One fact of a start, and what it was at the start before."""

    name: str
    before: str
    now: str
    source_before: str = ""
    source: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether the fact, or where it came from, is another."""
        return (self.before, self.source_before) != (self.now, self.source)


def scrubber_of(config: Config) -> Scrubber:
    """Knows the secrets of this process: of Django's settings, of ours and of the environment."""
    ours = {
        field.name: str(getattr(config, field.name)) for field in setting_fields() if field.metadata["secret"]
    }
    # Behind `settings`, which warns of the names that Django gives up (6.1: EMAIL_…), used or not.
    behind = settings._wrapped  # type: ignore[misc]
    django_settings = {name: getattr(behind, name) for name in dir(behind) if name.isupper()}
    urls = {field.name: getattr(config, field.name) for field in setting_fields()}
    found = [*ours.values(), *secrets_of(django_settings), *secrets_of(os.environ), *secrets_of(urls)]
    return Scrubber(found, parameters=[config.url_session_query_param])


def take_snapshot(config: Config, arguments: Sequence[str], scrubber: Scrubber) -> SettingsSnapshot:
    """The snapshot of a start, which is not saved yet.

    Args:
        arguments: the command line.
    """
    diagnostics = [*_diagnostics(scrubber)]
    return SettingsSnapshot(
        host=socket.gethostname(),
        pid=os.getpid(),
        command_line=scrubber.scrub(shlex.join(redact_arguments(arguments))),
        versions=dict(versions()),
        settings=scrubber.scrub_all({**_settings(config), **_apps(config)}),
        diagnostics=diagnostics,
        problems=len(diagnostics),
    )


def save_snapshot(snapshot: SettingsSnapshot) -> None:
    """Save a snapshot, and how much of it differs from the newest that there is."""
    previous = SettingsSnapshot.objects.first()
    if previous is not None:
        snapshot.changes = sum(difference.is_changed for difference in differences(previous, snapshot))
    snapshot.save()


def previous_of(snapshot: SettingsSnapshot) -> SettingsSnapshot | None:
    """The start before this one, on whatever host."""
    return SettingsSnapshot.objects.filter(pk__lt=snapshot.pk).first()


def differences(previous: SettingsSnapshot | None, snapshot: SettingsSnapshot) -> list[Difference]:
    """Every fact of a start with what it was before; facts that are gone come last.

    The host and the number of the process are no facts of the configuration, and are not compared.
    """
    now, before = dict(_facts(snapshot)), dict(_facts(previous)) if previous is not None else {}
    names = [*now, *(name for name in before if name not in now)]
    found = []
    for name in names:
        (text_before, source_before), (text, source) = before.get(name, ("", "")), now.get(name, ("", ""))
        found.append(Difference(name, text_before, text, source_before, source))
    return found


def shown(value: Any) -> str:
    """A value of a setting as text for people."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else str(value)


def _facts(snapshot: SettingsSnapshot) -> Iterator[tuple[str, tuple[str, str]]]:
    for name, entry in snapshot.settings.items():
        place = entry.get("place", "")
        yield name, (shown(entry["value"]), f"{entry['source']}{f' ({place})' if place else ''}")
    for name, number in snapshot.versions.items():
        yield f"version of {name}", (str(number), "")
    yield "command line", (snapshot.command_line, "")


def _settings(config: Config) -> dict[str, dict[str, Any]]:
    return {
        setting.name: {"value": setting.value, "source": setting.source, "place": setting.place}
        for setting in explain(config)
    }


def _apps(config: Config) -> dict[str, dict[str, Any]]:
    """The apps beside the default one, which the flat settings describe."""
    defaults = {field.name: field.default for field in dataclasses.fields(AppConfig)}
    return {
        f"APPS.{app.name}.{name}": {
            "value": redact(value),
            "source": "default" if value == defaults[name] else "settings",
        }
        for app in config.apps
        if app.name != DEFAULT_APP
        for name, value in dataclasses.asdict(app).items()
        if name != "name"
    }


def _diagnostics(scrubber: Scrubber) -> Iterator[dict[str, str]]:
    """What the system checks say of our settings. Those of pages are left out: they import the pages."""
    for message in checks.run_checks(tags=["fluxlit"]):
        if message.id is not None and message.id.startswith(_OUR_IDS) and not message.is_silenced():
            yield {
                "id": message.id,
                "level": "error" if message.is_serious() else "warning",
                "message": scrubber.scrub(message.msg),
                "hint": scrubber.scrub(message.hint or ""),
            }

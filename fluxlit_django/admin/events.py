"""What happened to processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import admin
from django.utils.html import format_html

from fluxlit_django.admin.export import as_csv, as_json
from fluxlit_django.admin.record import MOST_LISTED, AppFilter, RecordAdmin
from fluxlit_django.models import SidecarEvent

BAD = frozenset({"exited", "breaker", "reload_failed"})
GOOD = frozenset({"ready", "restarted", "serving", "replaced"})


def tone(kind: str) -> str:
    """Whether a kind of event is `bad`, `good` or `plain`; the pages colour it so."""
    return "bad" if kind in BAD else "good" if kind in GOOD else "plain"


def _flatten(event: SidecarEvent) -> Iterator[Sequence[Any]]:
    yield (
        event.at.isoformat(),
        event.kind,
        event.child,
        event.app,
        event.code,
        event.restarts,
        event.host,
        event.last_lines,
    )


@admin.register(SidecarEvent)
class SidecarEventAdmin(RecordAdmin):
    """Starts, ends and replacements of processes, the newest first."""

    list_display = ("moment", "event", "process", "code", "last_line")
    list_filter = ("at", "kind", AppFilter)
    search_fields = ("child__exact",)
    search_help_text = (
        f"Name of a process, such as default-0. At most the newest {MOST_LISTED:,} events are listed."
    )
    fields = ("moment", "event", "process", "app", "code", "restarts", "host", "printed")
    readonly_fields = fields
    actions = (
        as_json("fluxlit-events"),
        as_csv(
            "fluxlit-events",
            ("at", "event", "process", "app", "code", "restarts", "host", "last_lines"),
            _flatten,
        ),
    )

    @admin.display(description="event")
    def event(self, event: SidecarEvent) -> str:
        """The kind, coloured by how bad it is."""
        return format_html('<span class="fluxlit-{}">{}</span>', tone(event.kind), event.get_kind_display())

    @admin.display(description="process")
    def process(self, event: SidecarEvent) -> str:
        """The process, or the supervisor."""
        return event.child or "supervisor"

    @admin.display(description="last line")
    def last_line(self, event: SidecarEvent) -> str:
        """What it printed last, shortened."""
        line = event.last_lines.rstrip().rpartition("\n")[2]
        return f"{line[:79]}…" if len(line) > 80 else line

    @admin.display(description="last lines")
    def printed(self, event: SidecarEvent) -> str:
        """What it printed last."""
        return (
            format_html('<pre class="fluxlit-lines">{}</pre>', event.last_lines) if event.last_lines else "–"
        )

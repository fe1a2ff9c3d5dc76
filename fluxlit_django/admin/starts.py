"""Starts of `fluxlit_run`: with which settings, and what is another than at the start before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from fluxlit_django.admin.export import as_csv, as_json
from fluxlit_django.admin.record import RecordAdmin
from fluxlit_django.history import snapshot
from fluxlit_django.models import SettingsSnapshot


class ChangedFilter(admin.SimpleListFilter):
    """By whether anything was another than at the start before."""

    title = "settings"
    parameter_name = "settings"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Changed or not."""
        return [("changed", "changed"), ("same", "as before")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The starts that are asked for."""
        if self.value() == "changed":
            return queryset.filter(changes__gt=0)
        return queryset.filter(changes=0) if self.value() == "same" else queryset


class ProblemFilter(admin.SimpleListFilter):
    """By whether the system checks found something."""

    title = "diagnostics"
    parameter_name = "diagnostics"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Some or none."""
        return [("some", "with problems"), ("none", "without")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The starts that are asked for."""
        if self.value() == "some":
            return queryset.filter(problems__gt=0)
        return queryset.filter(problems=0) if self.value() == "none" else queryset


def _flatten(start: SettingsSnapshot) -> Iterator[Sequence[Any]]:
    for fact in snapshot.differences(None, start):
        yield start.at.isoformat(), start.host, fact.name, fact.now, fact.source


@admin.register(SettingsSnapshot)
class SettingsSnapshotAdmin(RecordAdmin):
    """One row for each start."""

    change_form_template = "admin/fluxlit/settingssnapshot/change_form.html"
    list_display = ("moment", "host", "version", "changed", "diagnostics_found", "command_line")
    list_filter = ("at", ChangedFilter, ProblemFilter)
    search_fields = ("host__exact",)
    search_help_text = "Name of a host"
    fields = readonly_fields = ("moment", "host", "pid", "command_line")
    actions = (
        as_json("fluxlit-starts"),
        as_csv("fluxlit-starts", ("at", "host", "name", "value", "source"), _flatten),
    )

    @admin.display(description="version")
    def version(self, start: SettingsSnapshot) -> str:
        """Ours."""
        return str(start.versions.get("fluxlit-django", ""))

    @admin.display(description="changes")
    def changed(self, start: SettingsSnapshot) -> str:
        """How much is another than at the start before."""
        return "first start" if start.changes is None else str(start.changes or "–")

    @admin.display(description="diagnostics")
    def diagnostics_found(self, start: SettingsSnapshot) -> str:
        """What the checks found, by id."""
        return ", ".join(sorted({each["id"] for each in start.diagnostics})) or "–"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of one start, with its differences to the one before."""
        start = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if start is not None and self.has_view_permission(request, start):
            previous = snapshot.previous_of(start)
            facts = snapshot.differences(previous, start)
            context |= {
                "previous": previous,
                "changed": [fact for fact in facts if previous is not None and fact.is_changed],
                "unchanged": [fact for fact in facts if previous is None or not fact.is_changed],
                "title": f"Settings at the start of {start}",
            }
        return super().change_view(request, object_id, form_url, context)

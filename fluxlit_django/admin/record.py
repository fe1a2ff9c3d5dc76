"""What the pages of records have in common: nobody changes them, and many of them are as fast as few."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import cached_property

from fluxlit_django.conf import get_config

MOST_LISTED = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to a limit, and lists no more than that: the newest rows, since lists begin with them."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, or the limit when there are more."""
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_LISTED].count())


class RecordAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that the package writes and people read."""

    actions_selection_counter = True
    list_per_page = 50
    list_max_show_all = 0
    paginator = BoundedPaginator
    show_facets = admin.ShowFacets.NEVER  # they count everything
    show_full_result_count = False
    sortable_by: ClassVar[list[str] | tuple[str, ...] | None] = ()  # the order that an index has

    class Media:
        css: ClassVar = {"all": ("fluxlit/admin.css",)}

    @admin.display(description="time", ordering="at")
    def moment(self, row: Any) -> str:
        """When a row was written, to the second: Django's usual format ends with minutes."""
        return clock(row.at)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: `fluxlit_prune` deletes what is old."""
        return False


def clock(at: datetime, format: str = "j M Y H:i:s") -> str:
    """A time in the site's time zone."""
    return date_format(timezone.localtime(at), format)


class AppFilter(admin.SimpleListFilter):
    """By app; the choices come from the settings, not from the rows."""

    title = "app"
    parameter_name = "app"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The apps of the settings."""
        return [(app.name, app.name) for app in get_config().apps]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The rows of the app that is asked for."""
        return queryset if self.value() is None else queryset.filter(app=self.value())

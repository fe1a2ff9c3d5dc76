"""What this package shows in Django's admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from fluxlit_django.models import URLSession


@admin.register(URLSession)
class URLSessionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """URL sessions: what they hold stays hidden; deleting one revokes it."""

    list_display = ("__str__", "expires_at", "names")
    fields = readonly_fields = ("digest", "expires_at", "names")

    @admin.display(description="keys")
    def names(self, row: URLSession) -> str:
        """Which keys are kept."""
        return ", ".join(sorted(row.data))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Pages make them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Pages change them."""
        return False

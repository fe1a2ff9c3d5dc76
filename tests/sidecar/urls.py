"""No URLs: sidecars route none."""

from __future__ import annotations

urlpatterns: list[object] = []

"""Keeps the tables of starts and events small."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from fluxlit_django.models import SettingsSnapshot, SidecarEvent

_BATCH = 1000  # rows of one statement, so that no lock is held for long


def prune(*, days: int = 0, events: int = 0) -> tuple[int, int]:
    """Delete what is old: how many starts and how many events that were. The newest start always stays.

    Args:
        days: for which rows are kept; 0 for ever.
        events: the most events that are kept; 0 for any number.
    """
    starts_deleted = events_deleted = 0
    if days:
        before = timezone.now() - timedelta(days=days)
        newest = SettingsSnapshot.objects.values_list("pk", flat=True)[:1]
        starts_deleted += _delete(SettingsSnapshot.objects.filter(at__lt=before).exclude(pk__in=list(newest)))
        events_deleted += _delete(SidecarEvent.objects.filter(at__lt=before))
    if events:
        last_to_go = SidecarEvent.objects.values_list("pk", flat=True)[events : events + 1].first()
        if last_to_go is not None:
            events_deleted += _delete(SidecarEvent.objects.filter(pk__lte=last_to_go))
    return starts_deleted, events_deleted


def _delete(rows: QuerySet[Any]) -> int:
    """Delete rows in batches: how many.

    Without Django's collector, which would load every row because signals are listened to; nothing refers to
    these rows.
    """
    count = 0
    while batch := list(rows.order_by("pk").values_list("pk", flat=True)[:_BATCH]):
        rows.model._default_manager.filter(pk__in=batch)._raw_delete(rows.db)
        count += len(batch)
    return count

"""`manage.py fluxlit_prune`."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from fluxlit_django.models import SettingsSnapshot, SidecarEvent


def prune(*arguments):
    stream = io.StringIO()
    call_command("fluxlit_prune", *arguments, stdout=stream)
    return stream.getvalue()


def add_event(days_ago):
    at = timezone.now() - timedelta(days=days_ago)
    return SidecarEvent.objects.create(kind="ready", host="box", at=at)


def add_start(days_ago):
    at = timezone.now() - timedelta(days=days_ago)
    return SettingsSnapshot.objects.create(host="box", pid=1, command_line="", at=at)


@pytest.mark.django_db
def test_prune__days():
    """What is older goes; the newest start stays however old it is."""
    add_start(50)
    newest = add_start(40)
    add_event(31)
    young = add_event(29)

    printed = prune("--days", "30")

    assert "Deleted 1 settings snapshot and 1 event.\n" == printed
    assert [newest] == list(SettingsSnapshot.objects.all())
    assert [young] == list(SidecarEvent.objects.all())


@pytest.mark.django_db
def test_prune__settings(settings):
    """Without an option, the settings say what stays: by age and by number."""
    settings.FLUXLIT = {"HISTORY_DAYS": 10, "HISTORY_EVENTS": 2}
    for days_ago in (11, 5, 4, 3):
        add_event(days_ago)

    printed = prune()

    assert "Deleted 0 settings snapshots and 2 events.\n" == printed
    assert 2 == SidecarEvent.objects.count()


@pytest.mark.django_db
def test_prune__in_batches():
    """More rows than one statement takes go too."""
    at = timezone.now() - timedelta(days=2)
    SidecarEvent.objects.bulk_create(SidecarEvent(kind="ready", host="box", at=at) for _ in range(2500))

    printed = prune("--days", "1")

    assert "Deleted 0 settings snapshots and 2500 events.\n" == printed


@pytest.mark.django_db
def test_prune__nonsense():
    """No number of days deletes what is of the future."""
    with pytest.raises(CommandError, match=r"--days is 0\. Use a number over 0"):
        prune("--days", "0")

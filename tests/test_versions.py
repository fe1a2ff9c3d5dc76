"""Versions of models."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.test import override_settings

from fluxlit_django import versions
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.versions import model_version, queryset_key, touch


@pytest.fixture(autouse=True)
def watched(db):
    """Groups are watched."""
    with override_settings(FLUXLIT={"WATCHED_MODELS": ["auth.Group"]}):
        versions.connect()
        yield
        for signal, kind in ((post_save, "save"), (post_delete, "delete")):
            signal.disconnect(sender="auth.group", dispatch_uid=f"fluxlit.auth.group.{kind}")


def test_model_version__changes_with_a_row() -> None:
    """A save, a change and a delete each make another version; nothing else does."""
    seen = [model_version(Group)]
    group = Group.objects.create(name="Desk")
    seen.append(model_version(Group))
    group.name = "Counter"
    group.save()
    seen.append(model_version(Group.objects.all()))
    group.delete()
    seen.append(model_version(Group))
    User.objects.create_user("ann")

    assert 4 == len(set(seen))
    assert seen[-1] == model_version(Group)


def test_model_version__taken_back() -> None:
    """A rolled-back change is none."""
    before = model_version(Group)

    with transaction.atomic():
        Group.objects.create(name="Desk")
        transaction.set_rollback(True)

    assert before == model_version(Group)


def test_model_version__not_watched() -> None:
    """A model that is not watched is named, with the setting."""
    with pytest.raises(
        ConfigError, match=r"auth.User are not counted. Add it to FLUXLIT\['WATCHED_MODELS'\]"
    ):
        model_version(User)


def test_touch__after_a_bulk_method() -> None:
    """What sends no signal is counted by hand."""
    Group.objects.bulk_create([Group(name="a")])
    before = model_version(Group)

    touch(Group)

    assert before != model_version(Group)


def test_queryset_key__query_and_version() -> None:
    """Another filter is another key, and so is a change; the same is the same."""
    a, b = Group.objects.filter(name="a"), Group.objects.filter(name="b")
    before = queryset_key(a)

    assert before == queryset_key(Group.objects.filter(name="a"))
    assert before != queryset_key(b)
    Group.objects.create(name="a")
    assert before != queryset_key(a)
    assert queryset_key(Group.objects.filter(pk__in=[])) == queryset_key(Group.objects.filter(pk__in=[]))

"""A viewer, as sidecars see one."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from fluxlit_django.gateway.identity import Viewer


@pytest.mark.django_db
def test_from_user() -> None:
    """All that is told of a user; the groups in one order, so that equal is equal."""
    user = get_user_model().objects.create_user(
        "ada", "ada@example.org", first_name="Ada", last_name="Lovelace", is_staff=True
    )
    user.groups.add(Group.objects.create(name="z"), Group.objects.create(name="a"))

    viewer = Viewer.from_user(user)

    assert Viewer(str(user.pk), "ada", "ada@example.org", "Ada Lovelace", ("a", "z"), True) == viewer


@pytest.mark.django_db
def test_from_user__bare() -> None:
    """A user with a name to sign in and nothing else goes by that name."""
    user = get_user_model().objects.create_user("ada")

    viewer = Viewer.from_user(user)

    assert Viewer(str(user.pk), "ada", "", "ada", (), False) == viewer


def test_headers__cannot_be_broken_by_a_name() -> None:
    """Line breaks and control characters in an account's data make no header of their own."""
    viewer = Viewer("1", "a\r\nX-Fluxlit-User-Is-Staff: true", "e\x00@x", "Zoë\u2028\x7f", ("g\nh",), False)

    told = dict(viewer.headers())

    assert "a  X-Fluxlit-User-Is-Staff: true" == told["x-fluxlit-user-username"]
    assert ("e @x", "Zoë  ", "g h") == (
        told["x-fluxlit-user-email"],
        told["x-fluxlit-user-name"],
        told["x-fluxlit-user-groups"],
    )
    assert "false" == told["x-fluxlit-user-is-staff"]

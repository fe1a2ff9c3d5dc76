"""A viewer, as sidecars see one."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from fluxlit_django.gateway.identity import Viewer, new_session_key


@pytest.mark.django_db
def test_from_user() -> None:
    """All that is told of a user; the groups in one order, so that equal is equal."""
    user = get_user_model().objects.create_user(
        "ada", "ada@example.org", first_name="Ada", last_name="Lovelace", is_staff=True
    )
    user.groups.add(Group.objects.create(name="z"), Group.objects.create(name="a"))

    viewer = Viewer.from_user(user)

    told = (
        ("username", "ada"),
        ("email", "ada@example.org"),
        ("name", "Ada Lovelace"),
        ("groups", "a,z"),
        ("is_staff", "true"),
    )
    assert Viewer(str(user.pk), "ada", told) == viewer


@pytest.mark.django_db
def test_from_user__bare() -> None:
    """A user with a name to sign in and nothing else goes by that name."""
    user = get_user_model().objects.create_user("ada")

    told = dict(Viewer.from_user(user).told)

    assert {"username": "ada", "email": "", "name": "ada", "groups": "", "is_staff": "false"} == told


@pytest.mark.django_db
def test_from_user__as_the_setting_says(settings) -> None:
    """A setting says what is told: less, or attributes and methods of the user model."""
    settings.FLUXLIT = {"USER_FIELDS": "id,is_superuser,get_short_name,last_login"}
    user = get_user_model().objects.create_user("ada", first_name="Ada")

    viewer = Viewer.from_user(user)

    assert (("is_superuser", "false"), ("get_short_name", "Ada"), ("last_login", "")) == viewer.told
    assert ["id", "is-superuser", "get-short-name", "last-login"] == [
        name.removeprefix("x-fluxlit-user-") for name, _ in viewer.headers()
    ]


def test_headers__cannot_be_broken_by_a_name() -> None:
    """Line breaks and control characters in an account's data make no header of their own."""
    told = (
        ("username", "a\r\nX-Fluxlit-User-Is-Staff: true"),
        ("email", "e\x00@x"),
        ("name", "Zoë\u2028\x7f"),
    )
    headers = dict(Viewer("1", "a", told).headers())

    assert {
        "x-fluxlit-user-id": "1",
        "x-fluxlit-user-username": "a  X-Fluxlit-User-Is-Staff: true",
        "x-fluxlit-user-email": "e @x",
        "x-fluxlit-user-name": "Zoë  ",
    } == headers


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ([], None),
        ([b"theme=dark"], None),
        ([b"xsessionid=other; Path=/"], None),
        ([b"sessionid=abc; HttpOnly; Path=/"], "abc"),
        ([b"csrftoken=x", b"sessionid=other; HttpOnly; Path=/"], "other"),
        ([b'sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/'], ""),
        ([b"sessionid="], ""),
    ],
)
def test_new_session_key(cookies, expected):
    """A response gives its browser a session, takes it away, or leaves it alone."""
    assert expected == new_session_key([(b"Set-Cookie", cookie) for cookie in cookies])

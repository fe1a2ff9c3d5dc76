"""Streamlit pages inside Django's."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.template import Context, Template
from django.test import Client, RequestFactory, override_settings

from fluxlit_django import FluxLit
from fluxlit_django.exceptions import ConfigError

office = FluxLit(title="Office")
office.page("/")(lambda st: None)
office.page("/desk", title="The desk", staff_only=True)(lambda st: None)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def apps():
    """The app of this module, the same for everybody, and one that is in no frame."""
    target = f"{__name__}:office"
    apps = {
        "office": {"APP": target},
        "open": {"APP": target, "ACCESS": "public", "MOUNT": "/open"},
        "closed": {"APP": target, "FRAME_ANCESTORS": "none"},
        "portal": {"APP": target, "ACCESS": "public", "FRAME_ANCESTORS": "self,https://portal.example"},
        "theirs": {"APP": target, "ACCESS": "public", "FRAME_ANCESTORS": []},
    }
    with override_settings(FLUXLIT={"APPS": apps}):
        yield


def render(arguments: str, user: Any = None, path: str = "/report/") -> str:
    request: HttpRequest = RequestFactory().get(path)
    request.user = user or AnonymousUser()
    return Template("{% load fluxlit %}{% streamlit " + arguments + " %}").render(
        Context({"request": request})
    )


@pytest.fixture
def staff():
    """Somebody at the desk."""
    return get_user_model().objects.create_user("ann", is_staff=True)


def test_frame__for_who_may(staff: Any) -> None:
    """A frame with its address, title and height, loaded when it comes into view."""
    html = render('"office" page="/desk" height=400 query="a=1&b=x y&b=z"', staff)

    assert 'src="/office/desk?a=1&amp;b=x+y&amp;b=z&amp;embed=true"' in html
    assert 'title="The desk"' in html
    assert 'height="400"' in html
    assert 'loading="lazy"' in html
    assert "fluxlit/embed.js" in html


def test_frame__plain(staff: Any) -> None:
    """Lazy loading and the height by content can be switched off; a title can be given."""
    html = render('"office" lazy=False auto_height=False title="<Desk>"', staff)

    assert "lazy" not in html
    assert "embed.js" not in html
    assert 'title="&lt;Desk&gt;"' in html


def test_message__for_nobody() -> None:
    """An anonymous viewer of an app that needs a sign-in is led there and back."""
    html = render('"office"')

    assert "<iframe" not in html
    assert '<a href="/accounts/login/?next=/report/">Sign in</a>' in html
    assert "?next=/a%26b/%3Fday%3D1%26x%3D2" in render('"office"', path="/a%26b/?day=1&x=2")


def test_message__without_a_login_page() -> None:
    """Where there is nothing to lead to, or back to, the message has no link."""
    assert "Sign in to see" in Template('{% load fluxlit %}{% streamlit "office" %}').render(Context({}))
    with override_settings(LOGIN_URL="no-such-url"):
        assert "<a" not in render('"office"')


def test_message__for_who_may_not() -> None:
    """A page's own rule counts too."""
    html = render('"office" page="desk"', get_user_model().objects.create_user("bob"))

    assert "<iframe" not in html
    assert "You may not see “The desk”." in html
    assert "Sign in" in render('"open" page="desk"')
    assert "<iframe" in render('"open"')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('"nowhere"', "There is no Streamlit app named 'nowhere'"),
        ('"office" page="/nowhere"', "has no page '/nowhere'. It has /, /desk"),
        ('"closed"', "FRAME_ANCESTORS is none"),
    ],
)
def test_mistake__is_named(arguments: str, message: str) -> None:
    """An app, or a page, that there is not is an error for the author."""
    with pytest.raises(ConfigError, match=message):
        render(arguments)


@pytest.mark.parametrize(
    ("path", "frame_options", "policy"),
    [
        ("/open/", "SAMEORIGIN", None),
        ("/portal/", None, "frame-ancestors 'self' https://portal.example"),
        ("/theirs/", "DENY", None),
    ],
)
@pytest.mark.urls("fluxlit_django.urls")
def test_document__says_who_may_frame_it(
    client: Client, path: str, frame_options: str | None, policy: str | None
) -> None:
    """By itself the same origin; else what the app's setting says, or the project's."""
    response = client.get(path)

    assert 200 == response.status_code
    assert (frame_options, policy) == (
        response.headers.get("X-Frame-Options"),
        response.headers.get("Content-Security-Policy"),
    )


def test_report__of_the_demo(client: Client) -> None:
    """The demo's page asks for a sign-in, and shows two frames."""
    with override_settings(FLUXLIT={}):
        assert 302 == client.get("/report/").status_code
        client.force_login(get_user_model().objects.create_user("ann"))
        assert 2 == client.get("/report/").content.decode().count("<iframe")

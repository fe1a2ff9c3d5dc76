"""The document, through Django's own test client."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from fluxlit_django.gateway import affinity, assets


@pytest.fixture(autouse=True)
def site(settings) -> None:
    """Our URLs, and three apps."""
    settings.ROOT_URLCONF = "fluxlit_django.urls"
    settings.TEMPLATES = []
    settings.LOGIN_URL = "/accounts/login/"
    settings.FLUXLIT = {
        "SCRIPT": "page.py",
        "APPS": {
            "open": {"SCRIPT": "page.py", "ACCESS": "public"},
            "staff": {"SCRIPT": "page.py", "ACCESS": "staff"},
        },
    }


@pytest.fixture
def ada(db):
    """A user."""
    return get_user_model().objects.create_user("ada", password="p")


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/open/", 200, None),
        ("/open/page", 200, None),
        ("/open", 302, "/open/"),
        ("/open/page/", 302, "/open/page"),
        ("/open/a%20b/?x=1&y=%20", 302, "/open/a%20b?x=1&y=%20"),
        ("/", 302, "/accounts/login/?next=/"),
        ("/page?a=b", 302, "/accounts/login/?next=/page%3Fa%3Db"),
        ("/staff/", 302, "/accounts/login/?next=/staff/"),
        ("/api/nothing", 404, None),
        ("/open/page/below", 404, None),
        ("/open/page/below/", 404, None),
        ("/page/below", 404, None),
    ],
)
def test_document__anonymous(client: Client, path: str, status: int, location: str | None) -> None:
    """What is public is served, what is not leads to the login; slashes are put right first."""
    response = client.get(path)

    assert (status, location) == (response.status_code, response.headers.get("Location"))


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/page", 200), ("/open/", 200), ("/staff/", 403)])
def test_document__signed_in(client: Client, ada, path: str, status: int) -> None:
    """Who is signed in sees what the access rule allows; the rest is 403, not the login again."""
    client.force_login(ada)

    assert status == client.get(path).status_code


def test_document__staff(client: Client, ada) -> None:
    """The staff's app is for the staff."""
    ada.is_staff = True
    ada.save()
    client.force_login(ada)

    assert 200 == client.get("/staff/").status_code


def test_document__is_streamlits(client: Client) -> None:
    """It is the bundle's document, and no cache keeps it without asking."""
    response = client.get("/open/")

    assert (assets.document(), "no-cache") == (response.content, response.headers["Cache-Control"])


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_document__can_only_be_read(client: Client, method: str) -> None:
    """There is nothing to send to a document."""
    assert 405 == getattr(client, method)("/open/").status_code


def test_document__two_slashes(client: Client) -> None:
    """A path that a browser would take for another site is refused."""
    assert 400 == client.get("/%2Fevil.example/").status_code


def test_affinity__is_given_once(client: Client) -> None:
    """The first document brings the cookie; a browser that has it keeps it."""
    first = client.get("/open/").cookies[affinity.COOKIE_NAME]
    second = client.get("/open/page").cookies

    assert (True, "Lax", "") == (first["httponly"], first["samesite"], first["secure"])
    assert affinity.COOKIE_NAME not in second


def test_affinity__forged_is_replaced(client: Client) -> None:
    """A cookie that we did not sign counts for nothing."""
    client.cookies[affinity.COOKIE_NAME] = "mine:forged"

    assert affinity.COOKIE_NAME in client.get("/open/").cookies


def test_affinity__is_secure_over_https(client: Client) -> None:
    """Over HTTPS the cookie goes over HTTPS only."""
    assert client.get("/open/", secure=True).cookies[affinity.COOKIE_NAME]["secure"]

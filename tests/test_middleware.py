"""Requests of pages, and bodies over the cap, on their way through Django's middleware."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import signing
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path

from fluxlit_django.conf import get_config
from fluxlit_django.trust import viewer_token
from fluxlit_django.trust.viewer_token import Claim


def whoami(request: HttpRequest) -> JsonResponse:
    """Who asks."""
    return JsonResponse({"user": request.user.get_username(), "body": len(request.body)})


async def awhoami(request: HttpRequest) -> JsonResponse:
    """Who asks, from an async view."""
    user = await request.auser()
    return JsonResponse({"user": user.get_username(), "body": len(request.body)})


urlpatterns = [path("whoami", whoami), path("awhoami", awhoami)]

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


@pytest.fixture
def user(db):
    """Somebody with an account."""
    return get_user_model().objects.create_user("ann", password="first")


@pytest.fixture
def browser(user) -> Client:
    """The browser in which they are signed in."""
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def token(user, browser: Client) -> str:
    """What the gateway mints for them."""
    return viewer_token.mint(Claim(str(user.pk), browser.cookies[settings.SESSION_COOKIE_NAME].value))


def ask(token: str, client: Client | None = None, path: str = "/whoami", **options):
    """Send what a page sends: the token alone, with CSRF checks on."""
    client = client or Client(enforce_csrf_checks=True)
    return client.post(path, headers={"Authorization": f"FluxLit-Viewer {token}"}, **options)


@pytest.mark.parametrize("path", ["/whoami", "/awhoami"])
def test_viewer_token__signs_in(token: str, path: str) -> None:
    """The viewer is the request's user, for sync and async views, and no CSRF token is asked for."""
    response = ask(token, path=path)

    assert (200, "ann") == (response.status_code, response.json()["user"])


@pytest.mark.parametrize("path", ["/whoami", "/awhoami"])
def test_viewer_token__under_asgi(token: str, path: str) -> None:
    """The same through Django's async handler."""

    async def post():
        client = AsyncClient(enforce_csrf_checks=True)
        return await client.post(path, headers={"authorization": f"FluxLit-Viewer {token}"})

    response = async_to_sync(post)()

    assert (200, "ann") == (response.status_code, response.json()["user"])


def test_viewer_token__scheme_in_any_case(token: str) -> None:
    """Schemes are case-insensitive (RFC 9110 §11.1)."""
    response = Client().get("/whoami", headers={"Authorization": f"fluxlit-viewer {token}"})

    assert "ann" == response.json()["user"]


def test_viewer_token__wins_over_a_cookie(token: str) -> None:
    """The token decides, not a session cookie that is there as well."""
    other = Client()
    other.force_login(get_user_model().objects.create_user("bob"))

    assert "ann" == ask(token, other).json()["user"]


def test_viewer_token__leaves_no_session(token: str) -> None:
    """The answer sets no cookie: the token signs in for one request."""
    assert settings.SESSION_COOKIE_NAME not in ask(token).cookies


def refused(response, reason: str) -> None:
    assert (401, "FluxLit-Viewer") == (response.status_code, response.headers["WWW-Authenticate"])
    assert reason in response.json()["detail"]


def test_viewer_token__forged(token: str) -> None:
    """A changed token is refused, and the request is not anonymous instead."""
    refused(ask(f"{token}x"), "not genuine")
    refused(ask(""), "not genuine")


def test_viewer_token__expired(token: str, browser: Client) -> None:
    """A token counts for FLUXLIT_VIEWER_TOKEN_TTL_S."""
    ttl = timedelta(seconds=get_config().viewer_token_ttl_s)
    minted_long_ago = age(token, ttl + timedelta(seconds=5))

    refused(ask(minted_long_ago), "too old")


def age(token: str, by: timedelta) -> str:
    """The same claim, signed earlier."""

    class EarlierSigner(signing.TimestampSigner):
        def timestamp(self) -> str:
            return signing.b62_encode(int(time.time() - by.total_seconds()))

    return EarlierSigner(salt=viewer_token.SALT).sign(token.rsplit(":", 2)[0])


def test_viewer_token__other_users_session(token: str, browser: Client) -> None:
    """A user's id with somebody else's session is nobody."""
    key = browser.cookies[settings.SESSION_COOKIE_NAME].value

    refused(ask(viewer_token.mint(Claim("99999", key))), "has ended")


def test_viewer_token__after_logout(token: str, browser: Client) -> None:
    """Signing out ends the token at once."""
    browser.logout()

    refused(ask(token), "has ended")


def test_viewer_token__after_a_password_change(token: str, user) -> None:
    """So does another password."""
    user.set_password("second")
    user.save()

    refused(ask(token), "has ended")


def test_viewer_token__inactive_user(token: str, user) -> None:
    """So does closing the account."""
    user.is_active = False
    user.save()

    refused(ask(token), "has ended")


@override_settings(CSRF_FAILURE_VIEW="django.views.csrf.csrf_failure")
def test_csrf__without_a_token(browser: Client) -> None:
    """A session cookie alone is no exemption."""
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies

    assert 403 == strict.post("/whoami").status_code


@override_settings(CSRF_FAILURE_VIEW="django.views.csrf.csrf_failure")
def test_csrf__with_another_scheme(browser: Client) -> None:
    """Nor is an Authorization header of another kind."""
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies

    assert 403 == strict.post("/whoami", headers={"Authorization": "Bearer x"}).status_code


@override_settings(FLUXLIT={"MAX_REQUEST_BODY_BYTES": 10})
def test_upload_cap__at_and_over(browser: Client) -> None:
    """A body of just the cap passes; one byte more is 413 before the view."""
    at = browser.post("/whoami", b"x" * 10, content_type="application/octet-stream")
    over = browser.post("/whoami", b"x" * 11, content_type="application/octet-stream")

    assert (200, 10) == (at.status_code, at.json()["body"])
    assert 413 == over.status_code
    assert "10 bytes (FLUXLIT_MAX_REQUEST_BODY_BYTES)" in over.content.decode()


@override_settings(FLUXLIT={"MAX_REQUEST_BODY_BYTES": 0})
def test_upload_cap__off(browser: Client) -> None:
    """0 is no limit."""
    response = browser.post("/whoami", b"x" * 5000, content_type="application/octet-stream")

    assert 200 == response.status_code

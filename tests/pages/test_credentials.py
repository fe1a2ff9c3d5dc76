"""The token that a session's client sends."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client, override_settings

from fluxlit_django.pages import credentials
from fluxlit_django.pages.credentials import ViewerCredentials
from fluxlit_django.trust import viewer_token
from fluxlit_django.trust.viewer_token import Claim
from tests.test_middleware import age, timedelta


@pytest.fixture
def browser(db) -> Client:
    """Somebody who is signed in."""
    client = Client()
    client.force_login(get_user_model().objects.create_user("ann"))
    return client


@pytest.fixture
def token(browser: Client) -> str:
    """The token of their handshake."""
    return viewer_token.mint(
        Claim(browser.session["_auth_user_id"], browser.cookies[settings.SESSION_COOKIE_NAME].value)
    )


def sent(given: str | None) -> str | None:
    return ViewerCredentials(lambda: given).headers().get("Authorization")


def test_headers__anonymous() -> None:
    """Nobody has no token."""
    assert None is sent(None)


def test_headers__young(token: str) -> None:
    """A young token goes as it came, and no database is asked."""
    assert f"FluxLit-Viewer {token}" == sent(token)


def test_headers__past_half_of_its_life(token: str) -> None:
    """An older one is replaced by one that is accepted for its whole life."""
    old = age(token, timedelta(seconds=200))

    renewed = (sent(old) or "").removeprefix("FluxLit-Viewer ")

    assert renewed != old
    assert viewer_token.read(token, max_age=None) == viewer_token.read(renewed, max_age=timedelta(seconds=30))


def test_headers__after_the_session(token: str, browser: Client) -> None:
    """When the session has ended, the old token goes: the API then says 401."""
    old = age(token, timedelta(seconds=200))
    browser.logout()

    assert f"FluxLit-Viewer {old}" == sent(old)


def test_headers__in_a_thread_of_nobodys(token: str) -> None:
    """A thread without a viewer sends what was sent last."""
    given = iter([token])

    def read() -> str:
        try:
            return next(given)
        except StopIteration:
            raise LookupError from None

    held = ViewerCredentials(read)

    assert held.headers() == held.headers()


def test_headers__of_a_new_handshake(token: str, browser: Client) -> None:
    """A browser that reconnects brings a token of its own."""
    given = [token]
    held = ViewerCredentials(lambda: given[0])
    held.headers()
    given[0] = viewer_token.mint(viewer_token.read(token, max_age=None))

    assert f"FluxLit-Viewer {given[0]}" == held.headers()["Authorization"]


def test_repr__keeps_the_token(token: str) -> None:
    """A log of the object shows no token."""
    held = ViewerCredentials(lambda: token)
    held.headers()

    assert token not in repr(held)
    assert credentials.__doc__


@override_settings(FLUXLIT={"VIEWER_TOKEN_TTL_S": 1000})
def test_headers__half_of_what_is_set(token: str) -> None:
    """Half of FLUXLIT_VIEWER_TOKEN_TTL_S counts."""
    old = age(token, timedelta(seconds=400))

    assert f"FluxLit-Viewer {old}" == sent(old)

"""Viewer tokens: who can make one, what it says, and what ends it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client, override_settings
from hypothesis import given
from hypothesis import strategies as st

from fluxlit_django.trust import viewer_token
from fluxlit_django.trust.viewer_token import Claim, TokenError


@pytest.fixture
def user(db):
    """Somebody with an account."""
    return get_user_model().objects.create_user("ann", password="first")


@pytest.fixture
def claim(user) -> Claim:
    """What the gateway knows of somebody who has signed in."""
    browser = Client()
    browser.force_login(user)
    return Claim(str(user.pk), browser.cookies[settings.SESSION_COOKIE_NAME].value)


def test_read__says_what_was_minted() -> None:
    """A token says who it is for and which session it came from."""
    claim = Claim("7", "abc")

    assert claim == viewer_token.read(viewer_token.mint(claim), max_age=timedelta(minutes=1))


def test_mint__hides_the_session_key() -> None:
    """Who sees a token cannot read the session key in it."""
    assert "secret-session" not in viewer_token.mint(Claim("7", "secret-session"))


def test_read__too_old() -> None:
    """A token is refused when it is older than asked for."""
    token = viewer_token.mint(Claim("7", "abc"))

    with pytest.raises(TokenError, match="too old"):
        viewer_token.read(token, max_age=timedelta(seconds=-1))


@given(st.text(max_size=60))
def test_read__not_ours(text: str) -> None:
    """Whatever is not a token of ours is refused as such, and nothing else is raised."""
    with pytest.raises(TokenError, match="not genuine"):
        viewer_token.read(text, max_age=None)


def test_read__other_key() -> None:
    """A token of another SECRET_KEY is not genuine; one of a fallback key is."""
    token = viewer_token.mint(Claim("7", "abc"))

    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[]), pytest.raises(TokenError):
        viewer_token.read(token, max_age=None)
    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert "7" == viewer_token.read(token, max_age=None).user_id


def test_read__swapped_user() -> None:
    """The user in a token cannot be changed."""
    one, two = viewer_token.mint(Claim("7", "abc")), viewer_token.mint(Claim("8", "xyz"))
    forged = ":".join([two.split(":")[0], *one.split(":")[1:]])

    with pytest.raises(TokenError, match="not genuine"):
        viewer_token.read(forged, max_age=None)


def test_renew__while_the_session_lives(claim: Claim) -> None:
    """A living session's token is renewed, however old it is."""
    assert claim == viewer_token.read(viewer_token.renew(viewer_token.mint(claim)), max_age=timedelta(1))


def test_renew__after_the_session(claim: Claim, user) -> None:
    """A changed password ends the renewals."""
    token = viewer_token.mint(claim)
    user.set_password("second")
    user.save()

    with pytest.raises(TokenError, match="has ended"):
        viewer_token.renew(token)


def test_require_session__other_users(claim: Claim) -> None:
    """A claim that names another user than its session's is refused."""
    with pytest.raises(TokenError, match="has ended"):
        viewer_token.require_session(Claim("99999", claim.session_key))

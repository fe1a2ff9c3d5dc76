"""Django's messages, on their way to a page."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path

from fluxlit_django.trust import sessions


def say(request: HttpRequest) -> HttpResponse:
    """A view that has something to say on the next page."""
    messages.success(request, "Saved.")
    return HttpResponse()


urlpatterns = [path("say", say), path("", include("fluxlit_django.urls"))]

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


@pytest.fixture
def browser() -> Any:
    """Somebody who is signed in."""
    client = Client()
    client.force_login(get_user_model().objects.create_user("ann"))
    return client


def test_messages__wait_for_the_page(browser: Client) -> None:
    """When a page's document is loaded, what waits goes to the page's session, once."""
    browser.get("/say")

    assert 200 == browser.get("/products").status_code

    assert [("success", "Saved.")] == sessions.take_messages(browser.session.session_key or "")
    assert 200 == browser.get("/products").status_code
    assert [] == sessions.take_messages(browser.session.session_key or "")


@override_settings(LOGIN_URL="/login")
def test_messages__of_nobody_stay() -> None:
    """Without a sign-in there is no session to carry them: Django keeps them for its own pages."""
    client = Client()
    client.get("/say")

    assert 302 == client.get("/products").status_code
    assert settings.SESSION_COOKIE_NAME not in client.cookies

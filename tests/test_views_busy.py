"""The page for visitors for whom there is no place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from fluxlit_django.conf import get_config
from fluxlit_django.control import SidecarStatus
from fluxlit_django.gateway.runtime import get_runtime


@pytest.fixture
def full(settings) -> Iterator[None]:
    """A site whose only sidecar has as many sessions as it may have."""
    settings.FLUXLIT = {"ACCESS": "public", "STREAMLIT_MAX_SESSIONS": 2}
    get_config.cache_clear()
    get_runtime.cache_clear()
    sidecars = [SidecarStatus("default-0", "default", "unix:/nowhere", "ready", sessions=2)]
    get_runtime().directory.update(sidecars)
    yield
    get_runtime.cache_clear()
    get_config.cache_clear()


@pytest.fixture
def client(settings) -> Client:
    """A visitor of a project whose only URLs are ours."""
    settings.ROOT_URLCONF = "fluxlit_django.urls"
    settings.MIDDLEWARE = []
    return Client()


def test_busy__every_place_is_taken(full, client) -> None:
    """The page says so with the site's title, asks again by itself, and no cache keeps it."""
    response = client.get("/")

    assert 503 == response.status_code
    assert "10" == response.headers["Retry-After"]
    assert "no-store" == response.headers["Cache-Control"]
    assert b"FluxLit has as many visitors as it can serve well" in response.content
    assert b'http-equiv="refresh" content="10"' in response.content
    assert b"//" not in response.content.replace(b"<!doctype", b"")


def test_busy__without_templates_of_apps(full, client, settings) -> None:
    """A project whose TEMPLATES don't look into apps has the page as well."""
    settings.TEMPLATES = []

    assert b"All places are taken" in client.get("/").content


def test_busy__a_place_is_free(full, client) -> None:
    """One sidecar with room is enough; one that drains, or has failed, has none to give."""
    for state, sessions, expected in (("ready", 1, 200), ("draining", 0, 503), ("failed", 0, 503)):
        other = SidecarStatus("default-1", "default", "unix:/nowhere", state, sessions=sessions)
        first = SidecarStatus("default-0", "default", "unix:/nowhere", "ready", sessions=2)
        get_runtime().directory.update([first, other])

        assert expected == client.get("/").status_code

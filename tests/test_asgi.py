"""The application object: what it serves, and what a project can put in."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from fluxlit_django import asgi
from fluxlit_django.conf import AppConfig, Config
from fluxlit_django.gateway.runtime import Runtime
from tests.gateway.scopes import call, http_scope

CONFIG = Config(apps=(AppConfig(name="open", mount="/open", access="public"),))


@pytest.fixture(autouse=True)
def site(settings) -> None:
    """The small site of the gateway's tests, around the app of this configuration."""
    settings.ROOT_URLCONF = "tests.gateway.urls"
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    settings.FLUXLIT = {"SCRIPT": "page.py", "MOUNT": "/open", "ACCESS": "public"}


@pytest.fixture
def application() -> asgi.ASGIApp:
    """The application, with Django's own handler in it."""
    return asgi.get_asgi_application(runtime=Runtime(CONFIG))


@pytest.mark.parametrize(
    ("target", "status", "location"),
    [
        ("/api/echo/", 200, None),
        ("/api/echo", 301, b"/api/echo/"),
        ("/open/", 200, None),
        ("/open", 302, b"/open/"),
        ("/open/page", 200, None),
        ("/elsewhere", 404, None),
        ("/api/nothing", 404, None),
        ("/open/a%0Ab", 404, None),
    ],
)
async def test_http(application, target: str, status: int, location: bytes | None) -> None:
    """The project's URLs come first, with Django's slash; then the apps' documents; the rest is 404."""
    response = await call(application, http_scope(target))

    assert (status, location) == (response.status, response.header("location"))


@pytest.mark.parametrize("append_slash", [True, False])
async def test_append_slash(settings, application, append_slash: bool) -> None:
    """Without APPEND_SLASH, a path that only lacks its slash is no path of the project."""
    settings.APPEND_SLASH = append_slash

    response = await call(application, http_scope("/api/echo"))

    assert (301 if append_slash else 404) == response.status


async def test_http__of_the_project() -> None:
    """A project can put an application of its own in Django's place."""
    seen = []

    async def own(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    application = asgi.get_asgi_application(http=own, runtime=Runtime(CONFIG))
    for target in ("/x", "/open/page", "/open/_stcore/metrics"):
        await call(application, http_scope(target))

    assert ["/x", "/open/page"] == seen


async def test_websocket__of_the_project() -> None:
    """A project's own WebSockets are served beside Streamlit's."""
    seen = []

    async def own(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    application = asgi.get_asgi_application(websocket=own, runtime=Runtime(CONFIG))
    await call(application, http_scope("/ws/chat") | {"type": "websocket"})

    assert ["/ws/chat"] == seen


async def test_websocket__nobody_serves(application) -> None:
    """A WebSocket that nobody serves is refused."""
    socket = ApplicationCommunicator(application, http_scope("/ws/chat") | {"type": "websocket"})
    await socket.send_input({"type": "websocket.connect"})

    assert "websocket.close" == (await socket.receive_output())["type"]
    await socket.wait()


async def test_lifespan(application) -> None:
    """A server's start and end are answered."""
    lifespan = ApplicationCommunicator(application, {"type": "lifespan", "asgi": {"version": "3.0"}})

    await lifespan.send_input({"type": "lifespan.startup"})
    assert "lifespan.startup.complete" == (await lifespan.receive_output())["type"]
    await lifespan.send_input({"type": "lifespan.shutdown"})
    assert "lifespan.shutdown.complete" == (await lifespan.receive_output())["type"]
    await lifespan.wait()


def test_module__has_nothing_else() -> None:
    """The module builds `application` when it is asked for, and knows no other such name."""
    with pytest.raises(AttributeError, match="applications"):
        asgi.applications  # noqa: B018

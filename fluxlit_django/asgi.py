"""The ASGI application: Django, and the gateway to Streamlit around it.

Point `ASGI_APPLICATION` at `fluxlit_django.asgi.application`, or build your own:

    application = get_asgi_application(websocket=URLRouter([...]))
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import django
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable
from channels.routing import ProtocolTypeRouter
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler

from fluxlit_django import handlers
from fluxlit_django.gateway import assets, observation
from fluxlit_django.gateway.routing import ASGIApp, HttpRouter, WebSocketRouter
from fluxlit_django.gateway.runtime import Runtime, get_runtime


class DjangoHandler(handlers.AsksUsLast, ASGIHandler):
    """Django's own handler, which asks `fluxlit_django.urls` for what the project's URLconf does not know."""

    def create_request(self, scope: Any, body_file: Any) -> tuple[Any, Any]:
        """The request of a scope, which the access log asks for its viewer at the end."""
        request, error_response = super().create_request(scope, body_file)
        observation.of(scope).django_request = request
        return request, error_response


class Lifespan:
    """Answers the server's lifespan messages; at the end it closes the connections to the sidecars."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def __call__(self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one lifespan."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._runtime.close()
        await send({"type": "lifespan.shutdown.complete"})


def get_asgi_application(
    *, http: ASGIApp | None = None, websocket: ASGIApp | None = None, runtime: Runtime | None = None
) -> ASGIApp:
    """Build the application.

    Args:
        http: what serves the paths that are Django's; Django itself when None.
        websocket: what serves the WebSockets that are not Streamlit's.
        runtime: what the requests of this process share; the process's own when None.
    """
    if not apps.ready:  # a second time would configure logging anew, over what has been added since
        django.setup(set_prefix=False)
    import_module("fluxlit_django.urls")  # now, not in the loop: it may import an app's modules
    runtime = runtime or get_runtime()
    compressed = assets.cache_directory(runtime.config.assets_dir)
    frontend = assets.Assets(assets.bundle_directory(), compressed)
    application: ASGIApp = ProtocolTypeRouter(
        {
            "http": HttpRouter(runtime, http or _django(), frontend),
            "websocket": WebSocketRouter(runtime, websocket),
            "lifespan": Lifespan(runtime),
        }
    )
    return application


def _django() -> ASGIApp:
    handler = DjangoHandler()
    if settings.DEBUG and "django.contrib.staticfiles" in settings.INSTALLED_APPS:
        return ASGIStaticFilesHandler(handler)
    return handler


def __getattr__(name: str) -> ASGIApp:
    """Build `application` when it is first asked for, so that importing this module builds nothing."""
    if name != "application":
        raise AttributeError(name)
    globals()[name] = application = get_asgi_application()
    return application

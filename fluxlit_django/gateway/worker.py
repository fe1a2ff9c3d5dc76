"""One gateway worker: the project's ASGI application on an inherited socket, until told to stop."""

from __future__ import annotations

import logging
import os
import socket

from channels.routing import get_default_application
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.urls import get_resolver

from fluxlit_django import control, logs
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.gateway import live, uvicorn_server
from fluxlit_django.gateway.runtime import get_runtime

logger = logging.getLogger(__name__)


def serve() -> None:
    """Serve until SIGTERM or the end of the supervisor. Returns after an orderly stop."""
    config = get_runtime().config
    logs.make_visible(config)
    application = _application()
    # Loaded now, so that a URLconf that cannot be imported is a worker that never started, and so that the
    # first request doesn't wait for its imports.
    _ = get_resolver().url_patterns
    control.end_loading()
    listener = socket.socket(fileno=int(os.environ[control.LISTEN_FD_VARIABLE]))
    with live.reporting(get_runtime()):
        if config.server == "daphne":
            # Imported only when chosen: the import installs Twisted's reactor.
            from fluxlit_django.gateway import daphne_server

            daphne_server.serve(application, get_runtime(), listener)
        else:
            uvicorn_server.serve(application, get_runtime(), listener)


def _application() -> object:
    if not getattr(settings, "ASGI_APPLICATION", None):
        msg = 'ASGI_APPLICATION is not set. Set it to "fluxlit_django.asgi.application" in your settings.'
        raise ConfigError(msg)
    try:
        return get_default_application()
    except ImproperlyConfigured as exc:
        raise ConfigError(str(exc)) from exc

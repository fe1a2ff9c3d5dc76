"""Start Streamlit in this process, on a socket that the supervisor opened."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit
from streamlit.watcher import report_watchdog_availability
from streamlit.web import bootstrap
from streamlit.web.server.app_discovery import discover_asgi_app
from uvicorn.importer import import_from_string

from fluxlit_django import conf, control
from fluxlit_django.conf import AppConfig
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.sidecar import (
    errors,
    identity,
    modules,
    options,
    ownership,
    server,
    streamlit_logs,
    warmup,
)

PAGES_SCRIPT = Path(__file__).with_name("script") / "fluxlit_pages.py"
"""The script of every app that is made of pages; alone in its folder, which Streamlit puts on `sys.path`."""


def serve_app(name: str) -> int:
    """Serve the app of this name until SIGTERM, SIGINT or the end of the supervisor; return the exit code.

    Raises:
        ConfigError: the app, its script, the listening socket or Streamlit's configuration cannot be used.
    """
    config = conf.get_config()
    app = config.get_app(name)
    app.require_script()
    script = Path(app.script) if app.script else PAGES_SCRIPT
    listener = inherited_listener()
    options.configure(config, app, str(script))
    streamlit_logs.follow(config)
    prepare_process(str(script), [] if app.script else [app.name])
    warmup.preimport(config.streamlit_preimport)
    if config.reload:
        modules.protect()
        report_watchdog_availability()
    ownership.keep_sessions()
    owners = ownership.FileOwners()
    owners.install()
    asgi_app = identity.Utf8Identity(build_asgi_app(app, script))
    control.end_loading()
    return server.run(config, ownership.OwnFilesOnly(asgi_app, owners), listener)


def inherited_listener() -> socket.socket:
    """The listening socket that the supervisor handed down.

    Raises:
        ConfigError: there is none; sidecars are started by `manage.py fluxlit_run`.
    """
    number = os.environ.get(control.LISTEN_FD_VARIABLE, "")
    try:
        return socket.socket(fileno=int(number))
    except (ValueError, OSError) as exc:
        msg = f"{control.LISTEN_FD_VARIABLE} is {number!r}: start sidecars with `manage.py fluxlit_run`."
        raise ConfigError(msg) from exc


def prepare_process(script: str, arguments: list[str]) -> None:
    """Give the script the `sys.path` and `sys.argv` that `streamlit run` gives it (Streamlit 1.67)."""
    bootstrap._fix_sys_path(script)
    bootstrap._fix_sys_argv(script, arguments)


def build_asgi_app(app: AppConfig, script: Path) -> Callable[..., Any]:
    """The ASGI application: the script's own `app = st.App(…)` when it has one, as for `streamlit run`."""
    discovered = discover_asgi_app(script)
    if discovered.import_string is not None:
        asgi_app: Callable[..., Any] = import_from_string(discovered.import_string)
        return asgi_app
    if app.script:
        return streamlit.App(script)
    if not errors.handles_errors():
        errors.install()
        return streamlit.App(script)
    return streamlit.App(script, on_script_error=errors.show_error)

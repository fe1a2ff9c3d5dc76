"""Finds the FluxLit instance that an app runs, and imports what registers its pages."""

from __future__ import annotations

import threading
from importlib import import_module

from fluxlit_django import conf
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.pages.registry import FluxLit, site

_lock = threading.Lock()
_is_done = threading.Event()


def load_app(target: str) -> FluxLit:
    """The instance named by `module:attribute`, or `site` with the pages of all installed apps for "".

    Raises:
        ConfigError: the target names no FluxLit instance.
    """
    if not target:
        autodiscover()
        return site
    module_name, _, attribute = target.partition(":")
    app = getattr(import_module(module_name), attribute, None)
    if not isinstance(app, FluxLit):
        found = "nothing" if app is None else f"a {type(app).__name__}"
        msg = f"FLUXLIT_APP is {target!r}, which is {found}. Name a FluxLit instance, such as shop.pages:app."
        raise ConfigError(msg)
    app.import_target = target
    return app


def autodiscover() -> None:
    """Import the `streamlit_pages` module of every installed app, in their order, once per process.

    An error of a module is the caller's; the next call tries again.
    """
    with _lock:
        if _is_done.is_set():
            return
        for name in conf.pages_modules():
            import_module(name)
        _is_done.set()

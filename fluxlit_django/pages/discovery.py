"""Finds the FluxLit instance that an app runs, and imports what registers its pages."""

from __future__ import annotations

import threading
from importlib import import_module
from types import ModuleType

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
    module = _import_named(module_name, target)
    app = getattr(module, attribute, None)
    if not isinstance(app, FluxLit):
        found = f"has no {attribute!r}" if app is None else f"has a {type(app).__name__} of that name"
        raise ConfigError(_wrong_target(target, f"the module {module_name!r} {found}"))
    app.import_target = target
    return app


def _import_named(name: str, target: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise  # the module is there, and what it imports is not
        raise ConfigError(_wrong_target(target, f"there is no module {exc.name!r}")) from None


def _wrong_target(target: str, reason: str) -> str:
    return (
        f"FLUXLIT_APP is {target!r}, and {reason}. "
        "Name a FluxLit instance as module:attribute, such as shop.pages:app."
    )


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

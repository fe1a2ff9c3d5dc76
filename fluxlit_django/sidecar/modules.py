"""Keeps Django's modules away from Streamlit's reloader.

When a watched file changes, Streamlit (1.67) forgets every watched module, so that the next run imports
it anew. A model class that is defined twice is an error in Django, so its modules are never watched:
the supervisor restarts the sidecar for them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from django.apps import apps
from django.conf import settings
from streamlit.watcher.local_sources_watcher import LocalSourcesWatcher


def protect() -> None:
    """Have Streamlit's reloader leave Django's modules alone. Call once, after `django.setup()`."""
    names = django_packages()
    LocalSourcesWatcher._register_watcher = _skipping(  # type: ignore[method-assign]
        LocalSourcesWatcher._register_watcher, names
    )


def django_packages() -> set[str]:
    """Dotted names of the packages whose modules Django loads: this one, every app, settings and URLs."""
    names = {"fluxlit_django", settings.SETTINGS_MODULE, settings.ROOT_URLCONF}
    packages = {name.rpartition(".")[0] or name for name in names}
    return packages | {app.name for app in apps.get_app_configs()}


def belongs_to_django(module: str, packages: Iterable[str]) -> bool:
    """Whether forgetting this module would make Streamlit forget one of these packages, or a part of one.

    A package counts with all it contains and all that contains it, as Streamlit forgets children along.
    """
    return any(f"{module}.".startswith(f"{name}.") or name.startswith(f"{module}.") for name in packages)


def _skipping(register_watcher: Callable[..., None], packages: set[str]) -> Callable[..., None]:
    @functools.wraps(register_watcher)
    def wrapper(self: Any, filepath: str, module_name: str | None, *args: Any, **kwargs: Any) -> None:
        if module_name is None or not belongs_to_django(module_name, packages):
            register_watcher(self, filepath, module_name, *args, **kwargs)

    return wrapper

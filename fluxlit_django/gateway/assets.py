"""Streamlit's own frontend, served from disk: no sidecar is asked, and none needs to be up."""

from __future__ import annotations

import functools
import os
from importlib.util import find_spec
from pathlib import Path

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from starlette.staticfiles import StaticFiles

from fluxlit_django.exceptions import ConfigError

_ONE_YEAR = 365 * 24 * 60 * 60


@functools.cache
def bundle_directory() -> Path:
    """The folder of the installed Streamlit's frontend. Found without importing Streamlit.

    Raises:
        ConfigError: Streamlit is not installed, or has no frontend in it.
    """
    spec = find_spec("streamlit")
    folder = (
        Path(next(iter(spec.submodule_search_locations))) / "static"
        if spec and spec.submodule_search_locations
        else None
    )
    if folder is None or not (folder / "index.html").is_file():
        msg = "Streamlit's frontend is not installed. Install streamlit from PyPI: pip install streamlit."
        raise ConfigError(msg)
    return folder


@functools.cache
def document() -> bytes:
    """Streamlit's `index.html`. All its links are relative to the app's mount."""
    return (bundle_directory() / "index.html").read_bytes()


class Assets:
    """The bundle's files, by their path below an app's mount."""

    def __init__(self, directory: Path) -> None:
        self._files = StaticFiles(directory=directory, follow_symlink=True)
        self._names = frozenset(_names_below(directory))

    def __contains__(self, name: str) -> bool:
        """Whether the bundle has a file of this relative path."""
        return name in self._names

    async def __call__(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable, *, name: str
    ) -> None:
        """Answer with one of the bundle's files; `HEAD`, `Range` and `If-None-Match` are honoured."""
        asgi_scope = dict(scope)
        response = await self._files.get_response(name, asgi_scope)
        response.headers["Cache-Control"] = cache_control(name)
        await response(asgi_scope, receive, send)  # type: ignore[arg-type]


def cache_control(name: str) -> str:
    """As Streamlit 1.67 has it (`_apply_cache_headers`): what is below `static/` never changes."""
    return f"public, immutable, max-age={_ONE_YEAR}" if name.startswith("static/") else "no-cache"


def _names_below(directory: Path) -> list[str]:
    return [
        str(Path(folder, file).relative_to(directory)).replace(os.sep, "/")
        for folder, _, files in os.walk(directory)
        for file in files
        if file != "index.html"
    ]

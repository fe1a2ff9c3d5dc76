"""What a path says: whose it is, without the public prefix and with it.

Django's checks ask here too, so that nothing is imported for it that only a running gateway needs.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.urls import Resolver404, resolve

from fluxlit_django.conf import AppConfig

_OUR_URLS, _DOCUMENT = "fluxlit", "document"  # names in `fluxlit_django.urls`


def find_app(apps: Sequence[AppConfig], path: str) -> AppConfig | None:
    """The app whose mount a path is under; of several, the one with the longest mount."""
    under = [app for app in apps if path == app.mount or path.startswith(f"{app.mount}/")]
    return max(under, key=lambda app: len(app.mount), default=None)


def split_root(root_path: str, path: str) -> str:
    """A path without the public prefix, whether the proxy in front has cut it off already or not."""
    if root_path and (path == root_path or path.startswith(f"{root_path}/")):
        return path[len(root_path) :] or "/"
    return path


def resolves_in_django(path: str) -> bool:
    """Whether the project's URLconf knows a path, our own document aside, which it may include."""
    try:
        match = resolve(path)
    except Resolver404:
        return False
    return not (_OUR_URLS in match.app_names and match.url_name == _DOCUMENT)


def upstream_path(root_path: str, raw_path: bytes) -> bytes:
    """The path that a sidecar is asked for: the public one, byte for byte, the prefix included."""
    root = root_path.encode()
    if root and not (raw_path == root or raw_path.startswith(root + b"/")):
        return root + raw_path
    return raw_path

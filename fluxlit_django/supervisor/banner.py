"""What the command shows once everything serves."""

from __future__ import annotations

import os
from collections.abc import Iterator

from fluxlit_django import __version__
from fluxlit_django.conf import AppConfig, Config

_BOLD = "\x1b[1m{}\x1b[0m"
_DIM = "\x1b[2m{}\x1b[0m"
_LINK = "\x1b[36m{}\x1b[0m"
_EVERY_ADDRESS = {"", "0.0.0.0", "::"}


def public_url(config: Config, port: int) -> str:
    """The address to open in a browser, with the prefix of a proxy in front, without a slash at its end."""
    host = config.gateway_host.strip("[]")
    if host in _EVERY_ADDRESS:
        host = "localhost"
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}{config.root_path}"


def banner(
    config: Config, *, port: int, admin_path: str = "", started_in_s: float, colour: bool = False
) -> str:
    """The text.

    Args:
        config: the effective configuration.
        port: the public port as bound.
        admin_path: path of Django's admin below the public URL, "" when the project has none.
        started_in_s: how long it took until everything served.
        colour: whether the reader shows ANSI colours.
    """
    url = public_url(config, port)
    rows = [(app.name, f"{url}{app.url_path}", _describe_app(app)) for app in config.apps]
    links = [
        *([("Admin", f"{url}{admin_path}")] if admin_path else []),
        ("Health", f"{url}{config.api_mount_path}/healthz"),
        ("Readiness", f"{url}{config.api_mount_path}/readyz"),
    ]
    name_width = max(len(name) for name, *_ in [*rows, *links]) + 3
    url_width = max((len(row[1]) for row in rows), default=0) + 3
    paint = _paint if colour else _plain

    def lines() -> Iterator[str]:
        yield ""
        yield f"  {paint(_BOLD, 'FluxLit')} {paint(_DIM, __version__)}   {paint(_LINK, f'{url}/')}"
        yield ""
        for name, app_url, about in rows:
            link = paint(_LINK, app_url) + " " * (url_width - len(app_url))
            yield f"  {name:<{name_width}}{link}{paint(_DIM, about)}"
        if rows:
            yield ""
        for name, link in links:
            yield f"  {name:<{name_width}}{paint(_LINK, link)}"
        yield ""
        yield f"  {paint(_DIM, _describe_processes(config, started_in_s))}"
        yield ""

    return "\n".join(lines()) + "\n"


def _describe_app(app: AppConfig) -> str:
    """What an app shows and who may see it, for example `dashboard.py, login`."""
    if app.upstream:
        source = "elsewhere"
    elif app.script:
        source = _short_path(app.script)
    else:
        source = app.target or "pages"
    return f"{source}, {app.access}"


def _short_path(path: str) -> str:
    """A path as seen from the working directory, when it is below that."""
    seen_from_here = os.path.relpath(path)
    return path if seen_from_here.startswith("..") else seen_from_here


def _describe_processes(config: Config, started_in_s: float) -> str:
    sidecars = sum(app.sidecars for app in config.apps if not app.upstream)
    parts = [
        f"{_count(config.workers, f'{config.server} worker')} and {_count(sidecars, 'sidecar')}",
        f"ready in {started_in_s:.1f} s",
        *(["reloading on change"] if config.reload else []),
        "Ctrl-C stops",
    ]
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _paint(style: str, text: str) -> str:
    return style.format(text)


def _plain(style: str, text: str) -> str:
    return text

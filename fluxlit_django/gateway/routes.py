"""Streamlit's routes: which of them pass the gateway, with which methods, for whom, and how much they carry.

The table is that of Streamlit 1.67 (`starlette_app.py::create_streamlit_routes`). What is not in it does not
pass, and a contract test compares it with the installed version.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re

SMALL_BODY = 64 * 1024
"""Bytes; no route but those that say otherwise is sent any body by Streamlit's frontend."""

_READ = frozenset({"GET", "HEAD"})
_ASK = _READ | {"OPTIONS"}
_ALL = _ASK | {"POST", "PUT", "PATCH", "DELETE"}


class Audience(enum.Enum):
    """For whom a route is."""

    EVERYBODY = "everybody"
    """Streamlit's frontend asks for it before it opens its socket, which tells whether the viewer may."""
    VIEWERS = "viewers"
    """Whoever may open the app."""
    OPERATORS = "operators"
    """Whom a setting lets in; without it, nobody."""
    OPERATING_VIEWERS = "operating viewers"
    """Of those who may open the app, whom a setting lets in; without it, nobody."""


@dataclasses.dataclass(frozen=True)
class Route:
    """One of Streamlit's routes, below an app's mount."""

    path: str
    """As Streamlit has it: `{name}` stands for one segment, `{name:path}` for all that is left."""
    methods: frozenset[str] = _ASK
    audience: Audience = Audience.VIEWERS
    setting: str = ""
    """The field of `Config` with the rule for operators."""
    max_body: int | None = SMALL_BODY
    """Most bytes of a request's body; None for as many as the cap on uploads allows."""

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a path of this route matches."""
        text = re.sub(r"\\\{\w+:path\\\}", ".+", re.escape(self.path))
        return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", text), re.DOTALL)


TABLE = (
    Route("/_stcore/health", audience=Audience.EVERYBODY),
    Route("/_stcore/host-config", _READ, Audience.EVERYBODY),
    Route(
        "/_stcore/upload_file/{session_id}/{file_id}",
        frozenset({"PUT", "DELETE", "OPTIONS"}),
        max_body=None,
    ),
    Route("/_stcore/bidi-components/{path:path}"),
    Route("/component/{path:path}"),
    Route("/media/{file_id:path}"),
    Route("/app/static/{path:path}"),
    Route("/auth/login", _READ),
    Route("/auth/logout", _READ),
    Route("/oauth2callback", _READ),
    Route("/_stcore/metrics", audience=Audience.OPERATORS, setting="streamlit_metrics_access"),
    Route(
        "/_stcore/script-health-check", audience=Audience.OPERATORS, setting="streamlit_script_health_access"
    ),
    *(
        Route(
            f"/_stcore/agent/{name}",
            _ALL,
            audience=Audience.OPERATING_VIEWERS,
            setting="streamlit_agent_access",
            max_body=None,
        )
        for name in ("interact", "openapi.json", "mcp")
    ),
)


def find(path: str) -> Route | None:
    """The route of a path below an app's mount."""
    return next((route for route in TABLE if route.pattern.fullmatch(path)), None)

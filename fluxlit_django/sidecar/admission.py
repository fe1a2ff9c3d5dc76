"""How many sessions a sidecar takes: with the next browser the gateway goes elsewhere, or says it is busy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamlit import runtime

from fluxlit_django.control import BUSY_HEADER
from fluxlit_django.sidecar import report

_STREAM = "/_stcore/stream"


class SessionLimit:
    """An ASGI application in front of Streamlit's that refuses sessions beyond a number.

    A session that was open and comes back is no new one. Counted here, where all sessions of the sidecar
    are, whichever gateway worker they come through.

    Args:
        app: Streamlit's.
        most: sessions that may be open at a time.
        on_refusal: called for each one that is refused.
    """

    def __init__(self, app: Callable[..., Any], most: int, on_refusal: Callable[[], None]) -> None:
        self._app = app
        self._most = most
        self._on_refusal = on_refusal

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        is_session = scope["type"] == "websocket" and scope["path"].endswith(_STREAM)
        if is_session and report.count_sessions()[0] >= self._most and not is_known(scope):
            self._on_refusal()
            fields = [(BUSY_HEADER.encode(), b"1"), (b"content-length", b"0")]
            await send({"type": "websocket.http.response.start", "status": 503, "headers": fields})
            await send({"type": "websocket.http.response.body", "body": b""})
            return
        await self._app(scope, receive, send)


def is_known(scope: Any) -> bool:
    """Whether a handshake resumes a session that this sidecar has.

    The session is the third of the entries (Streamlit 1.67, `_parse_subprotocols`).
    """
    entries = scope.get("subprotocols", [])
    if len(entries) < 3 or not runtime.exists():
        return False
    return runtime.get_instance()._session_mgr.get_session_info(entries[2]) is not None

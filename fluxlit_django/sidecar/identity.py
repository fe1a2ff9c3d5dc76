"""The viewer's headers as Streamlit shall read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_PREFIX = b"x-fluxlit-user-"


class Utf8Identity:
    """ASGI middleware that has the viewer's headers read as the UTF-8 they are: names keep their letters.

    Starlette, through which Streamlit 1.67 reads them into `st.user` and `st.context.headers`, takes every
    header for Latin-1.

    Args:
        app: Streamlit.
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] in {"http", "websocket"}:
            scope = {**scope, "headers": [_readable(name, value) for name, value in scope["headers"]]}
        await self._app(scope, receive, send)


class _Utf8(bytes):
    """Bytes that are UTF-8, whatever they are taken for."""

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The text."""
        return super().decode("utf-8", errors)


def _readable(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return name, _Utf8(value) if name.startswith(_PREFIX) else value

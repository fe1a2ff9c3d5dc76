"""ASGI requests by hand, for what needs no server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from tests.gateway.browser import Response

Fields = Iterable[tuple[bytes, bytes]]


def http_scope(target: str, *, method: str = "GET", headers: Fields = (), host: bytes = b"testserver") -> Any:
    """The scope of a request, as a server makes it of its target."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", host), *headers],
        "client": ("127.0.0.1", 4711),
        "server": ("127.0.0.1", 8000),
    }


async def call(application: Any, scope: Any) -> Response:
    """The application's answer to a request without a body."""
    response = Response(0, [])

    received = asyncio.Event()

    async def receive() -> Any:
        if received.is_set():
            await asyncio.Event().wait()  # the browser stays until it is answered
        received.set()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            response.status = message["status"]
            response.headers = [(name.lower(), value) for name, value in message["headers"]]
        elif message["type"] == "http.response.body":
            response.body += message.get("body", b"")
            response.is_complete = not message.get("more_body", False)

    await application(scope, receive, send)
    return response

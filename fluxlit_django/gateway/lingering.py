"""Connections that close while a request's body is still on its way."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from fluxlit_django.gateway import headers

_LINGER_S = 10.0  # what an upload that is answered before its end may go on for


class Lingering:
    """A request with a body, whose answer is not lost when it comes before the body's end.

    A connection that closes on unread bytes is reset, and nginx and browsers then lose the answer (RFC 9112,
    section 9.6). So the rest is thrown away first, for a while. Where the connection stays open, the server
    does that by itself.

    Args:
        scope: the request's.
        receive: the ASGI callable.
        send: the ASGI callable.
    """

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self._receive = receive
        self._send = send
        self._is_read = False
        self._closes = scope.get("http_version") == "1.0" or _says_close(scope["headers"])

    async def receive(self) -> Any:
        """The next message of the body."""
        message = await self._receive()
        # The last message of a body, and that of a browser that left, have no more behind them.
        self._is_read = not message.get("more_body", False)
        return message

    async def send(self, message: Any) -> None:
        """Pass on a message of the answer."""
        if message["type"] == "http.response.start":
            self._closes = self._closes or _says_close(message.get("headers", ()))
        elif self._closes and not self._is_read and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._read_to_the_end(), _LINGER_S)
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _read_to_the_end(self) -> None:
        while not self._is_read:
            await self.receive()


def _says_close(fields: headers.Headers) -> bool:
    return any(name.lower() == b"connection" and b"close" in value.lower() for name, value in fields)

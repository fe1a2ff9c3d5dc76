"""What a request may weigh."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fluxlit_django.exceptions import FluxLitError, UpstreamBroken
from fluxlit_django.gateway import headers as header_policy

MAX_HEADER_BYTES = 64 * 1024
"""All of a request's header names and values together; nginx and most edges stop at half of it."""

MAX_TARGET_BYTES = 16 * 1024
"""The path and the query together."""

_ENDLESS = 1 << 63


class BodyTooLarge(FluxLitError):
    """A request body is longer than the cap."""


class ClientGone(FluxLitError):
    """The browser closed the connection before its request, or our answer, was complete."""


def is_header_too_large(headers: header_policy.Headers) -> bool:
    """Whether a request's headers weigh more than `MAX_HEADER_BYTES`."""
    return sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES


def declared_length(headers: header_policy.Headers) -> int | None:
    """The request's `Content-Length`, or None when it gives none."""
    value = header_policy.get(headers, b"content-length")
    if value is None or not value.isdigit():
        return None
    return int(value) if len(value) < 20 else _ENDLESS  # Python converts no number of thousands of digits


def has_body(headers: header_policy.Headers) -> bool:
    """Whether a request announces a body."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    )


class CappedBody:
    """A request's body on its way to Django; over the cap, it looks as if the browser had left."""

    def __init__(self, receive: Callable[[], Awaitable[Any]], cap: int) -> None:
        self._receive = receive
        self._cap = cap
        self._passed = 0
        self.is_over = False

    async def receive(self) -> Any:
        """The next ASGI message."""
        message = await self._receive()
        self._passed += len(message.get("body", b""))
        self.is_over = self._passed > self._cap
        return {"type": "http.disconnect"} if self.is_over else message


class Body:
    """A request's body on its way to a sidecar, counted as it passes.

    Args:
        receive: the ASGI callable.
        cap: most bytes that may pass; 0 for no limit.
    """

    def __init__(self, receive: Callable[[], Awaitable[Any]], cap: int) -> None:
        self._receive = receive
        self._cap = cap
        self.is_begun = False
        self.passed = 0
        self.is_complete = False
        self.failure: FluxLitError | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it arrives, once.

        Raises:
            BodyTooLarge: more than the cap arrived.
            ClientGone: the browser left before the end. Raising is what keeps the sidecar from
                taking the part for the whole: the connection to it is broken off.
            UpstreamBroken: it is read a second time. aiohttp repeats idempotent requests, PUT among them,
                on a kept connection that turns out to be closed, and would send what is left for the whole.
        """
        if self.is_begun:
            msg = "The sidecar closed the connection during an upload."
            raise UpstreamBroken(msg)
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        self.is_begun = True
        while not self.is_complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._fail(ClientGone("The browser left during its upload."))
            chunk = message.get("body", b"")
            self.passed += len(chunk)
            if self._cap and self.passed > self._cap:
                self._fail(BodyTooLarge(f"More than {self._cap} bytes."))
            self.is_complete = not message.get("more_body", False)
            if chunk:
                yield chunk

    def _fail(self, failure: FluxLitError) -> None:
        self.failure = failure
        raise failure

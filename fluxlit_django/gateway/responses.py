"""The few answers that the gateway gives itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from asgiref.typing import ASGISendCallable

UNDECIDED_TEXT = "Service Unavailable: your sign-in cannot be checked at the moment. Try again shortly."


async def send_json(send: ASGISendCallable, status: int, content: Mapping[str, Any]) -> None:
    """Answer with a JSON object that no cache keeps."""
    body = json.dumps(content).encode() + b"\n"
    await _send(send, status, b"application/json", body)


async def send_text(
    send: ASGISendCallable, status: int, text: str, *, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Answer with one line of plain text."""
    await _send(send, status, b"text/plain; charset=utf-8", text.encode() + b"\n", headers)


async def send_too_large(send: ASGISendCallable, cap: int, source: str) -> None:
    """Answer 413, naming the cap and its source, and have the connection closed: the rest need not come."""
    text = f"Payload Too Large: the limit is {cap} bytes ({source})."
    await send_text(send, 413, text, headers=((b"connection", b"close"),))


async def _send(
    send: ASGISendCallable,
    status: int,
    content_type: bytes,
    body: bytes,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    fields = _fields(content_type, body, headers)
    await send({"type": "http.response.start", "status": status, "headers": fields, "trailers": False})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _fields(
    content_type: bytes, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *headers,
    ]


async def deny_socket(send: ASGISendCallable, scope: Mapping[str, Any], status: int, text: str) -> None:
    """Refuse a WebSocket before it is accepted, with an HTTP status where the server can send one."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": text})
        return
    body = text.encode() + b"\n"
    fields = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "websocket.http.response.start", "status": status, "headers": fields})
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})

"""The few answers that the gateway gives itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from asgiref.typing import ASGISendCallable


async def send_json(send: ASGISendCallable, status: int, content: Mapping[str, Any]) -> None:
    """Answer with a JSON object that no cache keeps."""
    body = json.dumps(content).encode() + b"\n"
    await _send(send, status, b"application/json", body)


async def send_text(
    send: ASGISendCallable, status: int, text: str, *, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Answer with one line of plain text."""
    await _send(send, status, b"text/plain; charset=utf-8", text.encode() + b"\n", headers)


async def send_too_large(send: ASGISendCallable, cap: int, setting: str) -> None:
    """Answer 413, naming the cap. The connection is closed, since the rest of the body is not read."""
    text = f"Payload Too Large: the limit is {cap} bytes ({setting})."
    await send_text(send, 413, text, headers=((b"connection", b"close"),))


async def _send(
    send: ASGISendCallable,
    status: int,
    content_type: bytes,
    body: bytes,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    fields = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields, "trailers": False})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def with_request_id(send: ASGISendCallable, request_id: str) -> ASGISendCallable:
    """The callable, with `X-Request-ID` added to the response that goes through it, unless it has one."""

    async def send_with_id(message: Any) -> None:
        if message["type"] == "http.response.start":
            fields = list(message.get("headers", ()))
            if not any(name.lower() == b"x-request-id" for name, _ in fields):
                fields.append((b"x-request-id", request_id.encode()))
            message = {**message, "headers": fields}
        await send(message)

    return send_with_id


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

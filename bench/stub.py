"""A stand-in for a Streamlit server that does next to nothing: what is measured in front of it is the hop.

`python -m bench.stub PORT` serves Streamlit's paths on 127.0.0.1: a health check, a WebSocket that echoes,
a download and an upload.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

DOWNLOAD_CHUNK = bytes(62_500)  # 16 of them are a megabyte
LARGEST_MESSAGE = 1 << 28  # bytes


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve one connection."""
    if scope["type"] == "websocket":
        await _echo(receive, send)
    elif scope["type"] == "http":
        await _answer(scope, receive, send)


async def _echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": "streamlit"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    path: str = scope["path"]
    if path.startswith("/media/"):
        await _send_megabytes(send, int(path.rpartition("/")[2]))
    elif scope["method"] == "PUT":
        await _send_text(send, str(await _count(receive)))
    else:
        await _send_text(send, "ok")


async def _send_text(send: Any, text: str) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


async def _send_megabytes(send: Any, megabytes: int) -> None:
    length = str(megabytes * 1_000_000).encode()
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(16 * megabytes):
        await send({"type": "http.response.body", "body": DOWNLOAD_CHUNK, "more_body": True})
    await send({"type": "http.response.body"})


async def _count(receive: Any) -> int:
    total = 0
    while True:
        message = await receive()
        total += len(message.get("body", b""))
        if not message.get("more_body", False):
            return total


if __name__ == "__main__":
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE,
        ws_per_message_deflate=False,
        access_log=False,
        log_level="warning",
        lifespan="off",
    )

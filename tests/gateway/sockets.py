"""Both ends of a WebSocket: a sidecar's that speaks the protocol, and a browser's."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, unix_serve

from tests.gateway.browser import Fields, Response, connected, request
from tests.gateway.sidecar import Exchange
from tests.gateway.worker import Worker

STREAM = "/open/_stcore/stream"
TIMEOUT_S = 10
RERUN = b"\x5a\x00"  # BackMsg.rerun_script
STREAMLIT = (b"Sec-WebSocket-Protocol", b"streamlit")
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


@dataclass
class SocketSidecar:
    """The sidecars' end of the sockets."""

    talk: Callable[[ServerConnection], Awaitable[None]]
    sockets: list[ServerConnection] = field(default_factory=list)
    ended: asyncio.Queue[ServerConnection] = field(default_factory=asyncio.Queue)

    async def serve(self, socket: ServerConnection) -> None:
        """Talk to one socket, then say that it is over."""
        self.sockets.append(socket)
        try:
            with contextlib.suppress(websockets.ConnectionClosed):
                await self.talk(socket)
            await socket.wait_closed()
        finally:
            self.ended.put_nowait(socket)

    async def close_seen(self) -> tuple[int | None, str | None]:
        """The code and reason with which the next socket was closed from the other side."""
        socket = await asyncio.wait_for(self.ended.get(), TIMEOUT_S)
        return socket.close_code, socket.close_reason


async def echo(socket: ServerConnection) -> None:
    """Send every message back."""
    async for message in socket:
        await socket.send(message)


@contextlib.asynccontextmanager
async def listening(path: str) -> AsyncIterator[SocketSidecar]:
    """A sidecar on a Unix socket that echoes unless told otherwise."""
    sidecar = SocketSidecar(echo)
    async with unix_serve(
        sidecar.serve,
        path,
        subprotocols=[websockets.Subprotocol("streamlit")],
        compression=None,
        max_size=None,
        close_timeout=2,
    ):
        yield sidecar


def open_socket(worker: Worker, path: str = STREAM, **options: Any) -> connect:
    """A browser's WebSocket to a worker."""
    options = {
        "origin": worker.origin,
        "subprotocols": ["streamlit"],
        "compression": None,
        "max_size": None,
        "proxy": None,
        "close_timeout": 5,
    } | options
    return connect(f"ws://127.0.0.1:{worker.port}{path}", **options)


def handshake(worker: Worker, fields: Fields = (), *, path: str = STREAM, host: bytes | None = None) -> bytes:
    """The bytes of a handshake; an Origin is added unless the fields have one."""
    standard = [
        (b"Connection", b"keep-alive, Upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", KEY),
        (b"Sec-WebSocket-Extensions", b"permessage-deflate"),
    ]
    if not any(name.lower() == b"origin" for name, _ in fields):
        standard.append((b"Origin", worker.origin.encode()))
    host = f"127.0.0.1:{worker.port}".encode() if host is None else host
    return request("GET", path, [*standard, *fields], host=host)


async def shake_hands(
    worker: Worker, fields: Fields = (), *, path: str = STREAM, host: bytes | None = None
) -> Response:
    """The answer to a handshake."""
    async with connected(worker.port) as connection:
        await connection.send(handshake(worker, fields, path=path, host=host))
        response = await connection.head()
        if response.status != 101:
            async for piece in connection.pieces(response):
                response.body += piece
        return response


async def accept(exchange: Exchange, *fields: bytes) -> None:
    """Accept a handshake by hand."""
    key = exchange.request.values("sec-websocket-key")[0]
    proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + proof,
        *fields,
    ]
    await exchange.send(b"\r\n".join(lines) + b"\r\n\r\n")

"""A browser that says every byte itself, and takes every byte as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

TIMEOUT_S = 15
HOST = b"testserver"

Fields = Sequence[tuple[bytes, bytes]]


@dataclass
class Response:
    """What came back."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    is_complete: bool = False
    """Whether the body ended as its framing said."""

    def values(self, name: str) -> list[bytes]:
        """All values of a header."""
        return [value for key, value in self.headers if key == name.encode()]

    def header(self, name: str) -> bytes | None:
        """The only value of a header, or None."""
        values = self.values(name)
        assert len(values) < 2, values
        return values[0] if values else None


def request(
    method: str, target: bytes | str, fields: Fields = (), *, host: bytes | None = HOST, body: bytes = b""
) -> bytes:
    """The bytes of a request; with a body, `Content-Length` is added."""
    target = target.encode() if isinstance(target, str) else target
    lines = [b"%s %s HTTP/1.1" % (method.encode(), target)]
    if host is not None:
        lines.append(b"Host: " + host)
    lines += [b"%s: %s" % pair for pair in fields]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@dataclass
class Connection:
    """One TCP connection to a worker."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _head: Response | None = field(default=None)

    async def send(self, data: bytes) -> None:
        """Write bytes and wait until they are on their way."""
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        """Write one chunk of a chunked body; an empty one ends it."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def head(self) -> Response:
        """The status and headers of the next response, interim ones as well."""
        raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), TIMEOUT_S)
        line, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
        headers = [
            (name.lower(), value.strip()) for name, _, value in (item.partition(b":") for item in lines)
        ]
        return Response(int(line.split()[1]), headers)

    async def pieces(self, response: Response) -> AsyncIterator[bytes]:
        """The response's body as it arrives; `is_complete` is set at its proper end."""
        length = response.header("content-length")
        if length is not None:
            left = int(length)
            while left and (piece := await self._read(min(left, 1 << 18))):
                left -= len(piece)
                yield piece
            response.is_complete = left == 0
        elif response.header("transfer-encoding") == b"chunked":
            with contextlib.suppress(asyncio.IncompleteReadError):
                while size := int(await self._line() or b"-1", 16):
                    yield await asyncio.wait_for(self.reader.readexactly(size), TIMEOUT_S)
                    await self.reader.readexactly(2)
                await self.reader.readexactly(2)
                response.is_complete = True
        else:
            while piece := await self._read(1 << 16):
                yield piece
            response.is_complete = True

    async def response(self, method: str = "GET") -> Response:
        """The next response with its body."""
        response = await self.head()
        if method == "HEAD" or response.status in {204, 304}:
            response.is_complete = True
            return response
        with contextlib.suppress(ConnectionError):
            async for piece in self.pieces(response):
                response.body += piece
        return response

    async def ended(self) -> bytes:
        """Wait until the other side closes, and give what it sent before."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while piece := await self._read(1 << 16):
                data += piece
        return data

    def reset(self) -> None:
        """Vanish: the peer gets a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def _read(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.read(size), TIMEOUT_S)

    async def _line(self) -> bytes:
        line = await asyncio.wait_for(self.reader.readline(), TIMEOUT_S)
        if not line.endswith(b"\n"):
            raise asyncio.IncompleteReadError(line, None)
        return line.strip()


@contextlib.asynccontextmanager
async def connected(port: int, *, receive_buffer: int = 0) -> AsyncIterator[Connection]:
    """A connection to a port of this machine, closed at the end."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 18)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def fetch(
    port: int,
    target: bytes | str,
    fields: Fields = (),
    *,
    method: str = "GET",
    host: bytes | None = HOST,
    body: bytes = b"",
) -> Response:
    """One request on a connection of its own, and its response."""
    async with connected(port) as connection:
        await connection.send(request(method, target, fields, host=host, body=body))
        return await connection.response(method)

"""A stand-in for a sidecar on a Unix socket: it keeps what arrives, byte for byte, and answers as told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

TIMEOUT_S = 15
_KEPT = 4 << 20  # bytes of a body


@dataclass
class Request:
    """A request as it arrived."""

    head: bytes
    body: bytes = b""
    size: int = 0
    is_complete: bool = False
    """Whether the body ended as its framing said."""
    grew: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def line(self) -> bytes:
        """The request line."""
        return self.head.split(b"\r\n", 1)[0]

    @property
    def target(self) -> bytes:
        """The raw path and query."""
        return self.line.split(b" ")[1]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers, names in lower case."""
        lines = self.head.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]

    def values(self, name: str) -> list[bytes]:
        """All values of a header."""
        return [value for key, value in self.headers if key == name.encode()]

    async def wait_for_size(self, size: int) -> None:
        """Wait until so many bytes of the body are here."""
        while self.size < size:
            self.grew.clear()
            await asyncio.wait_for(self.grew.wait(), TIMEOUT_S)


@dataclass
class Exchange:
    """One request and the connection to answer it on."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read_body(self) -> None:
        """Take the body in; it is complete only if its framing says so."""
        if self.request.values("transfer-encoding") == [b"chunked"]:
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                await self._take(size)
                await self.reader.readexactly(2)
            await self.reader.readexactly(2)
        else:
            await self._take(int((self.request.values("content-length") or [b"0"])[0]))
        self.request.is_complete = True
        self.request.grew.set()

    async def _take(self, size: int) -> None:
        while size:
            piece = await self.reader.read(min(size, 1 << 18))
            if not piece:
                raise asyncio.IncompleteReadError(b"", size)
            size -= len(piece)
            if self.request.size < _KEPT:
                self.request.body += piece
            self.request.size += len(piece)
            self.request.grew.set()

    async def send(self, data: bytes) -> None:
        """Write bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        """Write one chunk; an empty one ends the body."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def reply(self, status: str = "200 OK", *fields: bytes, body: bytes = b"ok") -> None:
        """Write a whole response of known length."""
        lines = [b"HTTP/1.1 " + status.encode(), *fields, b"Content-Length: %d" % len(body)]
        await self.send(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    async def closed(self) -> None:
        """Wait until the gateway closes the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(1 << 16):
                """What still comes is of no interest."""


Answer = Callable[[Exchange], Awaitable[None]]


async def answer_ok(exchange: Exchange) -> None:
    """Read the request whole, then say ok."""
    await exchange.read_body()
    await exchange.reply()


class StubSidecar:
    """What listens on the socket. Set `answer` to have it answer in another way."""

    def __init__(self) -> None:
        self.answer: Answer = answer_ok
        self.requests: list[Request] = []
        self._arrivals: asyncio.Queue[Request] = asyncio.Queue()
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def request(self) -> Request:
        """The only request that came."""
        assert len(self.requests) == 1, self.requests
        return self.requests[0]

    async def arrival(self) -> Request:
        """The next request, as soon as its head is here."""
        return await asyncio.wait_for(self._arrivals.get(), TIMEOUT_S)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while True:
                request = Request(await reader.readuntil(b"\r\n\r\n"))
                self.requests.append(request)
                self._arrivals.put_nowait(request)
                await self.answer(Exchange(request, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            """The gateway closed the connection, or the test is over."""
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def close(self) -> None:
        """End all connections."""
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections)


@contextlib.asynccontextmanager
async def listening(path: str) -> AsyncIterator[StubSidecar]:
    """A stub on a Unix socket."""
    stub = StubSidecar()
    server = await asyncio.start_unix_server(stub.serve, path, limit=1 << 20)
    try:
        yield stub
    finally:
        server.close()
        await stub.close()
        await server.wait_closed()

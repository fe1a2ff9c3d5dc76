"""The time that a request may take to come, with either of uvicorn's parsers."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import uvicorn

from fluxlit_django.gateway.uvicorn_server import _http_protocol, _LimitedHttpTools, _StrictH11, _TimeLimits

HEAD_S, BODY_S = 0.4, 0.8
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


PIECE, PIECES = b"x" * (1 << 18), 160


async def large(scope, receive, send):
    """Answer with 40 MiB, far more than the kernel keeps for a browser that reads nothing."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(PIECES):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body"})


async def echo(scope, receive, send):
    """Answer with the length of the body."""
    if scope["path"] == "/large":
        await large(scope, receive, send)
        return
    length, more = 0, True
    while more:
        message = await receive()
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    body = str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class QuietServer(uvicorn.Server):
    """A server that leaves signals alone, and says when it serves."""

    capture_signals = staticmethod(contextlib.nullcontext)

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_serving = asyncio.Event()

    async def startup(self, sockets=None) -> None:
        """Start listening."""
        await super().startup(sockets)
        self.is_serving.set()


@pytest.fixture(params=[_StrictH11, _LimitedHttpTools], ids=["h11", "httptools"])
async def port(request):
    """A server with short limits."""
    config = uvicorn.Config(
        echo,
        port=0,
        lifespan="off",
        log_config=None,
        http=_http_protocol(_TimeLimits(HEAD_S, BODY_S), request.param),
        ws="websockets-sansio",
    )
    server = QuietServer(config)
    task = asyncio.create_task(server.serve())
    await server.is_serving.wait()
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def ends_open(port: int, *pieces: bytes | float) -> bool:
    """Send the pieces, with pauses between them; whether the connection is open after the last."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    closed = asyncio.create_task(read_to_the_end(reader))
    for piece in pieces:
        if isinstance(piece, float):
            await asyncio.wait([closed], timeout=piece)
        elif not closed.done():
            writer.write(piece)
    is_open = not closed.done()
    writer.close()
    await closed
    return is_open


async def read_to_the_end(reader: asyncio.StreamReader) -> None:
    """Wait until the server closes the connection."""
    with contextlib.suppress(ConnectionError):
        await reader.read()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((2 * HEAD_S,), False),
        ((b"GET / HT", 2 * HEAD_S), False),
        ((b"GET / HT", 0.3, b"TP/1.1\r\n", 0.3, b"X: y\r\n", 0.1), False),
        ((GET, 2 * HEAD_S), True),
        ((GET, 2 * HEAD_S, GET, 0.1), True),
        ((GET, 0.1, b"GET / HT", 2 * HEAD_S), False),
        ((POST, 2 * BODY_S), False),
        ((POST, 0.5, b"xx", 0.5, b"xx", 0.1), True),
        ((POST, 0.5, b"xx", 2 * BODY_S), False),
    ],
    ids=[
        "nothing at all",
        "half a head",
        "a head in drops",
        "a request, then nothing",
        "two requests, a pause between them",
        "a request, then half a head",
        "no body",
        "a body in pieces",
        "half a body",
    ],
)
async def test_connection__is_broken_off(port, pieces, expected):
    """A connection ends when a head, or the next piece of a body, takes too long; and only then."""
    assert expected is await ends_open(port, *pieces)


async def test_response__nobody_takes(port):
    """A response that its browser stops to read ends, and is not waited with for ever."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(GET.replace(b"/ ", b"/large ", 1))
    await reader.readuntil(b"\r\n\r\n")
    # With its small buffer full, the reader takes nothing more from the kernel.
    await asyncio.sleep(3 * BODY_S)

    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(1 << 20):
            received += piece
    writer.close()

    assert len(received) < len(PIECE) * PIECES


async def test_response__taken_slowly(port):
    """A response whose browser reads little at a time, with pauses below the limit, comes to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(GET.replace(b"/ ", b"/large ", 1).replace(b"x\r\n", b"x\r\nConnection: close\r\n", 1))
    received = 0
    while piece := await reader.read(4 << 20):
        received += len(piece)
        if received < len(PIECE) * PIECES // 2:
            await asyncio.sleep(0.01)
    writer.close()

    assert received > len(PIECE) * PIECES

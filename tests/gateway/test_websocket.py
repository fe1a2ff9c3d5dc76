"""The WebSocket hop: real workers of both servers in front of a real WebSocket server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection

from tests.gateway.browser import Fields, connected
from tests.gateway.conftest import StartWorker
from tests.gateway.sidecar import Exchange, StubSidecar
from tests.gateway.sockets import (
    STREAM,
    STREAMLIT,
    TIMEOUT_S,
    SocketSidecar,
    accept,
    handshake,
    open_socket,
    shake_hands,
)
from tests.gateway.worker import Worker

MIB = 1 << 20


# Messages


@pytest.mark.parametrize(
    "message", [b"bytes \x00\xff", "text – 你", b"x" * 70_000, "y" * 70_000], ids=lambda m: type(m).__name__
)
async def test_message__passes_both_ways(
    worker: Worker, sidecar_socket: SocketSidecar, message: bytes | str
) -> None:
    """Binary messages stay binary, text stays text."""
    async with open_socket(worker) as socket:
        await socket.send(message)
        received = await socket.recv()

    assert message == received


@pytest.mark.parametrize("message", [b"", ""], ids=["bytes", "text"])
async def test_message__empty(worker: Worker, sidecar_socket: SocketSidecar, message: bytes | str) -> None:
    """An empty message is a message, both ways."""
    async with open_socket(worker) as socket:
        await socket.send(message)
        received = await asyncio.wait_for(socket.recv(), TIMEOUT_S)

    assert message == received
    assert type(message) is type(received)


async def test_message__in_fragments(worker: Worker, sidecar_socket: SocketSidecar) -> None:
    """A message that comes in fragments arrives as one."""
    async with open_socket(worker) as socket:
        await socket.send([b"a" * 1000, b"b" * 1000, b"c"])
        received = await socket.recv()

    assert b"a" * 1000 + b"b" * 1000 + b"c" == received


async def test_messages__keep_their_order(worker: Worker, sidecar_socket: SocketSidecar) -> None:
    """Many messages at once arrive in the order they were sent."""
    async with open_socket(worker) as socket:
        for number in range(500):
            await socket.send(b"%d" % number)
        received = [await socket.recv() for _ in range(500)]

    assert [b"%d" % number for number in range(500)] == received


async def test_message__25_mb_up(worker: Worker, sidecar_socket: SocketSidecar) -> None:
    """As much as Streamlit's frontend may send in one message passes."""

    async def measure(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(str(len(message)))

    sidecar_socket.talk = measure
    async with open_socket(worker) as socket:
        await socket.send(bytes(25 * MIB))
        received = await asyncio.wait_for(socket.recv(), TIMEOUT_S)

    assert str(25 * MIB) == received


async def test_message__100_mb_down(worker: Worker, sidecar_socket: SocketSidecar) -> None:
    """A dataframe of 100 MB passes in one message."""

    async def pour(socket: ServerConnection) -> None:
        await socket.send(bytes(100 * MIB))

    sidecar_socket.talk = pour
    async with open_socket(worker) as socket:
        received = await asyncio.wait_for(socket.recv(), 60)

    assert 100 * MIB == len(received)


async def test_message__over_the_limit(worker: Worker, sidecar_socket: SocketSidecar) -> None:
    """A browser's message over the limit closes its socket with 1009, and the sidecar's end too."""
    async with open_socket(worker) as socket:
        with contextlib.suppress(websockets.ConnectionClosed):
            await socket.send(bytes(33 * MIB))
        await asyncio.wait_for(socket.wait_closed(), TIMEOUT_S)

    assert 1009 == socket.close_code
    code, _ = await sidecar_socket.close_seen()
    assert code in {1009, 1000, 1001}


async def test_slow_reader__costs_little_memory(
    start_worker: StartWorker, sidecar_socket: SocketSidecar, server: str
) -> None:
    """200 messages of 1 MB to a browser that does not read wait in the sidecar, not in the gateway."""
    sent = 0

    async def pour(socket: ServerConnection) -> None:
        nonlocal sent
        await socket.recv()
        for _ in range(200):
            await socket.send(bytes(MIB))
            sent += 1

    sidecar_socket.talk = pour
    with start_worker(server) as worker:
        async with open_socket(worker, max_queue=1) as socket:
            before = worker.forget_peak()
            await socket.send(b"go")
            await _settle(lambda: sent)
            assert sent < 100
            assert worker.peak() - before < 20 * MIB

            for _ in range(200):
                assert MIB == len(await asyncio.wait_for(socket.recv(), TIMEOUT_S))
            assert worker.peak() - before < 20 * MIB


async def _settle(value: Callable[[], int]) -> None:
    """Wait until a number no longer changes."""
    last = -1
    while value() != last or not last:
        last = value()
        await asyncio.sleep(0.5)


# Ends


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (3000, "three"), (4999, "straße")])
async def test_close__by_the_browser(
    worker: Worker, sidecar_socket: SocketSidecar, code: int, reason: str
) -> None:
    """The sidecar learns the code and the reason; on Daphne, which does not tell it, no reason."""
    async with open_socket(worker) as socket:
        await socket.close(code, reason)
        seen = await sidecar_socket.close_seen()

    assert (code, reason if worker.server == "uvicorn" else "") == seen


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "bye"), (1012, ""), (3000, "x"), (4999, "ß")]
)
async def test_close__by_the_sidecar(
    worker: Worker, sidecar_socket: SocketSidecar, code: int, reason: str
) -> None:
    """The browser learns the code and the reason."""

    async def leave(socket: ServerConnection) -> None:
        await socket.send(b"last words")
        await socket.close(code, reason)

    sidecar_socket.talk = leave
    async with open_socket(worker) as socket:
        assert b"last words" == await socket.recv()
        await asyncio.wait_for(socket.wait_closed(), TIMEOUT_S)

    assert (code, reason) == (socket.close_code, socket.close_reason)


async def test_close__without_a_status(worker: Worker, sidecar: StubSidecar) -> None:
    """A close frame without a status, from the sidecar, is 1000 to the browser."""

    async def answer(exchange: Exchange) -> None:
        await accept(exchange)
        await exchange.send(b"\x88\x00")
        await exchange.closed()

    sidecar.answer = answer
    async with open_socket(worker, subprotocols=None) as socket:
        await asyncio.wait_for(socket.wait_closed(), TIMEOUT_S)

    assert 1000 == socket.close_code


async def test_close__without_a_status_by_the_browser(worker: Worker, sidecar_socket: SocketSidecar) -> None:
    """A close frame without a status, from the browser, is 1000 to the sidecar."""
    async with connected(worker.port) as connection:
        await connection.send(handshake(worker, [STREAMLIT]))
        assert 101 == (await connection.head()).status
        await connection.send(b"\x88\x80\x00\x00\x00\x00")
        code, _ = await sidecar_socket.close_seen()

    assert 1000 == code


@pytest.mark.parametrize(
    "end",
    [b"", b"\x88\x02\x03\xed", b"\x88\x02\x13\x88", b"\xff\xff\xff", b"\x81\x01\xff"],
    ids=["connection lost", "code 1005", "code 5000", "no frame", "text that is none"],
)
async def test_close__abnormal_by_the_sidecar(worker: Worker, sidecar: StubSidecar, end: bytes) -> None:
    """A sidecar that vanishes or breaks the protocol is 1011 to the browser."""

    async def answer(exchange: Exchange) -> None:
        await accept(exchange)
        await exchange.send(end)
        exchange.writer.close()

    sidecar.answer = answer
    async with open_socket(worker, subprotocols=None) as socket:
        await asyncio.wait_for(socket.wait_closed(), TIMEOUT_S)

    assert 1011 == socket.close_code


async def test_browser__vanishes(worker: Worker, sidecar_socket: SocketSidecar) -> None:
    """A TCP reset by the browser closes the sidecar's socket in good order."""
    async with connected(worker.port) as connection:
        await connection.send(handshake(worker, [STREAMLIT]))
        assert 101 == (await connection.head()).status
        connection.reset()
        code, _ = await sidecar_socket.close_seen()

    assert code in {1000, 1001}  # uvicorn reports a lost connection as one closed without a status


async def test_browser__vanishes_while_it_is_sent_to(worker: Worker, sidecar_socket: SocketSidecar) -> None:
    """The sidecar's socket is closed, too, when there is much on its way to the browser."""

    async def pour(socket: ServerConnection) -> None:
        while True:
            await socket.send(bytes(MIB))

    sidecar_socket.talk = pour
    async with connected(worker.port) as connection:
        await connection.send(handshake(worker, [STREAMLIT]))
        assert 101 == (await connection.head()).status
        connection.reset()
        await sidecar_socket.close_seen()


async def test_idle_socket__stays(start_worker: StartWorker, sidecar_socket: SocketSidecar) -> None:
    """A sidecar's silence ends no socket, whatever the longest silence during a response is."""
    with start_worker("uvicorn", FLUXLIT_GATEWAY_UPSTREAM_READ_TIMEOUT_S="0.5") as worker:
        async with open_socket(worker) as socket:
            await asyncio.sleep(1.5)
            await socket.send(b"still there?")
            assert b"still there?" == await socket.recv()


# Handshakes


@pytest.mark.parametrize(
    "lines",
    [
        [b"streamlit, token, session-id"],
        [b"streamlit,,session-id"],
        [b"streamlit, , 4b3e-1"],
        [b"streamlit, 2|ab|cd|17, x"],
        [b"streamlit"],
        [],
    ],
)
async def test_subprotocols__go_up_raw_and_once(
    worker: Worker, sidecar: StubSidecar, lines: list[bytes]
) -> None:
    """The line of Streamlit's frontend arrives byte for byte, positions and empty entries kept."""

    async def answer(exchange: Exchange) -> None:
        await accept(exchange, *([b"Sec-WebSocket-Protocol: streamlit"] if lines else []))
        await exchange.closed()

    sidecar.answer = answer
    response = await shake_hands(worker, [(b"Sec-WebSocket-Protocol", line) for line in lines])

    assert 101 == response.status
    assert lines == sidecar.request.values("sec-websocket-protocol")
    assert (b"streamlit" if lines else None) == response.header("sec-websocket-protocol")


async def test_subprotocol__is_the_sidecars_choice(uvicorn_worker: Worker, sidecar: StubSidecar) -> None:
    """What the sidecar accepts is what the browser is told, also when it accepts none of the offered."""

    async def answer(exchange: Exchange) -> None:
        chosen = b"Sec-WebSocket-Protocol: other" if len(sidecar.requests) == 1 else b"X-None: 1"
        await accept(exchange, chosen)
        await exchange.closed()

    sidecar.answer = answer
    fields = [(b"Sec-WebSocket-Protocol", b"streamlit, other")]
    first = await shake_hands(uvicorn_worker, fields)
    second = await shake_hands(uvicorn_worker, fields)

    assert (101, b"other") == (first.status, first.header("sec-websocket-protocol"))
    assert (101, None) == (second.status, second.header("sec-websocket-protocol"))


async def test_handshake__headers(worker: Worker, sidecar: StubSidecar) -> None:
    """The handshake, which `st.context` reads, carries what a request does, and one Host."""

    async def answer(exchange: Exchange) -> None:
        await accept(exchange)
        await exchange.closed()

    sidecar.answer = answer
    path = STREAM + "?a=%2F&b=%3F"
    fields = [
        (b"Cookie", b"sessionid=s; _streamlit_user=u; theme=dark"),
        (b"Authorization", b"Bearer x"),
        (b"X-Fluxlit-User-Id", b"1"),
        (b"User-Agent", b"Firefox"),
        (b"X-Request-ID", b"r-1"),
    ]
    await shake_hands(worker, fields, path=path)

    got = sidecar.request
    host = f"127.0.0.1:{worker.port}".encode()
    assert path.encode() == got.target
    assert [host] == got.values("host")
    assert [worker.origin.encode()] == got.values("origin")
    assert [b"_streamlit_user=u; theme=dark"] == got.values("cookie")
    assert [b"Firefox"] == got.values("user-agent")
    assert [b"r-1"] == got.values("x-request-id")
    assert [b"127.0.0.1"] == got.values("x-forwarded-for")
    assert [b"http"] == got.values("x-forwarded-proto")
    for name in ("authorization", "x-fluxlit-user-id", "sec-websocket-extensions"):
        assert [] == got.values(name)
    assert 1 == len(got.values("sec-websocket-key")) == len(got.values("sec-websocket-version"))


@pytest.mark.parametrize(
    ("answered", "told"),
    [
        (b"403 Forbidden", 403),
        (b"404 Not Found", 404),
        (b"500 Oops", 500),
        (b"200 OK", 502),
        (b"101 Switching Protocols", 502),
    ],
)
async def test_handshake__refused_by_the_sidecar(
    worker: Worker, sidecar: StubSidecar, answered: bytes, told: int
) -> None:
    """Its status passes; one that is no refusal is 502. Daphne can only say 403."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % answered)

    sidecar.answer = answer
    response = await shake_hands(worker)

    assert (told if worker.server == "uvicorn" else 403) == response.status


async def test_handshake__sidecar_talks_garbage(worker: Worker, sidecar: StubSidecar) -> None:
    """What is not HTTP is 502. Daphne can only say 403."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"no\r\n\r\n")
        exchange.writer.close()

    sidecar.answer = answer
    response = await shake_hands(worker)

    assert (502 if worker.server == "uvicorn" else 403) == response.status


@pytest.mark.parametrize("path", ["/away/_stcore/stream", "/failed/_stcore/stream"])
async def test_handshake__no_sidecar(worker: Worker, path: str) -> None:
    """Nobody there is 503. Daphne can only say 403."""
    response = await shake_hands(worker, path=path)

    assert (503 if worker.server == "uvicorn" else 403) == response.status


async def test_handshake__sidecar_hangs(start_worker: StartWorker, sidecar: StubSidecar) -> None:
    """A sidecar that does not answer a handshake in time is 504."""

    async def answer(exchange: Exchange) -> None:
        await exchange.closed()

    sidecar.answer = answer
    with start_worker("uvicorn", FLUXLIT_GATEWAY_WS_OPEN_TIMEOUT_S="0.5") as worker:
        response = await shake_hands(worker)

    assert 504 == response.status


@pytest.mark.parametrize(
    ("fields", "host", "status"),
    [
        pytest.param([(b"Origin", b"https://evil.example")], None, 403, id="foreign"),
        pytest.param([(b"Origin", b"null")], None, 403, id="null"),
        pytest.param([(b"Origin", b"http://[")], None, 403, id="unreadable"),
        pytest.param([(b"Origin", b"")], None, 403, id="empty"),
        pytest.param([(b"Origin", b"http://evil.example")], b"evil.example", 400, id="wrong host"),
    ],
)
async def test_handshake__from_elsewhere(
    worker: Worker, sidecar: StubSidecar, fields: Fields, host: bytes | None, status: int
) -> None:
    """A page of another origin opens no socket, and nothing is dialled for it.

    Daphne can only say 403, and refuses an unreadable Origin itself with 400.
    """
    response = await shake_hands(worker, fields, host=host)

    assert response.status in ({status} if worker.server == "uvicorn" else {400, 403})
    assert [] == sidecar.requests


async def test_handshake__without_origin(worker: Worker, sidecar: StubSidecar) -> None:
    """A missing Origin is refused: every browser sends one."""
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await open_socket(worker, origin=None)

    assert 403 == refusal.value.response.status_code
    assert [] == sidecar.requests


async def test_handshake__with_two_origins(worker: Worker, sidecar: StubSidecar) -> None:
    """Two Origins are refused, by the gateway or before it: which one counts would be a guess."""
    origin = worker.origin.encode()
    response = await shake_hands(worker, [(b"Origin", origin), (b"Origin", b"https://evil.example")])

    assert response.status in {400, 403}
    assert [] == sidecar.requests


# Access


async def test_anonymous__is_turned_away(worker: Worker, sidecar: StubSidecar) -> None:
    """Nobody signed in: the socket is closed with 4401, which a page can see, and nothing is dialled."""
    async with open_socket(worker, "/_stcore/stream") as socket:
        await asyncio.wait_for(socket.wait_closed(), TIMEOUT_S)

    assert 4401 == socket.close_code
    assert [] == sidecar.requests


async def test_viewer__without_the_right(
    worker: Worker, sidecar: StubSidecar, session_cookie: tuple[bytes, bytes]
) -> None:
    """Signed in and not allowed: closed with 4403, nothing dialled."""
    cookie = {"Cookie": session_cookie[1].decode()}
    async with open_socket(worker, "/staff/_stcore/stream", additional_headers=cookie) as socket:
        await asyncio.wait_for(socket.wait_closed(), TIMEOUT_S)

    assert 4403 == socket.close_code
    assert [] == sidecar.requests


async def test_viewer__is_named_to_the_sidecar(
    worker: Worker, sidecar: StubSidecar, session_cookie: tuple[bytes, bytes]
) -> None:
    """The handshake names the signed-in user, in headers that only the gateway can set."""

    async def answer(exchange: Exchange) -> None:
        await accept(exchange)
        await exchange.closed()

    sidecar.answer = answer
    forged = [(b"X-Fluxlit-User-Id", b"99"), (b"x-fluxlit-user-is-staff", b"true")]
    response = await shake_hands(worker, [session_cookie, *forged], path="/_stcore/stream")

    assert 101 == response.status
    named = {name: value for name, value in sidecar.request.headers if name.startswith(b"x-fluxlit-user-")}
    assert {
        b"x-fluxlit-user-id": b"1",
        b"x-fluxlit-user-username": b"ada",
        b"x-fluxlit-user-email": b"ada@example.org",
        b"x-fluxlit-user-name": "Zoë Lovelace".encode(),
        b"x-fluxlit-user-groups": b"admins, old,analysts",
        b"x-fluxlit-user-is-staff": b"false",
    } == named
    assert [] == sidecar.request.values("cookie")


@pytest.mark.parametrize("path", ["/open/page/_stcore/stream", "/open/_stcore/stream/", "/nowhere"])
async def test_path__that_is_no_stream(uvicorn_worker: Worker, sidecar: StubSidecar, path: str) -> None:
    """Any other path has no socket."""
    response = await shake_hands(uvicorn_worker, path=path)

    assert 404 == response.status
    assert [] == sidecar.requests


# What stays behind


async def test_nothing_stays_behind(worker: Worker, sidecar_socket: SocketSidecar) -> None:
    """After sockets of all kinds of ends, the worker holds no connection to a sidecar."""
    browsers: list[ClientConnection] = []
    async with open_socket(worker) as first, open_socket(worker) as second:
        browsers += [first, second]
        second.transport.abort()
    await sidecar_socket.close_seen()
    await sidecar_socket.close_seen()

    assert 2 == len(sidecar_socket.sockets) == len(browsers)
    assert all(socket.state is websockets.State.CLOSED for socket in sidecar_socket.sockets)


async def test_browser__leaves_a_sidecar_that_goes_on(worker: Worker, sidecar: StubSidecar) -> None:
    """A sidecar that goes on sending, whatever it is told, is cut off."""
    sent = 0
    cut = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        nonlocal sent
        await accept(exchange)
        with contextlib.suppress(ConnectionError):
            while True:
                await exchange.send(b"\x82\x7e\xff\xff" + bytes(65535))
                sent += 1
        cut.set()

    sidecar.answer = answer
    async with connected(worker.port) as connection:
        await connection.send(handshake(worker))
        assert 101 == (await connection.head()).status
        await _settle(lambda: sent)
        connection.reset()
    await asyncio.wait_for(cut.wait(), TIMEOUT_S)

"""Bad input at the door: what each server makes of it, and what the gateway adds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import browser
from tests.gateway.browser import connected, fetch
from tests.gateway.conftest import StartWorker
from tests.gateway.sidecar import Exchange, StubSidecar
from tests.gateway.sockets import accept, handshake, shake_hands
from tests.gateway.worker import Worker

MIB = 1 << 20


@pytest.fixture(scope="module")
def h11_worker(start_worker: StartWorker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """uvicorn without httptools and uvloop, as it is installed without the `fast` extra."""
    folder: Path = tmp_path_factory.mktemp("hidden")
    for name in ("httptools", "uvloop"):
        (folder / f"{name}.py").write_text("raise ImportError")
    with start_worker("uvicorn", PYTHONPATH=str(folder)) as worker:
        yield worker


@pytest.fixture(params=["uvicorn", "h11", "daphne"])
def any_worker(request: pytest.FixtureRequest) -> Worker:
    """A worker on each server and each of uvicorn's parsers."""
    worker: Worker = request.getfixturevalue(f"{request.param}_worker")
    return worker


async def all_of(worker: Worker, data: bytes) -> bytes:
    """All that comes back for these bytes until the connection ends."""
    async with connected(worker.port) as connection:
        with contextlib.suppress(ConnectionError):
            await connection.send(data)
        return await connection.ended()


@pytest.mark.parametrize(
    "line",
    [
        b"complete nonsense",
        b"GET",
        b"GET /a b HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01",  # the start of a TLS handshake
        b"GET /\xff\xfe HTTP/1.1",
    ],
)
async def test_request_line__malformed(any_worker: Worker, sidecar: StubSidecar, line: bytes) -> None:
    """What is not HTTP gets 400 or is cut off, and the worker goes on."""
    answer = await all_of(any_worker, line + b"\r\nHost: testserver\r\nConnection: close\r\n\r\n")

    assert answer == b"" or b" 400 " in answer.split(b"\r\n")[0]
    assert 200 == (await fetch(any_worker.port, "/api/healthz")).status
    assert [] == sidecar.requests


@pytest.mark.parametrize(
    "fields",
    [
        [(b"Content-Length", b"5"), (b"Content-Length", b"6")],
        [(b"Content-Length", b"-1")],
        [(b"Content-Length", b"9" * 5000)],
        [(b"Content-Length", b"abc")],
        [(b"Bad Name", b"x")],
        [(b"X-Nul", b"a\x00b")],
        [(b"Transfer-Encoding", b"gzip")],
    ],
    ids=lambda fields: fields[-1][0].decode() + "-" + fields[-1][1][:3].decode(),
)
async def test_header__malformed(
    any_worker: Worker, sidecar: StubSidecar, fields: list[tuple[bytes, bytes]]
) -> None:
    """Framing that cannot be right never reaches a sidecar, and is no 500."""
    data = browser.request("PUT", "/open/_stcore/upload_file/a/b", [*fields, (b"Connection", b"close")])
    answer = await all_of(any_worker, data + b"hello")

    status = answer.split(b"\r\n")[0]
    assert answer == b"" or any(code in status for code in (b" 400 ", b" 411 ", b" 413 ", b" 501 ")), answer
    assert [] == sidecar.requests


@pytest.mark.parametrize(
    "head",
    [
        b"GET /open/media/a HTTP/1.1\nHost: testserver\n\n",
        b"GET /open/media/a HTTP/1.1\r\nHost: testserver\r\nAccept: a\ntraceparent: b\r\n\r\n",
    ],
    ids=["all lines", "in a value"],
)
async def test_header__bare_line_feed(any_worker: Worker, sidecar: StubSidecar, head: bytes) -> None:
    """A line feed alone ends no line: a proxy in front may take it for a part of a value."""
    middle = head.index(b"\n")
    last = browser.request("GET", "/api/healthz", [(b"Connection", b"close")])
    async with connected(any_worker.port) as connection:
        await connection.send(head[:middle])
        with contextlib.suppress(ConnectionError):
            await connection.send(head[middle:] + last)
        await connection.ended()

    assert not any(request.values("traceparent") for request in sidecar.requests)


@pytest.mark.parametrize(
    "fields",
    [
        [(b"X-Big", b"x" * 60_000), (b"X-More", b"y" * 20_000)],
        [(b"X-%d" % number, b"x" * 1000) for number in range(90)],
    ],
    ids=["large", "many"],
)
async def test_header__oversized(
    any_worker: Worker, sidecar: StubSidecar, fields: list[tuple[bytes, bytes]]
) -> None:
    """More than the limit is 431; h11, with a limit of its own, says 400, and Twisted may just cut it off."""
    answer = await all_of(
        any_worker, browser.request("GET", "/open/media/a", [*fields, (b"Connection", b"close")])
    )

    status = answer.split(b"\r\n")[0]
    assert answer == b"" or b" 431 " in status or b" 400 " in status
    assert [] == sidecar.requests


@pytest.mark.parametrize("name", ["uvicorn", "h11"])
async def test_handshake__large_header(
    request: pytest.FixtureRequest, sidecar: StubSidecar, name: str
) -> None:
    """A handshake may be as large as any request. Not on Daphne: Twisted's limit is 16 KiB in all."""

    async def answer(exchange: Exchange) -> None:
        await accept(exchange)
        await exchange.closed()

    worker: Worker = request.getfixturevalue(f"{name}_worker")
    sidecar.answer = answer
    fields = [(b"Cookie", b"_streamlit_user=" + b"x" * 50_000), *((b"X-%d" % n, b"x") for n in range(150))]

    assert 101 == (await shake_hands(worker, fields)).status


@pytest.mark.parametrize(
    "fields", [[(b"Content-Length", b"40")], [(b"Transfer-Encoding", b"chunked")]], ids=["length", "chunked"]
)
async def test_handshake__with_a_body(any_worker: Worker, fields: list[tuple[bytes, bytes]]) -> None:
    """What follows a handshake is no second request, and the connection does not stay without an answer."""
    second = b"GET /api/healthz HTTP/1.1\r\nHost: testserver\r\n\r\n"
    async with connected(any_worker.port) as connection:
        await connection.send(handshake(any_worker, fields) + b"0\r\n\r\n" + second)
        answer = await connection.ended()

    assert b"application/json" not in answer
    assert answer.count(b"HTTP/1.1") <= 1


async def test_header__below_the_limit(uvicorn_worker: Worker, sidecar: StubSidecar) -> None:
    """A large header that is not too large passes, as one with a few big cookies may be.

    Not on Daphne: Twisted's limit is 16 KiB for all headers.
    """
    cookie = b"_streamlit_user=" + b"x" * 50_000
    response = await fetch(uvicorn_worker.port, "/open/media/a", [(b"Cookie", cookie)])

    assert 200 == response.status
    assert [cookie] == sidecar.request.values("cookie")


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nX-Endless: ", b"GET /"])
async def test_header__endless(any_worker: Worker, start: bytes) -> None:
    """A header without an end is refused before it fills the memory."""
    before = any_worker.forget_peak()
    async with connected(any_worker.port) as connection:
        sent = len(start)
        with contextlib.suppress(ConnectionError):
            await connection.send(start)
            while sent < 64 * MIB and not connection.reader.at_eof():
                await connection.send(b"x" * 65536)
                sent += 65536
        answer = await connection.ended()

    assert answer == b"" or any(code in answer[:13] for code in (b" 400", b" 414", b" 431"))
    assert sent < 64 * MIB
    assert any_worker.peak() - before < 8 * MIB


async def test_target__too_long(uvicorn_worker: Worker, sidecar: StubSidecar) -> None:
    """A target over the limit is 414; 10,000 characters are no more than long (see test_http)."""
    response = await fetch(uvicorn_worker.port, b"/open/media/" + b"x" * 17_000)

    assert 414 == response.status
    assert [] == sidecar.requests


@pytest.mark.parametrize(
    "host", [b"evil.example", b"testserver@evil.example", b"", b"testserver, evil.example"]
)
@pytest.mark.parametrize("target", ["/open/", "/open/media/a", "/open/favicon.png", "/api/echo/"])
async def test_host__unknown(
    any_worker: Worker, sidecar: StubSidecar, target: str, host: bytes | None
) -> None:
    """A Host that is not in ALLOWED_HOSTS is 400 on every way, and nothing is asked for it."""
    response = await fetch(any_worker.port, target, [(b"Connection", b"close")], host=host)

    assert 400 == response.status
    assert [] == sidecar.requests


async def test_host__twice(any_worker: Worker, sidecar: StubSidecar) -> None:
    """Two Hosts are 400: which one counts would be a guess."""
    fields = [(b"Host", b"evil.example"), (b"Connection", b"close")]
    response = await fetch(any_worker.port, "/open/media/a", fields)

    assert 400 == response.status
    assert [] == sidecar.requests


@pytest.mark.parametrize(
    "trailer",
    [b"traceparent: 00-1", b"Accept-Language: xx", b"X-Fluxlit-User-Id: 1"],
    ids=lambda trailer: trailer.partition(b":")[0].decode(),
)
async def test_trailer__is_no_header(any_worker: Worker, sidecar: StubSidecar, trailer: bytes) -> None:
    """A field behind a chunked body, which proxies pass on unseen, counts for nothing."""
    chunked = [(b"Transfer-Encoding", b"chunked"), (b"Connection", b"close")]
    head = browser.request("PUT", "/open/_stcore/upload_file/a/b", chunked)
    answer = await all_of(any_worker, head + b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n")

    name, _, value = trailer.partition(b": ")
    assert b" 400 " in answer.split(b"\r\n")[0] or value not in sidecar.request.values(name.decode().lower())


async def test_probe__asks_for_no_host(any_worker: Worker) -> None:
    """Probes come by address, whatever ALLOWED_HOSTS says."""
    response = await fetch(any_worker.port, "/api/healthz", host=b"10.1.2.3:8000")

    assert 200 == response.status


async def test_pipelining__answers_in_order(any_worker: Worker, sidecar: StubSidecar) -> None:
    """Requests sent at once are answered one after the other."""
    async with connected(any_worker.port) as connection:
        await connection.send(
            b"".join(browser.request("GET", f"/open/media/{number}") for number in range(5))
        )
        statuses = [(await connection.response()).status for _ in range(5)]

    assert [200] * 5 == statuses
    assert [b"/open/media/%d" % number for number in range(5)] == [got.target for got in sidecar.requests]


async def test_share__of_one_who_uploads_slowly(
    start_worker: StartWorker, sidecar: StubSidecar, session_cookie: tuple[bytes, bytes]
) -> None:
    """Whoever keeps requests open gets no more than a share, and others get through."""
    upload = browser.request("PUT", "/open/_stcore/upload_file/a/b", [(b"Content-Length", b"9")])
    with start_worker("uvicorn", FLUXLIT_GATEWAY_MAX_CONCURRENT_UPSTREAM_HTTP="16") as worker:
        async with connected(worker.port) as first, connected(worker.port) as second:
            for slow in (first, second):
                await slow.send(upload + b"x")
                await sidecar.arrival()
            third = await fetch(worker.port, "/open/media/a")
            other = await fetch(worker.port, "/open/media/a", [session_cookie])
            await first.send(b"x" * 8)
            done = await first.response()
        again = await fetch(worker.port, "/open/media/a")

    assert (503, 200, 200, 200) == (third.status, other.status, done.status, again.status)
    assert third.header("retry-after")


async def test_many_at_once(any_worker: Worker, sidecar: StubSidecar) -> None:
    """Slow requests do not hold up others."""
    release = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        if b"slow" in exchange.request.target:
            await release.wait()
        await exchange.reply()

    sidecar.answer = answer
    slow = [asyncio.create_task(fetch(any_worker.port, f"/open/media/slow{number}")) for number in range(50)]
    quick = await fetch(any_worker.port, "/open/media/quick")
    release.set()

    assert 200 == quick.status
    assert {200} == {(await task).status for task in slow}

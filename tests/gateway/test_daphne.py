"""What is particular to Daphne as the gateway's server.

Most of what a gateway has to do is tested on both servers, in the modules of the parts. What Daphne cannot
do: it reads an upload whole before the application starts (`test_upload__is_read_before_it_is_refused`), has
one status for every refused handshake (`test_handshake__refusal_is_403`), does not say why a browser left
(`test_close__reason_is_lost`), and limits the header to 16 KiB (`test_header__limit`). HTTP/2 is not used.
"""

from __future__ import annotations

import asyncio
import socket

from tests.gateway.browser import connected, fetch, request
from tests.gateway.conftest import StartWorker
from tests.gateway.sidecar import Exchange, StubSidecar
from tests.gateway.sockets import SocketSidecar, open_socket, shake_hands
from tests.gateway.worker import Worker

MIB = 1 << 20
UPLOAD = "/open/_stcore/upload_file/session/file"


async def test_upload__is_read_before_it_is_refused(daphne_worker: Worker, sidecar: StubSidecar) -> None:
    """A length over the cap is 413 once the body is here, and the sidecar still hears nothing of it."""
    size = 3 * MIB
    async with connected(daphne_worker.port) as connection:
        await connection.send(request("PUT", UPLOAD, [(b"Content-Length", b"%d" % size)]))
        answer = asyncio.create_task(connection.response())
        await connection.send(bytes(size - 1))
        done, _ = await asyncio.wait({answer}, timeout=0.3)
        assert not done

        await connection.send(b"x")
        response = await answer

    assert 413 == response.status
    assert [] == sidecar.requests


async def test_handshake__refusal_is_403(daphne_worker: Worker) -> None:
    """A refused WebSocket is 403, whatever the reason."""
    assert 403 == (await shake_hands(daphne_worker, path="/away/_stcore/stream")).status
    assert 403 == (await shake_hands(daphne_worker, path="/nowhere")).status


async def test_close__reason_is_lost(daphne_worker: Worker, sidecar_socket: SocketSidecar) -> None:
    """The sidecar learns with which code a browser left, and not why."""
    async with open_socket(daphne_worker) as browser:
        await browser.close(4000, "tab closed")

    assert (4000, "") == await sidecar_socket.close_seen()


async def test_header__limit(daphne_worker: Worker, sidecar: StubSidecar) -> None:
    """A header of 8 KiB passes; on one of 16 KiB, Twisted cuts the connection off."""
    small = await fetch(daphne_worker.port, "/open/media/a", [(b"Cookie", b"_streamlit_user=" + b"x" * 8192)])
    async with connected(daphne_worker.port) as connection:
        await connection.send(request("GET", "/open/media/a", [(b"Cookie", b"x" * 16384)]))
        large = await connection.ended()

    assert (200, b"") == (small.status, large)
    assert 1 == len(sidecar.requests)


async def test_failing_answers__leave_nothing_behind(daphne_worker: Worker, sidecar: StubSidecar) -> None:
    """After answers that broke off, Daphne goes on reaping finished connections, and serving."""

    async def answer(exchange: Exchange) -> None:
        if exchange.request.target.endswith(b"broken"):
            await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\nstart")
            exchange.writer.close()
        else:
            await exchange.reply()

    sidecar.answer = answer
    for _ in range(3):
        assert not (await fetch(daphne_worker.port, "/open/media/broken")).is_complete
    await asyncio.sleep(1.2)  # Daphne looks after its connections once a second

    assert 200 == (await fetch(daphne_worker.port, "/open/media/a")).status
    assert "already been started" not in daphne_worker.log.read_text()


async def test_slow_download__costs_little_memory(start_worker: StartWorker, sidecar: StubSidecar) -> None:
    """A browser that does not read stops the sidecar, instead of filling the worker's memory."""
    size = 100 * MIB

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(100):
            await exchange.send(bytes(MIB))

    sidecar.answer = answer
    with start_worker("daphne") as worker:
        await fetch(worker.port, "/open/media/warm", method="HEAD")
        before = worker.forget_peak()
        received = 0
        async with connected(worker.port) as connection:
            await connection.send(request("GET", "/open/media/large"))
            response = await connection.head()
            await asyncio.sleep(1)
            assert worker.peak() - before < 20 * MIB
            async for piece in connection.pieces(response):
                received += len(piece)

        assert size == received
        assert worker.peak() - before < 20 * MIB


async def test_ipv6(start_worker: StartWorker, sidecar: StubSidecar) -> None:
    """A listening socket of the other family does as well."""
    with (
        start_worker("daphne", host="::1") as worker,
        socket.create_connection(("::1", worker.port), timeout=10) as connection,
    ):
        connection.sendall(request("GET", "/api/healthz"))
        answer = await asyncio.to_thread(connection.recv, 4096)

    assert answer.startswith(b"HTTP/1.1 200 OK")

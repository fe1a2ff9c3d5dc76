"""A worker's life: it serves when it says so, drains on SIGTERM, and never outlives its supervisor."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.gateway.browser import connected, fetch, request
from tests.gateway.conftest import StartWorker
from tests.gateway.sidecar import Exchange, StubSidecar
from tests.gateway.sockets import RERUN, STREAM, TIMEOUT_S, accept, open_socket, shake_hands
from tests.gateway.worker import ROOT, STOP_TIMEOUT_S, Worker

RERUN_FINISHED = b"\x82\x02\x30\x00"  # a frame with ForwardMsg.script_finished


async def exit_code(worker: Worker) -> int:
    """The worker's exit code, once it has ended."""
    return await asyncio.to_thread(worker.process.wait, STOP_TIMEOUT_S)


async def not_ready(worker: Worker) -> Any:
    """Ask the readiness probe until it says 503, and give what it says then."""
    for _ in range(100):
        response = await fetch(worker.port, "/api/readyz")
        if response.status == 503:
            return json.loads(response.body)
        await asyncio.sleep(0.05)
    pytest.fail("still ready")


async def test_garbage__after_the_start(start_worker: StartWorker, server: str) -> None:
    """What a worker has loaded is looked at no more, and all else is collected again."""
    with start_worker(server) as worker:
        garbage = json.loads((await fetch(worker.port, "/api/garbage/")).body)

    assert garbage["is_collected"]
    assert garbage["set_aside"] > 10_000


class Busy:
    """A sidecar with a download and a rerun under way."""

    def __init__(self) -> None:
        self.end_download = asyncio.Event()
        self.end_rerun = asyncio.Event()
        self.rerun_asked = asyncio.Event()

    async def answer(self, exchange: Exchange) -> None:
        if STREAM.encode() in exchange.request.target:
            await accept(exchange)
            if b"?idle" not in exchange.request.target:
                await exchange.reader.readexactly(6 + len(RERUN))
                self.rerun_asked.set()
                await self.end_rerun.wait()
                await exchange.send(RERUN_FINISHED)
            await exchange.closed()
        elif exchange.request.target.endswith(b"/download"):
            await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await exchange.chunk(b"first")
            await self.end_download.wait()
            await exchange.chunk(b"last")
            await exchange.chunk(b"")
        else:
            await exchange.reply()


@pytest.mark.parametrize("last", ["rerun", "download"])
async def test_sigterm__drains(
    start_worker: StartWorker, sidecar: StubSidecar, server: str, last: str
) -> None:
    """What runs goes on to its end; new sockets and the readiness probe are refused; then all close."""
    busy = Busy()
    sidecar.answer = busy.answer
    with start_worker(server) as worker:
        async with (
            open_socket(worker, f"{STREAM}?idle", subprotocols=None) as idle,
            open_socket(worker, subprotocols=None) as running,
            connected(worker.port) as browser,
        ):
            await running.send(RERUN)
            await asyncio.wait_for(busy.rerun_asked.wait(), TIMEOUT_S)
            await browser.send(request("GET", "/open/media/download"))
            download = await browser.head()
            pieces = browser.pieces(download)
            assert b"first" == await anext(pieces)

            async def end_download() -> None:
                busy.end_download.set()
                assert [b"last"] == [piece async for piece in pieces]
                assert download.is_complete

            async def end_rerun() -> None:
                busy.end_rerun.set()
                assert RERUN_FINISHED[2:] == await asyncio.wait_for(running.recv(), TIMEOUT_S)

            worker.terminate()
            await not_ready(worker)
            refused = await shake_hands(worker)
            assert (503 if server == "uvicorn" else 403) == refused.status
            assert 200 == (await fetch(worker.port, "/open/media/short")).status

            for ending in (end_download, end_rerun) if last == "rerun" else (end_rerun, end_download):
                assert 503 == (await fetch(worker.port, "/api/readyz")).status  # something is still under way
                await ending()
            for socket in (idle, running):
                await asyncio.wait_for(socket.wait_closed(), TIMEOUT_S)
                assert (1012, "service restart") == (socket.close_code, socket.close_reason)
        assert 0 == await exit_code(worker)


async def test_sigterm__gives_a_limited_time(
    start_worker: StartWorker, sidecar: StubSidecar, server: str
) -> None:
    """A rerun and a transfer that don't end are broken off when their time is up."""
    busy = Busy()
    sidecar.answer = busy.answer
    with start_worker(server, FLUXLIT_GRACEFUL_SHUTDOWN_TIMEOUT_S="0.3") as worker:
        async with open_socket(worker, subprotocols=None) as running, connected(worker.port) as browser:
            await running.send(RERUN)
            await asyncio.wait_for(busy.rerun_asked.wait(), TIMEOUT_S)
            await browser.send(request("GET", "/open/media/download"))
            download = await browser.head()

            worker.terminate()

            await asyncio.wait_for(running.wait_closed(), TIMEOUT_S)
            assert 1012 == running.close_code
            assert 0 == await exit_code(worker)
            assert [b"first"] == [piece async for piece in browser.pieces(download)]
            assert not download.is_complete


async def test_sigterm__with_a_browser_that_does_not_read(
    start_worker: StartWorker, sidecar: StubSidecar, server: str
) -> None:
    """A browser that takes nothing in cannot keep a worker from stopping."""
    sent = 0

    async def answer(exchange: Exchange) -> None:
        nonlocal sent
        await accept(exchange)
        while True:
            await exchange.send(b"\x82\x7f" + (1 << 20).to_bytes(8, "big") + bytes(1 << 20))
            sent += 1

    sidecar.answer = answer
    with start_worker(server, FLUXLIT_GRACEFUL_SHUTDOWN_TIMEOUT_S="0.3") as worker:
        async with open_socket(worker, subprotocols=None, max_queue=1, close_timeout=0.1):
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.3)

            worker.terminate()

            assert 0 == await exit_code(worker)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal__when_idle(start_worker: StartWorker, server: str, number: signal.Signals) -> None:
    """With nothing under way a worker stops at once, with exit code 0."""
    with start_worker(server) as worker:
        worker.process.send_signal(number)
        code = await exit_code(worker)

    assert 0 == code


async def test_supervisor__gone(start_worker: StartWorker, sidecar: StubSidecar, server: str) -> None:
    """The end of the control line ends the worker, whatever it is doing."""
    busy = Busy()
    sidecar.answer = busy.answer
    with start_worker(server) as worker:
        async with open_socket(worker, subprotocols=None) as running:
            await running.send(RERUN)
            await asyncio.wait_for(busy.rerun_asked.wait(), TIMEOUT_S)

            worker.line.close()

            assert 1 == await asyncio.to_thread(worker.process.wait, 1.0)


async def test_sidecars__are_followed(start_worker: StartWorker, server: str) -> None:
    """What the supervisor tells of the sidecars counts from then on."""
    with start_worker(server) as worker:
        worker.tell([])
        report = await not_ready(worker)

    assert {} == report["apps"]["open"]["sidecars"]


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"FLUXLIT_GATEWAY_PORT": "many"}, "FLUXLIT_GATEWAY_PORT is 'many': use a whole number"),
        ({"DJANGO_SETTINGS_MODULE": "tests.sidecar.settings"}, "ASGI_APPLICATION is not set"),
    ],
)
def test_configuration__that_cannot_be_used(env: dict[str, str], said: str) -> None:
    """A worker that cannot start says why, in a line, and exits with 1."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.gateway.settings"} | env
    result = subprocess.run(
        [sys.executable, "-m", "fluxlit_django.gateway"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert 1 == result.returncode
    assert said in result.stderr
    assert "Traceback" not in result.stderr

"""The access log: one line per request and per socket, from real workers of both servers."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import re
from typing import Any

import pytest
import websockets

from fluxlit_django.gateway import observation
from fluxlit_django.gateway.access_log import AccessLog
from fluxlit_django.redaction.records import Redaction
from tests.gateway.browser import Response, connected, fetch, request
from tests.gateway.conftest import StartWorker
from tests.gateway.scopes import http_scope
from tests.gateway.sidecar import StubSidecar
from tests.gateway.sockets import TIMEOUT_S, SocketSidecar, open_socket, shake_hands
from tests.gateway.worker import Worker

LINE = re.compile(
    r"(?P<time>\S+ \S+) INFO +(?P<method>\S+) (?P<target>\S+) (?P<status>\S+) (?P<ms>[\d.]+)ms"
    r" in=(?P<bytes_in>\d+) out=(?P<bytes_out>\d+) viewer=(?P<viewer>\S+) app=(?P<app>\S+)"
    r" sidecar=(?P<sidecar>\S+)(?P<more>.*) request_id=(?P<id>\S+)"
)


async def lines_of(worker: Worker, request_id: str) -> list[str]:
    """The lines of a request, once there is one; it is written when the answer is on its way already."""
    deadline = asyncio.get_running_loop().time() + TIMEOUT_S
    while asyncio.get_running_loop().time() < deadline:
        lines = [line for line in worker.log.read_text().splitlines() if f"request_id={request_id}" in line]
        if any(LINE.fullmatch(line) for line in lines):
            return lines
        await asyncio.sleep(0.02)
    raise AssertionError(worker.log.read_text())


async def line_of(worker: Worker, response: Response) -> dict[str, str]:
    """The fields of the one line of a response."""
    request_id = (response.header("x-request-id") or b"").decode()
    found = [match for line in await lines_of(worker, request_id) if (match := LINE.fullmatch(line))]
    assert 1 == len(found)
    return found[0].groupdict()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/api/echo/", ("200", "-", "-", "")),
        ("/nowhere-in-particular", ("302", "default", "-", "")),
        ("/open/", ("200", "open", "-", "")),
        ("/open/manifest.json", ("200", "open", "-", "")),
        ("/open/_stcore/metrics", ("404", "-", "-", "")),
        ("/open/media/a.png", ("200", "open", "open-0", "")),
        ("/media/a.png", ("401", "default", "-", " refused=sign_in")),
        ("/away/media/a.png", ("503", "away", "away-0", " upstream=unavailable")),
        ("/open/%1b%5B2J", ("200", "open", "-", "")),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
async def test_line(
    worker: Worker, sidecar: StubSidecar, target: str, expected: tuple[str, str, str, str]
) -> None:
    """Whoever answers, the line is the same."""
    response = await fetch(worker.port, target)
    line = await line_of(worker, response)

    assert expected == (line["status"], line["app"], line["sidecar"], line["more"])
    assert ("GET", "0", "-") == (line["method"], line["bytes_in"], line["viewer"])
    assert str(len(response.body)) == line["bytes_out"]
    assert target[:900] == line["target"][:900]


async def test_line__long(uvicorn_worker: Worker) -> None:
    """A target of any length is cut in the log."""
    response = await fetch(uvicorn_worker.port, "/" + "x" * 17_000)

    line = await line_of(uvicorn_worker, response)
    assert ("414", " refused=url_too_long") == (line["status"], line["more"])
    assert "/" + "x" * 999 + "…" == line["target"]


async def test_line__host(worker: Worker) -> None:
    """A host that is not served is a refusal."""
    response = await fetch(worker.port, "/open/manifest.json", host=b"evil.example")

    assert " refused=host" == (await line_of(worker, response))["more"]


async def test_line__secrets(worker: Worker) -> None:
    """Secrets of the query are not in it; by which name the URL session goes is a setting."""
    response = await fetch(worker.port, "/open/?code=abc&fluxlit_sid=def&page=2&next=%2Fx%3Ftoken%3Dghi")

    target = (await line_of(worker, response))["target"]
    assert "/open/?code=[REDACTED]&fluxlit_sid=[REDACTED]&page=2&next=/x%3Ftoken%3D[REDACTED]" == target


async def test_line__upload(
    worker: Worker, sidecar: StubSidecar, session_cookie: tuple[bytes, bytes]
) -> None:
    """Bytes in are the body's, the viewer is the signed-in user, and the session's id is nobody's to read."""
    response = await fetch(
        worker.port, "/_stcore/upload_file/a-session/f", [session_cookie], method="PUT", body=b"x" * 1000
    )

    line = await line_of(worker, response)
    shown = line["more"].removeprefix(" session=")
    assert re.fullmatch("[0-9a-f]{8}", shown)
    assert f"/_stcore/upload_file/{shown}/f" == line["target"]
    assert ("PUT", "1000", "1", "default-0") == (
        line["method"],
        line["bytes_in"],
        line["viewer"],
        line["sidecar"],
    )


async def test_line__viewer_of_django(worker: Worker, session_cookie: tuple[bytes, bytes]) -> None:
    """For what Django answers, the viewer is whom its middleware found."""
    response = await fetch(worker.port, "/a-page", [session_cookie])

    line = await line_of(worker, response)
    assert ("200", "1", "default") == (line["status"], line["viewer"], line["app"])


async def test_line__given_id(worker: Worker) -> None:
    """A request's own id is kept, returned, and the id of Django's lines too."""
    response = await fetch(worker.port, "/api/none", [(b"X-Request-ID", b"edge-4711")])

    lines = await lines_of(worker, "edge-4711")
    assert b"edge-4711" == response.header("x-request-id")
    assert any("django.request: Not Found: /api/none" in line for line in lines)


async def test_line__gone(uvicorn_worker: Worker, sidecar: StubSidecar) -> None:
    """A browser that leaves before its answer has a line without a status."""
    worker = uvicorn_worker
    async with connected(worker.port) as connection:

        async def never(exchange: object) -> None:
            await asyncio.Event().wait()

        sidecar.answer = never
        fields = [(b"X-Request-ID", b"gone"), (b"Content-Length", b"100")]
        await connection.send(request("PUT", "/open/_stcore/upload_file/s/f", fields) + b"x" * 10)
        await sidecar.arrival()
        connection.reset()
        lines = await lines_of(worker, "gone")

    match = LINE.fullmatch(lines[-1])
    assert match is not None
    assert "-" == match["status"]


async def test_line__probe(worker: Worker) -> None:
    """Probes are not in the log unless it is at debug."""
    probe = await fetch(worker.port, "/api/healthz")
    after = await fetch(worker.port, "/api/echo/")
    await line_of(worker, after)

    assert (probe.header("x-request-id") or b"").decode() not in worker.log.read_text()


async def test_line__socket(worker: Worker, sidecar_socket: SocketSidecar) -> None:
    """A socket has one line at its end, with what passed and how it closed; its id is in its handshake."""
    async with open_socket(worker) as socket:
        await socket.send(b"12345")
        await socket.recv()
        await socket.send("€")
        await socket.recv()
        request_id = socket.response.headers["X-Request-ID"]
        during = worker.log.read_text()
        await socket.close(4242)
    line = LINE.fullmatch((await lines_of(worker, request_id))[-1])

    assert request_id not in during
    assert line is not None
    assert ("WEBSOCKET", "/open/_stcore/stream", "101") == line.group("method", "target", "status")
    assert ("8", "8", "open", "open-0") == line.group("bytes_in", "bytes_out", "app", "sidecar")
    assert " reruns=0 close=4242" == line["more"]


@pytest.mark.parametrize(
    ("fields", "path", "more"),
    [
        ([(b"Origin", b"https://evil.example")], "/open/_stcore/stream", " refused=origin"),
        ([], "/away/_stcore/stream", " upstream=unavailable"),
        ([], "/elsewhere", ""),
    ],
)
async def test_line__refused_socket(
    worker: Worker, fields: list[tuple[bytes, bytes]], path: str, more: str
) -> None:
    """A refused handshake has a line with its status and reason."""
    request_id = f"no-{worker.server}-{len(more)}"
    response = await shake_hands(worker, [*fields, (b"X-Request-ID", request_id.encode())], path=path)

    line = LINE.fullmatch((await lines_of(worker, request_id))[-1])
    assert line is not None
    assert ("WEBSOCKET", more) == (line["method"], line["more"])
    if worker.server == "uvicorn":  # Daphne answers 403, whatever it is told
        assert (str(response.status), b"no-" in (response.header("x-request-id") or b"")) == (
            line["status"],
            True,
        )


async def test_line__socket_signed_out(worker: Worker) -> None:
    """A socket that is turned away was accepted and then closed, with a reason of ours."""
    async with open_socket(worker, "/_stcore/stream") as socket:
        request_id = socket.response.headers["X-Request-ID"]
        with contextlib.suppress(websockets.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), TIMEOUT_S)
    line = LINE.fullmatch((await lines_of(worker, request_id))[-1])

    assert line is not None
    assert " reruns=0 close=4401 refused=sign_in" == line["more"]


async def test_json(start_worker: StartWorker, server: str) -> None:
    """With FLUXLIT_LOG_FORMAT=json each line is an object, with the fields apart."""
    with start_worker(server, FLUXLIT_LOG_FORMAT="json", FLUXLIT_LOG_LEVEL="debug") as worker:
        await shake_hands(worker, path="/elsewhere?token=abc")
        await fetch(worker.port, "/open/?token=abc", [(b"X-Request-ID", b"mine")])
        await fetch(worker.port, "/api/healthz", [(b"X-Request-ID", b"probe")])
        ours: dict[str, dict[str, object]] = {}
        deadline = asyncio.get_running_loop().time() + TIMEOUT_S
        while len(ours) < 2 and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
            lines = [json.loads(line) for line in worker.log.read_text().splitlines()]
            ours = {line["request_id"]: line for line in lines if line["logger"] == "fluxlit_django.access"}

    assert ("GET", "/open/", "token=[REDACTED]", 200, None, "django") == tuple(
        ours["mine"][name] for name in ("method", "path", "query", "status", "viewer", "dispatch")
    )
    assert ("DEBUG", "probe") == (ours["probe"]["level"], ours["probe"]["dispatch"])
    assert not any("abc" in json.dumps(line) for line in lines)  # nor do the servers say it


def test_record__has_what_others_add() -> None:
    """Tracing libraries add to every record what their formats then name; ours is no exception."""
    before = logging.getLogRecordFactory()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(trace)s %(message)s"))
    logger = logging.Logger("access")
    logger.addHandler(handler)

    def make(*arguments: Any, **more: Any) -> logging.LogRecord:
        record = before(*arguments, **more)
        record.trace = "t-1"
        return record

    logging.setLogRecordFactory(make)
    try:
        with observation.observing(http_scope("/x"), [AccessLog(Redaction(), logger)]):
            """Nothing is answered."""
    finally:
        logging.setLogRecordFactory(before)

    assert stream.getvalue().startswith("t-1 GET /x - ")


async def test_off(start_worker: StartWorker) -> None:
    """The log can be switched off; ids are returned all the same."""
    with start_worker("uvicorn", FLUXLIT_ENABLE_GATEWAY_ACCESS_LOG="false") as worker:
        response = await fetch(worker.port, "/api/none", [(b"X-Request-ID", b"mine")])
        log = worker.log.read_text()

    assert b"mine" == response.header("x-request-id")
    assert "GET /api/none 404" not in log

"""The metrics: what is counted, and who may read it, from real workers of both servers."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import websockets
from prometheus_client import CollectorRegistry

from fluxlit_django.control import SidecarStatus
from fluxlit_django.gateway import observation
from fluxlit_django.gateway.metrics import Metrics, SidecarCollector
from fluxlit_django.gateway.observation import Dispatch
from fluxlit_django.gateway.upstream import Directory
from tests.gateway.browser import fetch
from tests.gateway.conftest import StartWorker
from tests.gateway.scopes import http_scope
from tests.gateway.sidecar import StubSidecar
from tests.gateway.sockets import TIMEOUT_S, SocketSidecar, open_socket, shake_hands
from tests.gateway.worker import Worker

PATH = "/__fluxlit/metrics"
ON = {"FLUXLIT_ENABLE_GATEWAY_PROMETHEUS_METRICS": "true"}


async def scrape(worker: Worker, path: str = PATH) -> dict[str, float]:
    """The series of a worker, by name and labels."""
    response = await fetch(worker.port, path)
    assert 200 == response.status
    lines = [line for line in response.body.decode().splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


async def scrape_until(worker: Worker, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """The series once something is in them; what ended is counted when its answer is on its way already."""
    deadline = asyncio.get_running_loop().time() + TIMEOUT_S
    while True:
        found = await scrape(worker)
        if holds(found):
            return found
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.05)


async def test_requests(start_worker: StartWorker, sidecar: StubSidecar, server: str) -> None:
    """Requests count by who answers, by method and by class of status; probes and scrapes do not."""
    with start_worker(server, **ON) as worker:
        await fetch(worker.port, "/api/echo/")
        await fetch(worker.port, "/api/none")
        await fetch(worker.port, "/open/")
        await fetch(worker.port, "/open/manifest.json")
        await fetch(worker.port, "/open/media/a.png", method="HEAD")
        await fetch(worker.port, "/open/_stcore/upload_file/s/f", method="PUT", body=b"x" * 1000)
        await fetch(worker.port, "/open/", method="PROPFIND")
        await fetch(worker.port, "/away/media/a.png")
        await fetch(worker.port, "/media/a.png")
        await fetch(worker.port, "/api/healthz")
        found = await scrape_until(
            worker, lambda s: sum(v for k, v in s.items() if "gateway_requests_total" in k) == 9
        )

    assert {
        '{dispatch="api",method_kind="GET"}': 2,
        '{dispatch="django",method_kind="GET"}': 1,
        '{dispatch="django",method_kind="OTHER"}': 1,
        '{dispatch="streamlit",method_kind="GET"}': 3,
        '{dispatch="streamlit",method_kind="HEAD"}': 1,
        '{dispatch="streamlit",method_kind="PUT"}': 1,
    } == _labelled(found, "fluxlit_gateway_requests_total")
    assert 1 == found['fluxlit_gateway_responses_total{app="-",dispatch="api",status_class="4xx"}']
    assert 1 == found['fluxlit_gateway_responses_total{app="away",dispatch="streamlit",status_class="5xx"}']
    assert 1 == found['fluxlit_gateway_upstream_errors_total{app="away",kind="unavailable"}']
    assert 1 == found['fluxlit_gateway_refusals_total{app="default",reason="sign_in"}']
    assert 5 == found['fluxlit_gateway_request_duration_seconds_count{dispatch="streamlit"}']
    assert 1000 == found['fluxlit_gateway_received_bytes_total{dispatch="streamlit",protocol="http"}']
    buckets = re.findall(r'duration_seconds_bucket{dispatch="api",le="([^"]+)"}', "\n".join(found))
    assert "0.001,0.005,0.01,0.025,0.05,0.1,0.25,0.5,1.0,2.5,5.0,10.0,+Inf" == ",".join(buckets)


async def test_sockets(start_worker: StartWorker, sidecar_socket: SocketSidecar, server: str) -> None:
    """An open socket is a gauge; at its end its time, its bytes and its close code count."""
    with start_worker(server, **ON) as worker:
        async with open_socket(worker) as socket:
            await socket.send(b"12345")
            await socket.recv()
            during = await scrape(worker)
            await socket.close(1001)
        await shake_hands(worker, [(b"Origin", b"https://evil.example")])
        with contextlib.suppress(websockets.ConnectionClosed):
            async with open_socket(worker, "/_stcore/stream") as socket:
                await socket.recv()
        found = await scrape_until(
            worker,
            lambda s: '{app="default",code="4401"}' in _labelled(s, "fluxlit_gateway_socket_closes_total"),
        )

    assert 1 == during['fluxlit_gateway_open_sockets{app="open"}']
    assert {'{app="open"}': 0, '{app="default"}': 0} == _labelled(found, "fluxlit_gateway_open_sockets")
    assert 1 == found['fluxlit_gateway_socket_duration_seconds_count{app="open"}']
    assert 1 == found['fluxlit_gateway_socket_closes_total{app="open",code="1001"}']
    assert 1 == found['fluxlit_gateway_refusals_total{app="open",reason="origin"}']
    assert 1 == found['fluxlit_gateway_refusals_total{app="default",reason="sign_in"}']
    assert 3 == found['fluxlit_gateway_requests_total{dispatch="streamlit",method_kind="WEBSOCKET"}']
    assert 5 == found['fluxlit_gateway_sent_bytes_total{dispatch="streamlit",protocol="websocket"}']
    assert not _labelled(found, "fluxlit_gateway_request_duration_seconds_count")


async def test_sidecars(start_worker: StartWorker, statuses: list[SidecarStatus]) -> None:
    """Every worker shows every sidecar."""
    with start_worker("uvicorn", **ON) as worker:
        worker.tell([dataclasses.replace(statuses[0], restarts=3, sessions=2, rss_bytes=1 << 20)])
        labels = '{app="default",sidecar="default-0"}'
        found = await scrape_until(worker, lambda s: s.get(f"fluxlit_sidecar_restarts_total{labels}") == 3)

    assert (1, 2, 1 << 20) == tuple(
        found[f"fluxlit_sidecar_{name}{labels}"] for name in ("up", "sessions", "resident_memory_bytes")
    )


async def test_off(worker: Worker) -> None:
    """Metrics are off by default: there is nothing at their path."""
    assert 404 == (await fetch(worker.port, PATH)).status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([], 401),
        ([(b"Authorization", b"Bearer wrong")], 401),
        ([(b"Authorization", b"Bearer t0p")], 200),
    ],
)
async def test_token(start_worker: StartWorker, fields: list[tuple[bytes, bytes]], status: int) -> None:
    """With a token, nobody reads them without."""
    with start_worker("uvicorn", **ON, FLUXLIT_GATEWAY_PROMETHEUS_METRICS_TOKEN="t0p") as worker:
        response = await fetch(worker.port, PATH, fields)
        log = worker.log.read_text()

    assert status == response.status
    assert "t0p" not in log


@pytest.mark.parametrize(("networks", "status"), [("10.0.0.0/8", 403), ("10.0.0.0/8,127.0.0.1", 200)])
async def test_networks(start_worker: StartWorker, networks: str, status: int) -> None:
    """With networks, nobody reads them from elsewhere, whatever the request says of its way."""
    with start_worker("uvicorn", **ON, FLUXLIT_GATEWAY_PROMETHEUS_METRICS_ALLOW_IPS=networks) as worker:
        response = await fetch(worker.port, PATH, [(b"X-Forwarded-For", b"10.0.0.1")])

    assert status == response.status


async def test_path(start_worker: StartWorker) -> None:
    """The path is a setting, and below a prefix it answers with the prefix and without; any Host will do."""
    settings = {"FLUXLIT_GATEWAY_PROMETHEUS_METRICS_PATH": "/internal/metrics", "FLUXLIT_ROOT_PATH": "/shop"}
    with start_worker("uvicorn", **ON, **settings) as worker:
        answers = [
            await fetch(worker.port, path, host=b"10.1.2.3:8000")
            for path in ("/internal/metrics", "/shop/internal/metrics")
        ]
        head = await fetch(worker.port, "/internal/metrics", method="HEAD")

    assert [200, 200] == [answer.status for answer in answers]
    assert b"text/plain" in (answers[0].header("content-type") or b"")
    assert (200, b"") == (head.status, head.body)


async def test_openmetrics(start_worker: StartWorker) -> None:
    """A scraper that asks for OpenMetrics gets it."""
    with start_worker("uvicorn", **ON) as worker:
        response = await fetch(
            worker.port, PATH, [(b"Accept", b"application/openmetrics-text;version=1.0.0")]
        )

    assert (response.header("content-type") or b"").startswith(b"application/openmetrics-text")
    assert response.body.endswith(b"# EOF\n")


async def test_workers__sum(start_worker: StartWorker, tmp_path: Path) -> None:
    """Whichever worker answers, the sum of all is told."""
    shared = {**ON, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with start_worker("uvicorn", **shared) as one, start_worker("daphne", **shared) as other:
        for worker in (one, other, other):
            await fetch(worker.port, "/api/none")
        series = 'fluxlit_gateway_requests_total{dispatch="api",method_kind="GET"}'
        for worker in (one, other):
            await scrape_until(worker, lambda found: found.get(series) == 3)


def test_recorder__labels_are_bounded() -> None:
    """Whatever a client sends, the number of series stays what it is."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)

    for number in range(500):
        scope = http_scope(f"/{number}", method=f"METHOD{number}")
        with observation.observing(scope, [metrics]) as seen:
            seen.dispatch, seen.status = Dispatch.STREAMLIT, 100 + number

    samples = [s for family in registry.collect() for s in family.samples if s.name.endswith("_total")]
    assert 8 == len(samples)  # one kind of method, five classes of status, bytes in and out


def test_recorder__long_socket() -> None:
    """What passes a socket counts at each rerun, and once."""
    registry = CollectorRegistry()
    scope = {"type": "websocket", "headers": [], "path": "/", "query_string": b""}
    metrics = Metrics(registry)
    labels = {"dispatch": "gateway", "protocol": "websocket"}

    with observation.observing(scope, [metrics]) as seen:
        metrics.opened(seen)
        seen.bytes_out = 100
        seen.count_rerun(0.2)
        first = registry.get_sample_value("fluxlit_gateway_sent_bytes_total", labels)
        seen.bytes_out = 150
    last = registry.get_sample_value("fluxlit_gateway_sent_bytes_total", labels)

    assert (100, 150) == (first, last)
    assert 1 == registry.get_sample_value("fluxlit_gateway_rerun_duration_seconds_count", {"app": "-"})


def test_sidecar_collector__draining() -> None:
    """A sidecar that is replaced and its replacement are one series."""
    directory = Directory(
        [
            SidecarStatus("a-0", "a", "unix:/1", "restarting", restarts=2, generation=2, rss_bytes=5),
            SidecarStatus("a-0", "a", "unix:/0", "draining", sessions=3, rss_bytes=7),
            SidecarStatus("a-1", "a", "unix:/2", "failed", restarts=9),
            SidecarStatus("a-0", "a", "unix:/3", "stopped", sessions=1, rss_bytes=100),
        ]
    )

    found = {
        (family.name, sample.labels["sidecar"]): sample.value
        for family in SidecarCollector(directory).collect()
        for sample in family.samples
        if "sidecar" in sample.labels
    }

    assert (1, 12, 3) == tuple(
        found[f"fluxlit_sidecar_{name}", "a-0"] for name in ("up", "resident_memory_bytes", "sessions")
    )
    assert (0, 9) == (found["fluxlit_sidecar_up", "a-1"], found["fluxlit_sidecar_restarts", "a-1"])


def _labelled(found: dict[str, float], name: str) -> dict[str, float]:
    """The series of one name, by their labels."""
    return {key.removeprefix(name): value for key, value in found.items() if key.startswith(f"{name}{{")}

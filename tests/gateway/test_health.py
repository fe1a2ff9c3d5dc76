"""The probes, asked of real workers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.gateway.browser import fetch
from tests.gateway.sidecar import Exchange, StubSidecar
from tests.gateway.worker import Worker


async def report(worker: Worker) -> tuple[int, Any]:
    """What the readiness probe says, once it does not remember an earlier answer."""
    await asyncio.sleep(0.6)
    response = await fetch(worker.port, "/api/readyz")
    assert b"application/json" == response.header("content-type")
    return response.status, json.loads(response.body)


async def test_liveness__asks_nobody(worker: Worker) -> None:
    """A worker lives, whatever its sidecars do."""
    response = await fetch(worker.port, "/api/healthz")

    assert (200, {"status": "ok"}) == (response.status, json.loads(response.body))
    assert b"no-store" == response.header("cache-control")


@pytest.mark.parametrize("path", ["/api/healthz", "/api/readyz"])
async def test_probe__head(worker: Worker, path: str) -> None:
    """A probe may ask with HEAD."""
    response = await fetch(worker.port, path, method="HEAD")

    assert response.status in {200, 503}


async def test_readiness__names_every_app_and_sidecar(worker: Worker, sidecar: StubSidecar) -> None:
    """503 while one app has no sidecar that answers; the body says which, and what is known of each."""
    status, body = await report(worker)

    assert (503, "not_ready", "not_ok") == (status, body["status"], body["streamlit"])
    assert "No sidecar answers for: away, failed." == body["detail"]
    assert {"default", "open", "deep", "staff", "away", "failed"} == set(body["apps"])
    assert ("ready", "/open/") == (body["apps"]["open"]["status"], body["apps"]["open"]["mount"])
    assert body["apps"]["open"]["sidecars"]["open-0"]["answers"]
    failed = body["apps"]["failed"]["sidecars"]["failed-0"]
    assert ("failed", False, 5, "It crashed five times.") == (
        failed["state"],
        failed["answers"],
        failed["restarts"],
        failed["detail"],
    )


async def test_readiness__asks_streamlits_own_health(worker: Worker, sidecar: StubSidecar) -> None:
    """A sidecar is ready when Streamlit says so, below the app's mount."""

    async def answer(exchange: Exchange) -> None:
        healthy = b"/open/deep/" in exchange.request.target
        await exchange.reply("200 OK" if healthy else "503 Service Unavailable")

    sidecar.answer = answer
    _, body = await report(worker)

    assert {"default", "open", "staff", "away", "failed"} == {
        name for name, app in body["apps"].items() if app["status"] == "not_ready"
    }
    asked = {request.target for request in sidecar.requests}
    assert {
        b"/_stcore/health",
        b"/open/_stcore/health",
        b"/open/deep/_stcore/health",
        b"/staff/_stcore/health",
    } == asked


async def test_readiness__does_not_flood_sidecars(worker: Worker, sidecar: StubSidecar) -> None:
    """Many probes at once are one question to each sidecar."""
    await asyncio.sleep(0.6)
    await asyncio.gather(*(fetch(worker.port, "/api/readyz") for _ in range(20)))

    assert 4 == len(sidecar.requests)

"""What is measured. A workload opens a contender, and then measures it once in every round."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from bench import browser, contenders, load, processes
from bench.contenders import Contender, Server
from bench.sessions import open_sessions, turn_all
from bench.statistics import percentile

Launch = Callable[[], AbstractAsyncContextManager[Server]]
"""Runs the contender with the workload's script or upstream."""

Probe = Callable[[], Awaitable[dict[str, float]]]
"""Measures once; the value of each metric."""


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int
    window_s: float
    """Of one measurement of a rate."""
    idle_sockets: int
    idle_cpu_s: float
    upload_mb: int
    is_quick: bool = False


FULL = Plan(rounds=5, window_s=5.0, idle_sockets=1000, idle_cpu_s=20.0, upload_mb=300)
QUICK = Plan(rounds=1, window_s=1.5, idle_sockets=300, idle_cpu_s=4.0, upload_mb=100, is_quick=True)

DOWNLOAD_MB = 100
_ECHO_SOCKETS, _ECHO_BYTES = 20, 2_000
_LARGE_SOCKETS, _LARGE_BYTES = 4, 1_000_000
_ACTIVE_SESSIONS, _THINK_S = 20, 0.25
_OPENED_AT_ONCE = 50


class Upstream(enum.Enum):
    """What the contenders of a workload stand in front of."""

    OWN = "a Streamlit server of their own"
    STUB = "one stub for all"
    STREAMLIT = "one `streamlit run` for all"


@dataclass(frozen=True)
class Metric:
    """One figure of a workload."""

    name: str
    title: str
    unit: str
    more_is_better: bool = False


@dataclass(frozen=True)
class Workload:
    """One way to use a server, and who is compared in it."""

    name: str
    title: str
    metrics: tuple[Metric, ...]
    contenders: tuple[Contender, ...]
    open: Callable[[Launch, Plan], AbstractAsyncContextManager[Probe]]
    script: str = ""
    """In `bench/scripts`, run by each contender; "" when all stand in front of the same upstream."""
    upstream: Upstream = Upstream.OWN
    quick: tuple[Contender, ...] = ()
    """Who takes part in a quick run; all when empty."""

    def taking_part(self, plan: Plan) -> tuple[Contender, ...]:
        """The contenders of this plan."""
        return self.quick if plan.is_quick and self.quick else self.contenders


def _reruns(sessions: int) -> Callable[[Launch, Plan], AbstractAsyncContextManager[Probe]]:
    @contextlib.asynccontextmanager
    async def opened(launch: Launch, plan: Plan) -> AsyncIterator[Probe]:
        async with launch() as server, open_sessions(server.address, sessions) as tabs:
            await turn_all(tabs, plan.window_s / 3)

            async def probe() -> dict[str, float]:
                durations, elapsed = await turn_all(tabs, plan.window_s)
                await asyncio.gather(*(tab.checked_turn() for tab in tabs))
                return {
                    "reruns_per_s": len(durations) / elapsed,
                    "p99_ms": 1000 * percentile(durations, 0.99),
                }

            yield probe

    return opened


@contextlib.asynccontextmanager
async def _latency(launch: Launch, plan: Plan) -> AsyncIterator[Probe]:
    async with launch() as server, open_sessions(server.address, 1) as tabs:
        await turn_all(tabs, 0.5)

        async def probe() -> dict[str, float]:
            durations, _ = await turn_all(tabs, plan.window_s)
            await tabs[0].checked_turn()
            return {
                "p50_ms": 1000 * percentile(durations, 0.50),
                "p99_ms": 1000 * percentile(durations, 0.99),
            }

        yield probe


@contextlib.asynccontextmanager
async def _hop(launch: Launch, plan: Plan) -> AsyncIterator[Probe]:
    async with launch() as server:
        address = server.address

        async def probe() -> dict[str, float]:
            return {
                "gets_per_s": await load.requests_per_second(f"{address}{contenders.HEALTH}", plan.window_s),
                "echoes_per_s": await load.echoes_per_second(
                    address, plan.window_s, sockets=_ECHO_SOCKETS, size=_ECHO_BYTES
                ),
                "large_echoes_per_s": await load.echoes_per_second(
                    address, plan.window_s, sockets=_LARGE_SOCKETS, size=_LARGE_BYTES
                ),
            }

        yield probe


@contextlib.asynccontextmanager
async def _gets(launch: Launch, plan: Plan) -> AsyncIterator[Probe]:
    async with launch() as server:

        async def probe() -> dict[str, float]:
            url = f"{server.address}{contenders.HEALTH}"
            return {"gets_per_s": await load.requests_per_second(url, plan.window_s)}

        yield probe


@contextlib.asynccontextmanager
async def _transfer(launch: Launch, plan: Plan) -> AsyncIterator[Probe]:
    async def probe() -> dict[str, float]:
        # Started anew: memory that an earlier round left would hide the growth.
        async with launch() as server, load.memory_growth(server.pids()) as growth:
            download = await load.download(server.address, DOWNLOAD_MB)
            download_growth = growth()
        async with launch() as server, load.memory_growth(server.pids()) as growth:
            upload = await load.upload(server.address, plan.upload_mb)
            upload_growth = growth()
        return {
            "download_mb_per_s": download,
            "download_growth_mb": download_growth,
            "upload_mb_per_s": upload,
            "upload_growth_mb": upload_growth,
        }

    yield probe


@contextlib.asynccontextmanager
async def _page(launch: Launch, plan: Plan) -> AsyncIterator[Probe]:
    async with launch() as server:
        url = f"{server.address}/"

        async def probe() -> dict[str, float]:
            async with browser.open_browser() as chromium:
                # The browser's own first page is slower than all others.
                await browser.first_visit(chromium, url)
                first, second = await browser.first_and_second_visit(chromium, url)
                slow = await browser.first_visit(chromium, url, browser.SLOW_LINK)
            return {
                "first_kb": first.bytes / 1000,
                "first_requests": first.requests,
                "render_ms": 1000 * first.render_s,
                "render_slow_ms": 1000 * slow.render_s,
                "second_kb": second.bytes / 1000,
                "second_requests": second.requests,
                "second_render_ms": 1000 * second.render_s,
            }

        yield probe


@contextlib.asynccontextmanager
async def _idle(launch: Launch, plan: Plan) -> AsyncIterator[Probe]:
    async with launch() as server:

        async def probe() -> dict[str, float]:
            async with open_sessions(server.address, _ACTIVE_SESSIONS) as active:
                await turn_all(active, plan.window_s / 2, _THINK_S)
                alone, _ = await turn_all(active, plan.window_s, _THINK_S)
                before = processes.proportional_bytes(server.gateway_pids())
                async with _open_in_portions(server.address, plan.idle_sockets):
                    after = processes.proportional_bytes(server.gateway_pids())
                    among_idle, _ = await turn_all(active, plan.window_s, _THINK_S)
            return {
                "p99_ms": 1000 * percentile(alone, 0.99),
                "p99_among_idle_ms": 1000 * percentile(among_idle, 0.99),
                "idle_kb": (after - before) / 1000 / plan.idle_sockets,
            }

        yield probe


@contextlib.asynccontextmanager
async def _open_in_portions(address: str, number: int) -> AsyncIterator[None]:
    """So many sessions that have run their script once and then rest."""
    async with contextlib.AsyncExitStack() as stack:
        for start in range(0, number, _OPENED_AT_ONCE):
            portion = min(_OPENED_AT_ONCE, number - start)
            await stack.enter_async_context(open_sessions(address, portion))
        yield


@contextlib.asynccontextmanager
async def _start(launch: Launch, plan: Plan) -> AsyncIterator[Probe]:
    async def probe() -> dict[str, float]:
        async with launch() as server:
            async with open_sessions(server.address, 1):
                pass
            # What a first session leaves to be done is not idleness.
            await asyncio.sleep(1.0)
            pids = server.pids()
            started, before = time.perf_counter(), processes.cpu_seconds(pids)
            await asyncio.sleep(plan.idle_cpu_s)
            busy_s = processes.cpu_seconds(pids) - before
            return {
                "ready_ms": 1000 * server.started_in_s,
                "memory_mb": processes.proportional_bytes(pids) / 1e6,
                "processes": len(pids),
                "idle_cpu_percent": 100 * busy_s / (time.perf_counter() - started),
            }

    yield probe


_RERUN_METRICS = (
    Metric("reruns_per_s", "Reruns", "1/s", more_is_better=True),
    Metric("p99_ms", "Rerun, 99th percentile", "ms"),
)

WORKLOADS = (
    Workload(
        "small",
        "Small script, 50 sessions",
        _RERUN_METRICS,
        (
            contenders.STREAMLIT,
            contenders.OURS,
            contenders.OURS_2,
            contenders.DAPHNE,
            contenders.SIDECAR,
            contenders.NGINX,
            contenders.FLUXLIT,
        ),
        _reruns(50),
        script="small.py",
        quick=(contenders.STREAMLIT, contenders.OURS, contenders.OURS_2, contenders.FLUXLIT),
    ),
    Workload(
        "charts",
        "Table and charts, 20 sessions",
        _RERUN_METRICS,
        (contenders.STREAMLIT, contenders.OURS, contenders.OURS_2, contenders.SIDECAR, contenders.FLUXLIT),
        _reruns(20),
        script="charts.py",
        quick=(contenders.STREAMLIT, contenders.OURS, contenders.OURS_2),
    ),
    Workload(
        "latency",
        "One session, small script",
        (
            Metric("p50_ms", "Rerun, median", "ms"),
            Metric("p99_ms", "Rerun, 99th percentile", "ms"),
        ),
        (
            contenders.SIDECAR,
            contenders.OURS,
            contenders.DAPHNE,
            contenders.STREAMLIT,
            contenders.NGINX,
            contenders.FLUXLIT,
        ),
        _latency,
        script="small.py",
        quick=(contenders.SIDECAR, contenders.OURS, contenders.STREAMLIT),
    ),
    Workload(
        "hop",
        "The hop alone, in front of a stub",
        (
            Metric("gets_per_s", "Small GETs, 20 connections", "1/s", more_is_better=True),
            Metric("echoes_per_s", "WebSocket echoes of 2 kB, 20 sockets", "1/s", more_is_better=True),
            Metric("large_echoes_per_s", "WebSocket echoes of 1 MB, 4 sockets", "1/s", more_is_better=True),
        ),
        (contenders.DIRECT, contenders.OURS, contenders.DAPHNE, contenders.NGINX, contenders.FLUXLIT),
        _hop,
        upstream=Upstream.STUB,
        quick=(contenders.DIRECT, contenders.OURS, contenders.FLUXLIT),
    ),
    Workload(
        "gets",
        "Small GETs, in front of streamlit run",
        (Metric("gets_per_s", "Small GETs, 20 connections", "1/s", more_is_better=True),),
        (contenders.DIRECT, contenders.OURS, contenders.DAPHNE, contenders.NGINX, contenders.FLUXLIT),
        _gets,
        upstream=Upstream.STREAMLIT,
        quick=(contenders.DIRECT, contenders.OURS),
    ),
    Workload(
        "transfer",
        "Large transfers, in front of a stub",
        (
            Metric("download_mb_per_s", "Download of 100 MB", "MB/s", more_is_better=True),
            Metric("download_growth_mb", "Memory growth during the download", "MB"),
            Metric("upload_mb_per_s", "Upload", "MB/s", more_is_better=True),
            Metric("upload_growth_mb", "Memory growth during the upload", "MB"),
        ),
        (contenders.DIRECT, contenders.OURS, contenders.DAPHNE, contenders.NGINX, contenders.FLUXLIT),
        _transfer,
        upstream=Upstream.STUB,
        quick=(contenders.DIRECT, contenders.OURS),
    ),
    Workload(
        "page",
        "First load in Chromium",
        (
            Metric("first_kb", "First load", "kB"),
            Metric("first_requests", "Requests of the first load", ""),
            Metric("render_ms", "First render, loopback", "ms"),
            Metric("render_slow_ms", "First render, 10 Mbit/s and 40 ms", "ms"),
            Metric("second_kb", "Second visit", "kB"),
            Metric("second_requests", "Requests of the second visit", ""),
            Metric("second_render_ms", "Second render, loopback", "ms"),
        ),
        (contenders.STREAMLIT, contenders.OURS, contenders.NGINX, contenders.FLUXLIT),
        _page,
        script="small.py",
        quick=(contenders.STREAMLIT, contenders.OURS, contenders.FLUXLIT),
    ),
    Workload(
        "idle",
        "20 active sessions among idle ones",
        (
            Metric("p99_ms", "Rerun, 99th percentile, without idle sessions", "ms"),
            Metric("p99_among_idle_ms", "Rerun, 99th percentile, among idle sessions", "ms"),
            Metric("idle_kb", "Memory of an idle session in the gateway", "kB"),
        ),
        (contenders.OURS, contenders.DAPHNE),
        _idle,
        script="small.py",
        quick=(contenders.OURS,),
    ),
    Workload(
        "start",
        "Start and rest",
        (
            Metric("ready_ms", "Start to ready", "ms"),
            Metric("memory_mb", "Memory of all processes after one session", "MB"),
            Metric("processes", "Processes", ""),
            Metric("idle_cpu_percent", "CPU at rest", "% of a core"),
        ),
        (contenders.STREAMLIT, contenders.OURS, contenders.DAPHNE, contenders.FLUXLIT),
        _start,
        script="small.py",
        quick=(contenders.STREAMLIT, contenders.OURS),
    ),
)

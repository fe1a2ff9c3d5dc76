"""Half of what one sidecar can do, for a long time: does anything grow, fail or stay behind?"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bench import contenders, processes
from bench.contenders import Launcher, Server
from bench.sessions import FailedRerun, Session, open_sessions, turn_all
from bench.statistics import slope
from bench.workloads import Metric
from tests.streamlit_protocol import Closed

SCRIPT = "database.py"
SESSIONS = 20
_CALIBRATION_S = 5.0
_SAMPLES = 240
_SHORTEST_SAMPLE_S = 1.0
_KEPT_S = 125.0
"""Streamlit 1.67 keeps a closed session, and its descriptors, for 120 s (`MemorySessionStorage`)."""
_COLLECTION_S = 5.0

METRICS = (
    Metric("reruns", "Reruns", "", more_is_better=True),
    Metric("failed_reruns", "Failed reruns", ""),
    Metric("slope_mb_per_h", "Slope of memory, second half", "MB/h"),
    Metric("growth_percent", "Growth of memory over the second half, by its slope", "%"),
    Metric("leaked_descriptors", "Descriptors left", ""),
    Metric("leaked_threads", "Threads left", ""),
    Metric("leaked_connections", "Database connections left", ""),
)


@dataclass(frozen=True)
class Sample:
    """What all processes hold at one time."""

    at_s: float
    memory: int
    descriptors: int
    threads: int
    connections: int
    """Descriptors of the database's file."""


@dataclass(frozen=True)
class Soak:
    """The outcome."""

    figures: dict[str, float]
    samples: tuple[Sample, ...]


async def run(launcher: Launcher, minutes: float) -> Soak:
    """Soak ours."""
    async with launcher.running(contenders.OURS, script=SCRIPT) as server:
        database = str(launcher.database)
        async with open_sessions(server.address, SESSIONS) as sessions:
            durations, elapsed = await turn_all(sessions, _CALIBRATION_S)
        pause_s = SESSIONS / (0.5 * len(durations) / elapsed)  # of one session, from rerun to rerun
        before = await _sample_at_rest(server, database)
        samples: list[Sample] = []
        async with open_sessions(server.address, SESSIONS) as sessions:
            until = time.perf_counter() + 60 * minutes
            watcher = asyncio.create_task(_watch(server, database, samples, minutes))
            try:
                counts = await asyncio.gather(*(_keep_turning(tab, pause_s, until) for tab in sessions))
            finally:
                watcher.cancel()
                await asyncio.gather(watcher, return_exceptions=True)
        after = await _sample_at_rest(server, database)
    failed = sum(failed for _, failed in counts)
    return Soak(
        {
            "reruns": float(sum(turns for turns, _ in counts)),
            "failed_reruns": float(failed),
            **memory_figures(samples),
            "leaked_descriptors": float(max(0, after.descriptors - before.descriptors)),
            "leaked_threads": float(max(0, after.threads - before.threads)),
            "leaked_connections": float(max(0, after.connections - before.connections)),
        },
        tuple(samples),
    )


async def _sample_at_rest(server: Server, database: str) -> Sample:
    """Look when all sessions but a last one have been let go of."""
    await asyncio.sleep(_KEPT_S)
    # Streamlit forgets what is overdue when the next session comes.
    async with open_sessions(server.address, 1) as sessions:
        await turn_all(sessions, 1.0)
    await asyncio.sleep(_COLLECTION_S)
    return take_sample(server, database, 0.0)


def take_sample(server: Server, database: str, at_s: float) -> Sample:
    """Look at all processes of a server now."""
    pids = server.pids()
    files = processes.open_files(pids)
    return Sample(
        at_s,
        processes.proportional_bytes(pids),
        len(files),
        processes.threads(pids),
        sum(file.startswith(database) for file in files),
    )


def memory_figures(samples: list[Sample]) -> dict[str, float]:
    """How memory rose over the second half, when all that is kept for good has been loaded."""
    half = samples[len(samples) // 2 :]
    if not half:
        return {"slope_mb_per_h": 0.0, "growth_percent": 0.0}
    per_second = slope([(sample.at_s, sample.memory) for sample in half])
    growth = per_second * (half[-1].at_s - half[0].at_s)
    mean = sum(sample.memory for sample in half) / len(half)
    return {"slope_mb_per_h": per_second * 3600 / 1e6, "growth_percent": 100 * growth / mean}


async def _watch(server: Server, database: str, samples: list[Sample], minutes: float) -> None:
    started = time.perf_counter()
    while True:
        samples.append(take_sample(server, database, time.perf_counter() - started))
        await asyncio.sleep(max(_SHORTEST_SAMPLE_S, 60 * minutes / _SAMPLES))


async def _keep_turning(session: Session, pause_s: float, until: float) -> tuple[int, int]:
    """Rerun at a steady pace, every message checked; how many there were and how many failed."""
    turns = failed = 0
    while (started := time.perf_counter()) < until:
        turns += 1
        try:
            await session.checked_turn()
        except (FailedRerun, Closed, asyncio.TimeoutError):
            failed += 1
            if session.socket.closed:
                await session.connect()
        await asyncio.sleep(max(0.0, pause_s - (time.perf_counter() - started)))
    return turns, failed

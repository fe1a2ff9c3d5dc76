"""Garbage collection when nobody waits for it.

Streamlit runs a full collection after every rerun (1.67, `runner.postScriptGC`). A sidecar collects when it
is idle instead, or after many reruns without a pause, and keeps what it loaded out of every collection.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

QUIET_S = 0.3
"""Seconds without a rerun after which a sidecar counts as idle."""

LONGEST_WAIT_S = 20.0
"""Seconds after which garbage is collected although reruns go on."""

MOST_RUNS = 50
"""Reruns after which garbage is collected although reruns go on."""


@dataclass(frozen=True)
class Load:
    """What a sidecar has been doing since its last collection."""

    running: int
    """Scripts that run now."""
    runs: int
    """Reruns that ended since the last collection."""
    quiet_s: float
    """Seconds since a script last began or ended."""
    waiting_s: float
    """Seconds since the first rerun that ended after the last collection."""


def seconds_until_collection(load: Load) -> float | None:
    """How long to wait, 0 for now, or None when there is nothing to collect."""
    if not load.runs:
        return None
    if load.runs >= MOST_RUNS:
        return 0.0
    overdue = LONGEST_WAIT_S - load.waiting_s
    pause = overdue if load.running else QUIET_S - load.quiet_s
    return max(0.0, min(pause, overdue))


class Activity:
    """Counts the reruns of a process. Script threads write it; the event loop waits on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.monotonic) -> None:
        self._loop = loop
        self._clock = clock
        self._lock = threading.Lock()
        self._changed = asyncio.Event()
        self._running = 0
        self._runs = 0
        self._last_change = self._first_run = clock()

    def __repr__(self) -> str:
        return f"<Activity {self._running} running, {self._runs} ended>"

    def begin(self) -> None:
        """A script begins in this thread."""
        self._note(running=1)

    def end(self) -> None:
        """The script that this thread began is over."""
        self._note(running=-1)

    def count_run(self) -> None:
        """One rerun ended; its script may go round again."""
        self._note(runs=1)

    def load(self) -> Load:
        """What has happened since the last `collected`."""
        now = self._clock()
        with self._lock:
            return Load(self._running, self._runs, now - self._last_change, now - self._first_run)

    def collected(self) -> None:
        """Garbage has been collected: count from here."""
        with self._lock:
            self._runs = 0

    async def change(self, timeout: float | None) -> None:
        """Wait until a script begins or ends, or for so many seconds."""
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except asyncio.TimeoutError:
            return

    async def idle(self) -> None:
        """Wait until no script runs."""
        while self.load().running:
            await self.change(None)

    def _note(self, running: int = 0, runs: int = 0) -> None:
        with self._lock:
            self._last_change = self._clock()
            if runs and not self._runs:
                self._first_run = self._last_change
            self._running += running
            self._runs += runs
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)


async def collect_when_idle(
    activity: Activity,
    collect: Callable[[], object] = gc.collect,
    freeze: Callable[[], object] = gc.freeze,
) -> None:
    """Collect garbage whenever `seconds_until_collection` says so, until cancelled.

    After the first collection everything that is alive is set aside for good: by then the first script has
    imported what it needs, and later collections look only at what came after.
    """
    is_warm = False
    while True:
        delay = seconds_until_collection(activity.load())
        if delay is None or delay > 0:
            await activity.change(delay)
            continue
        activity.collected()
        await asyncio.to_thread(collect)
        if not is_warm:
            freeze()
            is_warm = True

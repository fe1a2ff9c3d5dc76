"""Garbage collection when nobody waits for it.

Streamlit runs a full collection after every rerun (1.67, `runner.postScriptGC`). A sidecar collects when it
is idle instead, or when its memory has grown, and keeps what it loaded out of every collection. A collection
looks at whatever the open sessions hold, and nothing else runs meanwhile: 0.3 s with a thousand of them. So
the longer the last one took, the longer the next one waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fluxlit_django.conf import MIB
from fluxlit_django.sidecar.memory import resident_bytes

QUIET_S = 0.3
"""Seconds without a rerun after which a sidecar counts as idle."""

LONGEST_WAIT_S = 60.0
"""Seconds after which garbage is collected although reruns go on."""

MOST_GROWTH = 32 * MIB
"""Bytes of memory, come since the last collection, after which garbage is collected although reruns go on."""

REST = 20
"""So many times as long as the last collection took, a sidecar waits until the next."""


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
    rest_s: float = 0.0
    """Seconds until the last collection has been made up for."""
    growth: int = 0
    """Bytes that came since the last collection."""


def seconds_until_collection(load: Load) -> float | None:
    """How long to wait, 0 for now, or None when there is nothing to collect."""
    if not load.runs:
        return None
    overdue = LONGEST_WAIT_S - load.waiting_s
    if load.growth >= MOST_GROWTH:
        pause = load.rest_s
    else:
        pause = overdue if load.running else max(QUIET_S - load.quiet_s, load.rest_s)
    return max(0.0, min(pause, overdue))


class Activity:
    """Counts the reruns of a process. Script threads write it; the event loop waits on it.

    Args:
        loop: the event loop.
        clock: gives the time in seconds.
        memory: gives the bytes that this process holds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float] = time.monotonic,
        memory: Callable[[], int] = resident_bytes,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._memory = memory
        self._held = memory()
        self._rested = clock()
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

    @property
    def running(self) -> int:
        """Scripts that run now."""
        return self._running

    def load(self) -> Load:
        """What has happened since the last `collected`."""
        now, held = self._clock(), self._memory()
        with self._lock:
            return Load(
                self._running,
                self._runs,
                quiet_s=now - self._last_change,
                waiting_s=now - self._first_run,
                rest_s=max(0.0, self._rested - now),
                growth=held - self._held,
            )

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Garbage is collected meanwhile: count from here."""
        began = self._clock()
        with self._lock:
            self._runs = 0
        yield
        now, self._held = self._clock(), self._memory()
        self._rested = now + REST * (now - began)

    async def change(self, timeout: float | None) -> None:
        """Wait until a script begins or ends, or for so many seconds."""
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except asyncio.TimeoutError:
            return

    async def idle(self) -> None:
        """Wait until no script runs."""
        while self.running:
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
        with activity.collecting():
            await asyncio.to_thread(collect)
        if not is_warm:
            freeze()
            is_warm = True

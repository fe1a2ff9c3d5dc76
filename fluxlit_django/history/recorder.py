"""Keeps starts and what happens to processes in the database, without ever making the supervisor wait."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from django.db import connections
from django.utils import timezone

from fluxlit_django.conf import Config
from fluxlit_django.history import retention
from fluxlit_django.history.snapshot import save_snapshot
from fluxlit_django.models import SettingsSnapshot, SidecarEvent
from fluxlit_django.outage import Outage
from fluxlit_django.redaction.values import Scrubber
from fluxlit_django.supervisor.events import Event

logger = logging.getLogger(__name__)

LONGEST_LINE, MOST_LINES = 500, 30  # characters of a line, and lines, that are kept of what a child printed
_MOST_WAITING = 1000  # events; those that come on top of them are lost
_BATCH = 100
_DAY_S = 86_400.0
_STOP: None = None


class Recorder:
    """A hook of the supervisor: takes events at once, and writes them on a thread of its own.

    Used as a context: the thread lives in it, and at its end gets a moment to write what is left.

    Args:
        snapshot: of this start; written first.
        apps: the app of each sidecar, by the sidecar's name.
        scrubber: takes secrets out of what children printed.
        config: says how much is kept.
        write: writes rows.
        retry_s: time until a write that failed is tried again, in seconds.
        stop_s: time to write what is left, in seconds.
    """

    def __init__(
        self,
        snapshot: SettingsSnapshot,
        apps: Mapping[str, str],
        scrubber: Scrubber,
        config: Config,
        *,
        write: Callable[[Sequence[SidecarEvent]], object] = SidecarEvent.objects.bulk_create,
        retry_s: float = 5.0,
        stop_s: float = 2.0,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._snapshot = snapshot
        self._apps = apps
        self._scrubber = scrubber
        self._config = config
        self._write = write
        self._retry_s = retry_s
        self._stop_s = stop_s
        self._waiting: queue.Queue[SidecarEvent | None] = queue.Queue(most_waiting)
        self._lost = 0
        self._stopping = threading.Event()
        self._outage = Outage("Starts and events are", SidecarEvent)
        self._pruned_at = 0.0
        self._thread = threading.Thread(target=self._run, name="fluxlit-recorder", daemon=True)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        with contextlib.suppress(queue.Full):  # the thread then sees that it is to stop when it is empty
            self._waiting.put_nowait(_STOP)
        self._thread.join(self._stop_s)

    def __call__(self, event: Event) -> None:
        """Take an event of the supervisor."""
        try:
            self._waiting.put_nowait(self._row(event))
        except queue.Full:
            self._lost += 1

    def _row(self, event: Event) -> SidecarEvent:
        lines = (self._scrubber.scrub(line)[:LONGEST_LINE] for line in event.last_lines[-MOST_LINES:])
        return SidecarEvent(
            at=timezone.now(),
            kind=event.kind.value,
            child=event.child,
            app=self._apps.get(event.child, ""),
            code=event.code,
            restarts=event.restarts,
            last_lines="\n".join(lines).replace("\0", "\N{REPLACEMENT CHARACTER}"),
            host=self._snapshot.host,
        )

    # On the thread.

    def _run(self) -> None:
        try:
            self._keep_trying(lambda: save_snapshot(self._snapshot))
            while True:
                self._prune_daily()
                batch, is_last = self._next_batch()
                if batch:
                    self._keep_trying(lambda rows=batch: self._write(rows))  # type: ignore[misc]
                if is_last:
                    return
        finally:
            connections.close_all()

    def _keep_trying(self, write: Callable[[], object]) -> None:
        """Write, however long it takes; once when there is no time left."""
        while not self._outage.attempt(write):
            if self._stopping.wait(self._retry_s):
                self._outage.attempt(write)
                return
        if self._lost:
            logger.warning("%d events came while none could be recorded, and are lost", self._lost)
            self._lost = 0

    def _prune_daily(self) -> None:
        if self._pruned_at and time.monotonic() - self._pruned_at < _DAY_S:
            return
        self._pruned_at = time.monotonic()
        config = self._config
        self._outage.attempt(lambda: retention.prune(days=config.history_days, events=config.history_events))

    def _next_batch(self) -> tuple[list[SidecarEvent], bool]:
        """Wait for events: those that are there, and whether they are the last."""
        rows: list[SidecarEvent] = []
        try:
            row = self._waiting.get(timeout=0 if self._stopping.is_set() else _DAY_S)
            while row is not _STOP:
                rows.append(row)
                if len(rows) >= _BATCH:
                    return rows, False
                row = self._waiting.get_nowait()
        except queue.Empty:
            return rows, self._stopping.is_set()
        return rows, True

"""What a gateway worker tells the admin of itself: its open sockets, its sidecars, the last minutes.

Each worker writes its own rows, on a thread of its own, every few seconds: one row for itself, and of its
sockets only those that are new or have changed, a bounded number at a time. The rows of a worker that died
are no longer seen, and are deleted by the others. A socket that is to end is marked in its row, so that this
works with any number of workers and hosts, whatever the channel layer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connections, router
from django.db.models import QuerySet
from django.utils import timezone

from fluxlit_django.control import SidecarStatus
from fluxlit_django.gateway.observation import Observation
from fluxlit_django.models import GatewayWorker, LiveSession
from fluxlit_django.outage import Outage

if TYPE_CHECKING:
    # The admin comes here from every process, and the runtime brings aiohttp.
    from fluxlit_django.gateway.runtime import Runtime

MISSED_REPORTS = 4  # after which a worker counts as gone
_SHORTEST_PATIENCE_S = 20.0
KEPT_SAMPLES = 60
_MOST_WRITTEN = 1000  # rows of one report
_MOST_SIDECARS = 50  # of which samples are kept
_BATCH = 250
_STOP_S = 0.5  # what a worker may take at its end; the supervisor waits for it


@dataclass
class LiveSocket:
    """An open socket, as the consumer that serves it makes it known."""

    app: str
    viewer_id: str
    viewer: str
    seen: Observation
    end: Callable[[], object]
    """Closes it; callable from any thread."""
    page: str = "/"
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    since: datetime = field(default_factory=timezone.now)

    def changing(self) -> tuple[Any, ...]:
        """What of it changes, for comparison."""
        seen = self.seen
        return seen.sidecar, self.page, seen.bytes_in, seen.bytes_out, seen.reruns


@dataclass(frozen=True)
class Sample:
    """One moment of a worker."""

    at: float
    """Seconds since 1970."""
    sockets: int
    sidecars: dict[str, tuple[int, int]]
    """Sessions and bytes of memory, by the sidecar's name."""


def patience(interval_s: float) -> timedelta:
    """How long a worker that does not report counts as alive."""
    return timedelta(seconds=max(MISSED_REPORTS * interval_s, _SHORTEST_PATIENCE_S))


class Reporter:
    """Writes one worker's rows.

    Args:
        runtime: has the worker's sockets and sidecars.
        most_written: most sockets that one report writes; the others come with the next ones.
    """

    def __init__(self, runtime: Runtime, *, most_written: int = _MOST_WRITTEN) -> None:
        self._runtime = runtime
        self._most_written = most_written
        self._patience = patience(runtime.config.live_sessions_interval_s)
        self._written: dict[uuid.UUID, tuple[Any, ...]] = {}
        """What was last written of each socket, the one longest ago first."""
        self._samples: deque[Sample] = deque(maxlen=KEPT_SAMPLES)
        self.worker = GatewayWorker(
            id=uuid.uuid4(), host=socket.gethostname(), pid=os.getpid(), started_at=timezone.now()
        )

    def report(self) -> None:
        """Write what has changed, and end the sockets that are to end.

        Raises:
            django.db.Error: the database does not take it.
        """
        sockets = {each.id: each for each in self._runtime.live_sockets()}
        self._take_sample(len(sockets))
        self._write_worker(len(sockets))
        self._delete_closed(sockets)
        self._write_sockets(sockets)
        self._end_marked(sockets)
        self._delete_dead_workers()

    def withdraw(self) -> None:
        """Delete the worker's rows.

        Raises:
            django.db.Error: the database does not take it.
        """
        _delete_workers([self.worker.id])

    def _take_sample(self, sockets: int) -> None:
        sidecars = self._runtime.directory.all()[:_MOST_SIDECARS]
        loads = {each.name: (each.sessions, each.rss_bytes) for each in sidecars if each.state != "draining"}
        self._samples.append(Sample(time.time(), sockets, loads))

    def _write_worker(self, sockets: int) -> None:
        self.worker.seen_at = timezone.now()
        self.worker.sockets = sockets
        self.worker.sidecars = [_shown(sidecar) for sidecar in self._runtime.directory.all()]
        self.worker.samples = [dataclasses.astuple(sample) for sample in self._samples]
        fields = {name: getattr(self.worker, name) for name in ("seen_at", "sockets", "sidecars", "samples")}
        if not GatewayWorker.objects.filter(pk=self.worker.pk).update(**fields):
            # The first report, or others took us for dead and deleted all that was ours.
            self._written.clear()
            self.worker.save(force_insert=True)

    def _delete_closed(self, sockets: dict[uuid.UUID, LiveSocket]) -> None:
        closed = [id for id in self._written if id not in sockets]
        for start in range(0, len(closed), _BATCH):
            batch = closed[start : start + _BATCH]
            _delete_sessions(LiveSession.objects.filter(pk__in=batch))
            for id in batch:
                del self._written[id]

    def _write_sockets(self, sockets: dict[uuid.UUID, LiveSocket]) -> None:
        new = [each for id, each in sockets.items() if id not in self._written]
        changed = [sockets[id] for id, written in self._written.items() if written != sockets[id].changing()]
        due = [*new, *changed][: self._most_written]
        for start in range(0, len(due), _BATCH):
            batch = due[start : start + _BATCH]
            seen = [each.changing() for each in batch]  # first, as the loop goes on counting
            _save([self._row(each, state) for each, state in zip(batch, seen, strict=True)])
            for each, state in zip(batch, seen, strict=True):
                self._written.pop(each.id, None)
                self._written[each.id] = state

    def _row(self, live: LiveSocket, state: tuple[Any, ...]) -> LiveSession:
        sidecar, page, bytes_in, bytes_out, reruns = state
        return LiveSession(
            id=live.id,
            worker=self.worker,
            viewer_id=live.viewer_id[:64],
            viewer=live.viewer[:200],
            app=live.app,
            page=page[:200],
            sidecar=sidecar,
            since=live.since,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            reruns=reruns,
        )

    def _end_marked(self, sockets: dict[uuid.UUID, LiveSocket]) -> None:
        marked = LiveSession.objects.filter(worker=self.worker, must_end=True)
        for id in marked.values_list("pk", flat=True)[: self._most_written]:
            if id in sockets:
                with contextlib.suppress(RuntimeError):  # the worker stops, and its loop is closed
                    sockets[id].end()

    def _delete_dead_workers(self) -> None:
        dead = GatewayWorker.objects.filter(seen_at__lt=timezone.now() - self._patience)
        _delete_workers(list(dead.values_list("pk", flat=True)))


@contextlib.contextmanager
def reporting(runtime: Runtime) -> Iterator[None]:
    """Report every few seconds until the end of the block."""
    interval = runtime.config.live_sessions_interval_s
    if not interval:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(
        target=_report_until, args=(Reporter(runtime), interval, stop), name="fluxlit-live", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_STOP_S)


def _report_until(reporter: Reporter, interval_s: float, stop: threading.Event) -> None:
    outage = Outage("Live sessions are", LiveSession)
    try:
        while not stop.wait(interval_s):
            outage.attempt(reporter.report)
        if not outage.is_known:
            outage.attempt(reporter.withdraw)
    finally:
        connections.close_all()


def _save(rows: list[LiveSession]) -> None:
    """Insert rows, or bring those that are there up to date, but for the mark that somebody has set."""
    changing = ["sidecar", "page", "bytes_in", "bytes_out", "reruns"]
    connection = connections[router.db_for_write(LiveSession)]
    unique = ["id"] if connection.features.supports_update_conflicts_with_target else None
    LiveSession.objects.bulk_create(rows, update_conflicts=True, update_fields=changing, unique_fields=unique)


def _delete_sessions(sessions: QuerySet[LiveSession]) -> None:
    """Delete rows in one statement; Django's collector would load them first, and nothing refers to them."""
    sessions._raw_delete(sessions.db)


def _delete_workers(ids: list[uuid.UUID]) -> None:
    if ids:
        _delete_sessions(LiveSession.objects.filter(worker__in=ids))
        GatewayWorker.objects.filter(pk__in=ids).delete()


def _shown(sidecar: SidecarStatus) -> dict[str, Any]:
    """What is written of a sidecar: all but its address."""
    return {name: value for name, value in dataclasses.asdict(sidecar).items() if name != "address"}

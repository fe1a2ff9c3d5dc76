"""What a worker tells of its sockets, and how they are ended from elsewhere."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from datetime import timedelta

import pytest
import websockets
from django.utils import timezone
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from fluxlit_django.conf import Config
from fluxlit_django.control import SidecarStatus
from fluxlit_django.gateway.live import LiveSocket, Reporter
from fluxlit_django.gateway.observation import Observation
from fluxlit_django.gateway.runtime import Runtime
from fluxlit_django.gateway.upstream import Directory
from fluxlit_django.models import GatewayWorker, LiveSession
from tests.gateway.conftest import StartWorker
from tests.gateway.sockets import TIMEOUT_S, SocketSidecar, open_socket

SIDECAR = SidecarStatus("default-0", "default", "unix:/run/s.sock", "ready", sessions=2, rss_bytes=1 << 20)


@dataclass(eq=False)
class OpenSocket:
    """As the runtime has it."""

    live: LiveSocket


def make_reporter(**options):
    runtime = Runtime(Config(), directory=Directory([SIDECAR]))
    return runtime, Reporter(runtime, **options)


def add_socket(runtime, viewer="ada"):
    """An open socket: what is told of it, and the list that its end is put into."""
    ended = []
    seen = Observation({"headers": []})
    seen.sidecar = "default-0"
    live = LiveSocket("default", "7", viewer, seen, lambda: ended.append(1))
    runtime.sockets.add(OpenSocket(live))
    return live, ended


@pytest.mark.django_db
def test_report__sockets():
    """A socket's row comes, follows what is counted, and goes with the socket."""
    runtime, reporter = make_reporter()
    live, _ = add_socket(runtime)

    reporter.report()
    live.seen.bytes_in, live.seen.bytes_out, live.seen.reruns, live.page = 10, 20, 1, "/orders"
    reporter.report()

    (row,) = LiveSession.objects.all()
    assert ("ada", "default", "/orders", "default-0") == (row.viewer, row.app, row.page, row.sidecar)
    assert (10, 20, 1) == (row.bytes_in, row.bytes_out, row.reruns)
    runtime.sockets.clear()
    reporter.report()
    assert not LiveSession.objects.exists()


@pytest.mark.django_db
def test_report__worker():
    """The worker's row has its sidecars, without their addresses, and a sample for each report."""
    runtime, reporter = make_reporter()
    add_socket(runtime)

    reporter.report()
    reporter.report()

    (worker,) = GatewayWorker.objects.all()
    assert (1, 2) == (worker.sockets, len(worker.samples))
    assert [1, {"default-0": [2, 1 << 20]}] == worker.samples[0][1:]
    assert "default-0" == worker.sidecars[0]["name"]
    assert "address" not in worker.sidecars[0]


@pytest.mark.django_db
def test_report__nothing_new(django_assert_num_queries):
    """Sockets on which nothing happens cost no writes: the worker's row is all there is."""
    runtime, reporter = make_reporter()
    for number in range(50):
        add_socket(runtime, f"viewer-{number}")
    reporter.report()

    with django_assert_num_queries(3):  # the worker's row; those to end; workers that are dead
        reporter.report()


@pytest.mark.django_db
def test_report__is_bounded():
    """A report writes so many sockets at most; the next ones write the others."""
    runtime, reporter = make_reporter(most_written=3)
    for number in range(5):
        add_socket(runtime, f"viewer-{number}")

    counts = []
    for _ in range(2):
        reporter.report()
        counts.append(LiveSession.objects.count())

    assert [3, 5] == counts


@pytest.mark.django_db
def test_report__ends_what_is_marked():
    """A socket whose row is marked is ended, by its own worker only; the mark outlives an update."""
    runtime, reporter = make_reporter()
    live, ended = add_socket(runtime)
    _, others_reporter = make_reporter()
    others_reporter.report()
    reporter.report()
    LiveSession.objects.update(must_end=True)

    others_reporter.report()
    assert [] == ended
    live.seen.bytes_in += 1
    reporter.report()

    assert [1] == ended


@pytest.mark.django_db
def test_report__after_others_took_it_for_dead():
    """A worker whose rows were deleted, as after a long outage, writes all of them again."""
    runtime, reporter = make_reporter()
    add_socket(runtime)
    reporter.report()
    GatewayWorker.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    make_reporter()[1].report()
    assert not LiveSession.objects.exists()

    reporter.report()

    assert 1 == LiveSession.objects.count()


@pytest.mark.django_db
def test_withdraw():
    """A worker that ends takes its rows with it, and leaves those of others."""
    runtime, reporter = make_reporter()
    add_socket(runtime)
    reporter.report()
    other = make_reporter()[1]
    other.report()

    reporter.withdraw()

    assert [other.worker.pk] == list(GatewayWorker.objects.values_list("pk", flat=True))
    assert not LiveSession.objects.exists()


async def rows(path: str, query: str) -> list[tuple[object, ...]]:
    """Wait until a worker's report has rows for this query."""
    deadline = asyncio.get_running_loop().time() + TIMEOUT_S
    connection = sqlite3.connect(path, timeout=TIMEOUT_S)
    try:
        while not (found := connection.execute(query).fetchall()):
            assert asyncio.get_running_loop().time() < deadline, "waited in vain"
            await asyncio.sleep(0.05)
        return found
    finally:
        connection.close()


async def test_worker__tells_and_ends(
    server: str,
    start_worker: StartWorker,
    database: tuple[str, str],
    session_cookie: tuple[bytes, bytes],
    sidecar_socket: SocketSidecar,
) -> None:
    """On both servers: a socket is counted, ended on a mark, and a stop leaves no rows."""
    headers = {"Cookie": session_cookie[1].decode()}
    path = database[0]
    rerun = BackMsg()
    rerun.rerun_script.query_string = "x"
    finished = ForwardMsg(script_finished=ForwardMsg.FINISHED_SUCCESSFULLY)
    frames = [rerun.SerializeToString(), finished.SerializeToString()]
    with start_worker(server, FLUXLIT_LIVE_SESSIONS_INTERVAL_S="0.1") as worker:
        # Other tests' workers report into the same database.
        own = f"SELECT id FROM fluxlit_gatewayworker WHERE pid = {worker.process.pid}"
        async with open_socket(worker, additional_headers=headers) as socket:
            for frame in frames:  # the sidecar sends them back, as if it had run
                await socket.send(frame)
                await socket.recv()
            ((id, viewer, app, sidecar, received, sent),) = await rows(
                path,
                "SELECT id, viewer, app, sidecar, bytes_in, bytes_out FROM fluxlit_livesession"
                f" WHERE reruns AND worker_id = ({own})",
            )
            with sqlite3.connect(path, timeout=TIMEOUT_S) as connection:
                connection.execute("UPDATE fluxlit_livesession SET must_end = 1 WHERE id = ?", (id,))
            connection.close()
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), TIMEOUT_S)
        await rows(path, f"SELECT 1 WHERE NOT EXISTS (SELECT * FROM fluxlit_livesession WHERE id = '{id}')")
        worker.terminate()
        await asyncio.to_thread(worker.process.wait, TIMEOUT_S)
        await rows(path, f"SELECT 1 WHERE NOT EXISTS ({own})")

    assert ("ada", "open", "open-0") == (viewer, app, sidecar)
    assert received == sent == sum(map(len, frames))
    assert (4410, "ended by an administrator") == (closed.value.rcvd.code, closed.value.rcvd.reason)

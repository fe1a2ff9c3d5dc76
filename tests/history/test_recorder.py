"""Starts and events are kept, and never hold the supervisor up."""

import logging
import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from fluxlit_django.conf import Config
from fluxlit_django.history.recorder import LONGEST_LINE, Recorder
from fluxlit_django.models import SettingsSnapshot, SidecarEvent
from fluxlit_django.redaction.values import Scrubber
from fluxlit_django.supervisor.events import Event, EventKind
from tests.supervisor.children import RULES, fake, running

WAIT_S = 10


class Table:
    """Takes rows, or refuses them as a database that is down."""

    def __init__(self, *, is_down=False):
        self.rows = []
        self.is_down = is_down
        self.tried = threading.Event()
        self.has_rows = threading.Event()

    def __call__(self, rows):
        self.tried.set()
        if self.is_down:
            raise OperationalError("the database is down")
        self.rows += rows
        self.has_rows.set()


def make_recorder(
    write=SidecarEvent.objects.bulk_create, *, secrets=(), scrubber=None, snapshot=None, **options
):
    """A recorder of a made-up start, which gives up late and tries again soon."""
    snapshot = snapshot or SettingsSnapshot(host="box", pid=7, command_line="manage.py fluxlit_run")
    options = {"retry_s": 0.05, "stop_s": WAIT_S, **options}
    scrubber = scrubber or Scrubber(secrets)
    return Recorder(snapshot, {"default-0": "default"}, scrubber, Config(), write=write, **options)


def exited(number=0, *lines):
    return Event(EventKind.EXITED, "default-0", code=number, last_lines=lines, restarts=2)


def test_kinds():
    """Every kind of the supervisor's events can be kept."""
    assert {kind.value for kind in EventKind} == set(SidecarEvent.Kind.values)


@pytest.mark.django_db(transaction=True)
def test_recorder__keeps_the_start_and_events():
    """What is told is in the database when the context has ended."""
    with make_recorder(secrets=["correct-horse"]) as recorder:
        recorder(exited(3, "the key is correct-horse", "x" * 1000, "a\0b"))

    (start,) = SettingsSnapshot.objects.all()
    (event,) = SidecarEvent.objects.all()
    assert ("box", None) == (start.host, start.changes)
    assert ("exited", "default-0", "default", 3, 2) == (
        event.kind,
        event.child,
        event.app,
        event.code,
        event.restarts,
    )
    assert ["the key is [REDACTED]", "x" * LONGEST_LINE, "a\N{REPLACEMENT CHARACTER}b"] == (
        event.last_lines.split("\n")
    )


@pytest.mark.django_db(transaction=True)
def test_recorder__prunes():
    """A start deletes what is older than the settings say."""
    long_ago = timezone.now() - timedelta(days=400)
    SidecarEvent.objects.create(kind="ready", child="default-0", host="box", at=long_ago)

    with make_recorder() as recorder:
        recorder(exited())

    assert ["exited"] == list(SidecarEvent.objects.values_list("kind", flat=True))


@pytest.mark.django_db(transaction=True)
def test_recorder__database_down(caplog):
    """An outage is logged once, and what came meanwhile is written after it."""
    table = Table(is_down=True)
    caplog.set_level(logging.INFO, "fluxlit_django")

    with make_recorder(table) as recorder:
        recorder(exited(1))
        assert table.tried.wait(WAIT_S)
        recorder(exited(2))
        table.is_down = False
        assert table.has_rows.wait(WAIT_S)

    assert [1, 2] == [row.code for row in table.rows]
    lost, regained = (record.getMessage() for record in caplog.records)
    assert lost.startswith("Starts and events are not recorded: OperationalError: the database is down.")
    assert "Starts and events are recorded again" == regained


@pytest.mark.django_db(transaction=True)
def test_recorder__outage_too_long(caplog):
    """Events beyond what waits are lost and counted; telling one never blocks."""
    table = Table(is_down=True)

    with make_recorder(table, most_waiting=2) as recorder:
        recorder(exited(0))
        assert table.tried.wait(WAIT_S)
        for number in range(1, 6):
            recorder(exited(number))
        table.is_down = False
        assert table.has_rows.wait(WAIT_S)

    assert [0, 1, 2] == [row.code for row in table.rows]
    assert "3 events came while none could be recorded, and are lost" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_recorder__stop_while_down():
    """A stop does not wait for a database that is down."""
    table = Table(is_down=True)

    with make_recorder(table, retry_s=600) as recorder:
        recorder(exited(1))
        assert table.tried.wait(WAIT_S)

    assert not recorder._thread.is_alive()


@pytest.mark.django_db(transaction=True)
def test_recorder__not_migrated(caplog):
    """Without the tables, one line says what to do."""
    connection.disable_constraint_checking()
    with connection.schema_editor() as editor:
        editor.delete_model(SidecarEvent)
    try:
        with make_recorder(retry_s=600) as recorder:
            recorder(exited(1))
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(SidecarEvent)

    (message,) = [record.getMessage() for record in caplog.records]
    assert (
        "Starts and events are not recorded: the tables are missing. Run manage.py migrate. "
        "Everything else goes on." == message
    )


@pytest.mark.django_db(transaction=True)
async def test_recorder__with_a_supervisor():
    """A sidecar that dies and comes back leaves its story, its last line in it."""
    with make_recorder(secrets=["correct-horse"]) as recorder:
        children = [fake("gateway-0", "ready"), fake("default-0", "write:the key is correct-horse", "ready")]
        async with running(*children, hooks=[recorder], rules=RULES) as run:
            await run.until_event(EventKind.SERVING)
            run.supervisor.children[1].process.kill()
            await run.until_event(EventKind.RESTARTED, "default-0")

    kinds = [row.kind async for row in SidecarEvent.objects.filter(child="default-0").order_by("pk")]
    assert ["started", "ready", "exited", "started", "restarted"] == kinds
    (death,) = [row async for row in SidecarEvent.objects.filter(kind="exited", child="default-0")]
    assert (-9, "the key is [REDACTED]") == (death.code, death.last_lines)

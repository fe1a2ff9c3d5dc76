"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluxlit_django.supervisor.events import Event, EventKind
from fluxlit_django.supervisor.notify import Notifier
from tests.supervisor.children import fake, running


@pytest.fixture
def systemd() -> Iterator[socket.socket]:
    """The socket on which systemd listens."""
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        sock.bind(str(Path(folder) / "notify"))
        sock.settimeout(10)
        yield sock


def told(systemd: socket.socket) -> list[str]:
    """The lines of the next message."""
    return systemd.recv(4096).decode().splitlines()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (EventKind.SERVING, "READY=1"),
        (EventKind.RELOADED, "READY=1"),
        (EventKind.RELOAD_FAILED, "READY=1"),
        (EventKind.STOPPING, "STOPPING=1"),
        (EventKind.BREAKER, "STATUS=Serving without default-0, which keeps dying"),
    ],
)
def test_notifier__tells(systemd, kind, expected):
    """Each change that systemd cares about is one message."""
    Notifier(systemd.getsockname())(Event(kind, "default-0"))

    assert expected == told(systemd)[0]


def test_notifier__reload_has_its_time(systemd):
    """A reload says when it began, by the clock that systemd compares with."""
    Notifier(systemd.getsockname())(Event(EventKind.RELOADING))

    first, second, _ = told(systemd)
    assert ("RELOADING=1", "MONOTONIC_USEC") == (first, second.partition("=")[0])
    assert second.partition("=")[2].isdigit()


def test_notifier__abstract_socket():
    """An address with an @ is one in the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("")  # the kernel chooses an abstract name
        name = sock.getsockname()

        Notifier(f"@{name[1:].decode()}")(Event(EventKind.SERVING))

        sock.settimeout(10)
        assert "READY=1" in told(sock)


def test_notifier__nobody_listens(caplog, tmp_path):
    """A socket that is gone is a warning, and an event of no interest or no socket at all is nothing."""
    Notifier()(Event(EventKind.SERVING))
    Notifier(str(tmp_path / "gone"))(Event(EventKind.STARTED))
    assert "" == caplog.text

    Notifier(str(tmp_path / "gone"))(Event(EventKind.SERVING))
    assert "systemd could not be told READY=1" in caplog.text


async def test_heart_beat(systemd):
    """The watchdog hears from the loop again and again."""
    async with Notifier(systemd.getsockname(), watchdog_s=0.02).heart_beat():
        beats = [await asyncio.to_thread(told, systemd) for _ in range(3)]

    assert [["WATCHDOG=1"]] * 3 == beats


@pytest.mark.parametrize(
    ("pid", "watchdog_s"),
    [("", 3.0), (str(os.getpid()), 3.0), ("1", 0.0)],
    ids=["anybody's", "ours", "another's"],
)
def test_from_environment(pid, watchdog_s):
    """What systemd asks is taken out of the environment; a watchdog of another process is none of ours."""
    environment = {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": pid, "HOME": "/"}

    notifier = Notifier.from_environment(environment)

    assert {"HOME": "/"} == environment
    assert ("/run/n", watchdog_s) == (notifier._address, notifier._watchdog_s)


async def test_supervisor__from_start_to_stop(systemd):
    """A real supervisor is ready when all children serve, reloads on SIGHUP, and stops."""
    hooks = [Notifier(systemd.getsockname())]
    async with running(fake("gateway-0", "ready"), fake("default-0", "ready"), hooks=hooks) as run:
        found = [(await asyncio.to_thread(told, systemd))[0]]
        run.supervisor.inbox.put_nowait(signal.SIGHUP)
        found += [(await asyncio.to_thread(told, systemd))[0] for _ in range(2)]
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        found += [(await asyncio.to_thread(told, systemd))[0]]
        assert 0 == await run.finish()

    assert ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"] == found

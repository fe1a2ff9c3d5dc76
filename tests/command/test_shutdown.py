"""Stopping the running command by another: in order, and nobody else's process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site import ROOT, running_site, site_environment
from tests.supervisor.children import is_alive


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A site with a runtime directory of its own."""
    runtime = tmp_path / "run"
    return site_environment(
        tmp_path, FLUXLIT_RUNTIME_DIR=str(runtime), FLUXLIT_GRACEFUL_SHUTDOWN_TIMEOUT_S="2"
    )


def shutdown(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `fluxlit_shutdown`."""
    return subprocess.run(
        [sys.executable, "manage.py", "fluxlit_shutdown", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_shutdown__stops_and_waits(environment, tmp_path):
    """It returns when every process has ended; the stopped command's exit code is 0, its port is free.

    systemd hears of it all.
    """
    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd.bind(str(tmp_path / "notify"))
    environment |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"}
    with systemd, running_site(environment) as site:
        children = [site.child("fluxlit_django.gateway"), site.child("fluxlit_django.sidecar", "default")]
        port = int(site.url.rpartition(":")[2])

        wrong_port = shutdown(environment, "--port", str(port - 1))
        done = shutdown(environment, "--port", str(port))

        assert (2, True) == (
            wrong_port.returncode,
            wrong_port.stderr.startswith("CommandError: No fluxlit_run"),
        )
        assert (0, f"fluxlit_run (process {site.process.pid}) has stopped.\n") == (
            done.returncode,
            done.stdout,
        )
        assert [] == [pid for pid in children if is_alive(pid)]
        socket.create_server(("127.0.0.1", port)).close()
        assert 0 == site.process.wait(30)
        told = received(systemd)
    assert "Stopping on SIGTERM" in site.log
    assert "Warning" not in site.log
    assert "Traceback" not in site.log
    assert "WATCHDOG=1" in told
    assert ["READY=1", "STOPPING=1"] == [line for line in told if line in {"READY=1", "STOPPING=1"}]


def received(systemd: socket.socket) -> list[str]:
    """The lines of all messages that are there."""
    systemd.setblocking(False)
    lines: list[str] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            lines += systemd.recv(4096).decode().splitlines()
    return lines


def test_shutdown__nothing_runs(environment):
    """Without a running command it says so, with exit code 2."""
    done = shutdown(environment)

    assert 2 == done.returncode
    assert done.stderr.startswith("CommandError: No fluxlit_run of this project and this user is running.")


def test_shutdown__stale_socket(environment):
    """What a killed supervisor left behind is nobody to be stopped."""
    with running_site(environment) as site:
        site.process.send_signal(signal.SIGKILL)
        site.process.wait(30)
    assert (Path(environment["FLUXLIT_RUNTIME_DIR"]) / "operator.sock").is_socket()

    assert 2 == shutdown(environment).returncode


@pytest.fixture
def victim() -> Iterator[int]:
    """A process of this user that has nothing to do with any of this."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process.pid
    assert process.poll() is None
    process.communicate(b"")


@pytest.mark.parametrize("claim", ["victim", -1, 0, 1])
def test_shutdown__hostile_answer(environment, victim, claim):
    """Whoever answers in the supervisor's place, and claims any process id, gets nobody killed."""
    folder = Path(environment["FLUXLIT_RUNTIME_DIR"])
    folder.mkdir(mode=0o700)
    pid = victim if claim == "victim" else claim
    greeting = {"type": "supervisor", "pid": pid, "port": 1, "project": str(ROOT / "project" / "settings.py")}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "operator.sock"))
        listener.listen()
        asked: list[bytes] = []

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(json.dumps(greeting).encode() + b"\n")
                asked.append(connection.recv(1000))
                connection.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        done = shutdown(environment, "--wait", "1")
        thread.join()

    assert (1, [b'{"type": "stop"}\n']) == (done.returncode, asked)
    assert f"fluxlit_run (process {pid}) still runs after 1 s." in done.stderr
    assert is_alive(os.getpid())


def test_shutdown__force(tmp_path):
    """With --force, what does not end by itself is killed after the wait."""
    environment = site_environment(
        tmp_path,
        FLUXLIT_RUNTIME_DIR=str(tmp_path / "run"),
        FLUXLIT_GRACEFUL_SHUTDOWN_TIMEOUT_S="600",
    )
    with running_site(environment) as site:
        gateway = site.child("fluxlit_django.gateway")
        os.kill(gateway, signal.SIGSTOP)  # it will never end by itself

        patient = shutdown(environment, "--wait", "1")
        forced = shutdown(environment, "--wait", "1", "--force")

        assert (1, 0) == (patient.returncode, forced.returncode), patient.stderr + forced.stderr
        assert "still runs after 1 s. Wait on, or use --force." in patient.stderr
        assert not is_alive(gateway)
        assert 0 == site.process.wait(30)

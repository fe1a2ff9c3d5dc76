"""A real Redis and a real PostgreSQL on free ports of this machine, each in a folder of its own."""

from __future__ import annotations

import abc
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

START_LIMIT_S = 30
ACCOUNT = "postgres"
"""Whom PostgreSQL, which refuses root, runs as when the tests do; Debian's package makes the account."""


def find_redis() -> str | None:
    """The path of Redis' program."""
    return shutil.which("redis-server")


def find_postgres(program: str = "postgres") -> str | None:
    """The path of one of PostgreSQL's programs, which Debian keeps off the PATH; of its newest release."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda home: int(home.parent.name))
    places = [str(home) for home in reversed(homes)]
    return shutil.which(program, path=os.pathsep.join([*places, os.environ.get("PATH", "")]))


class Server(abc.ABC):
    """A server that can be stopped and started again, on the same port and with the same data."""

    account: str | None = None
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where the server is, as a setting names it."""

    @abc.abstractmethod
    def command(self) -> Sequence[str]:
        """What runs the server in the foreground."""

    def start(self) -> None:
        """Start, and wait until the server answers."""
        self._process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=self.account
        )
        deadline = time.monotonic() + START_LIMIT_S
        while not self.answers():
            assert self._process.poll() is None, f"{self.command()[0]} ended at once"
            assert time.monotonic() < deadline, f"{self.command()[0]} does not answer"
            # A port that opens has nothing to wait on but its own next try.
            threading.Event().wait(0.05)

    def answers(self) -> bool:
        """Whether the server takes requests."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Stop, breaking off every connection."""
        if self._process is not None:
            self._process.send_signal(self.stop_signal)
            self._process.wait(START_LIMIT_S)
            self._process = None


class Redis(Server):
    """A Redis that keeps nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    @property
    def url(self) -> str:
        """The URL of its first database."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        """The server with its defaults, without files."""
        return [
            find_redis() or "redis-server",
            *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)),
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
        ]


class PostgreSQL(Server):
    """A PostgreSQL with one empty database, whose folder its own account can read."""

    stop_signal = signal.SIGINT  # its "fast shutdown": clients are not waited for
    account = ACCOUNT if os.geteuid() == 0 else None

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._data = folder / "data"
        if self.account:
            shutil.chown(folder, self.account)
        self._run("initdb", "--username=shop", "--auth=trust", "--encoding=UTF8", "--no-sync")

    @property
    def url(self) -> str:
        """The URL of its database, as DATABASE_URL has it."""
        return f"postgres://shop@127.0.0.1:{self.port}/postgres"

    def command(self) -> Sequence[str]:
        """The server with its defaults, a hundred connections among them."""
        return [
            find_postgres() or "postgres",
            *("-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1"),
            *("-c", f"unix_socket_directories={self._folder}", "-c", "fsync=off"),
        ]

    def answers(self) -> bool:
        """Whether it is through with its own start, which an open port does not tell."""
        program = find_postgres("pg_isready") or "pg_isready"
        return subprocess.run([program, "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        path = find_postgres(program) or program
        done = subprocess.run(
            [path, "-D", str(self._data), *arguments], capture_output=True, text=True, user=self.account
        )
        assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def running_redis(folder: Path) -> Iterator[Redis]:
    """Run a Redis until the end of the block."""
    server = Redis(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgreSQL]:
    """Run a PostgreSQL until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:  # pytest's folders are root's alone
        server = PostgreSQL(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()

"""What an operator may ask of a running supervisor, over a Unix socket in its runtime directory.

Who can reach the socket is the supervisor's own user: the directory is nobody else's. Who answers on it is
the supervisor, so there is no process id to be kept in a file, to grow stale and to be signalled by mistake.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import socket
import stat
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from fluxlit_django.control import ControlLine
from fluxlit_django.exceptions import FluxLitError

logger = logging.getLogger(__name__)

SOCKET_NAME = "operator"

_GREETING_S = 5.0  # a supervisor greets at once


class NoAnswer(FluxLitError):
    """The supervisor ended before it answered."""


@dataclass(frozen=True)
class Identity:
    """Which supervisor answers."""

    pid: int
    port: int
    project: str
    """Path of the project's settings module."""


def own_project() -> str:
    """Path of this project's settings module; "" when the settings come from no file."""
    module = sys.modules.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
    file = getattr(module, "__file__", None) if settings.configured else None
    return os.path.realpath(file) if file else ""


class Desk:
    """The supervisor's side: greets who connects, and does what is asked.

    Args:
        identify: which supervisor this is, asked for each connection.
        replace: replaces every child; why it stopped early, or "".
        stop: begins an orderly stop.
        hurry: kills what still runs of a stop.
    """

    def __init__(
        self,
        identify: Callable[[], Identity],
        *,
        replace: Callable[[], Awaitable[str]],
        stop: Callable[[], None],
        hurry: Callable[[], None],
    ) -> None:
        self._identify = identify
        self._replace = replace
        self._stop = stop
        self._hurry = hurry
        self._waiting: list[ControlLine] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection. Of who asked for a stop it is kept until `farewell`."""
        line = ControlLine(reader, writer)
        line.send({"type": "supervisor", **asdict(self._identify())})
        try:
            async for message in line.messages():
                await self._do(message, line)
                if line in self._waiting:
                    return  # now: a task that is cancelled at the stop has its connection closed by asyncio
        except ValueError:
            logger.warning("Somebody sent what is no JSON to the operator socket")
        finally:
            if line not in self._waiting:
                line.close()

    async def _do(self, message: dict[str, Any], line: ControlLine) -> None:
        kind = message.get("type")
        if kind == "reload":
            line.send({"type": "reloaded", "problem": await self._replace()})
        elif kind == "stop":
            self._waiting.append(line)
            self._stop()
        elif kind == "hurry":
            self._hurry()

    def farewell(self) -> None:
        """Tell those who wait for the end that everything is stopped."""
        for line in self._waiting:
            line.send({"type": "stopped"})
            line.close()


class Operator:
    """The operator's side of one connection; a context manager.

    Raises:
        OSError, ValueError: nobody listens, or no supervisor does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(_GREETING_S)
            self._socket.connect(str(path))
            self._answers = self._socket.makefile("rb")
            greeting = self._read()
            self.identity = Identity(greeting["pid"], greeting["port"], greeting["project"])
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._answers.close()
        self._socket.close()

    def reload(self) -> str:
        """Have every child replaced, and wait for it: why it stopped early, or "".

        Raises:
            NoAnswer: the supervisor ended meanwhile.
        """
        self._socket.settimeout(None)
        try:
            self._socket.sendall(b'{"type": "reload"}\n')
            return str(self._read()["problem"])
        except (OSError, ValueError) as exc:
            msg = f"fluxlit_run (process {self.identity.pid}) ended before it had replaced everything."
            raise NoAnswer(msg) from exc

    def stop(self, wait_s: float) -> bool:
        """Have it stop in order, and wait: whether it has, with all its children, before the time was over.

        Raises:
            NoAnswer: it ended otherwise meanwhile.
        """
        try:
            self._socket.sendall(b'{"type": "stop"}\n')
        except OSError as exc:
            raise self._lost() from exc
        return self.wait_stopped(wait_s)

    def wait_stopped(self, wait_s: float) -> bool:
        """Wait for the end of a stop that was asked for: whether it came before the time was over.

        Raises:
            NoAnswer: it ended otherwise meanwhile.
        """
        # Nothing of the answer is read before it is there: a time-out in its middle would lose the part.
        if not select.select([self._socket], [], [], wait_s)[0]:
            return False
        self._socket.settimeout(_GREETING_S)
        try:
            self._read()
        except (OSError, ValueError) as exc:
            raise self._lost() from exc
        return True

    def hurry(self) -> None:
        """Have it kill what still runs of a stop."""
        with contextlib.suppress(OSError, ValueError, LookupError), Operator(self._path) as other:
            other._socket.sendall(b'{"type": "hurry"}\n')

    def _lost(self) -> NoAnswer:
        return NoAnswer(f"fluxlit_run (process {self.identity.pid}) ended before it had stopped everything.")

    def _read(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._answers.readline())
        return message


def find_operators(runtime_dir: str, cleanup: contextlib.ExitStack) -> Iterator[Operator]:
    """A connection to every supervisor of this user that runs with this runtime directory.

    Args:
        runtime_dir: the configured one; "" for all the private directories that supervisors make themselves.
        cleanup: closes the connections.
    """
    for path in _sockets(runtime_dir):
        # A socket without a listener was left behind by a supervisor that was killed.
        with contextlib.suppress(OSError, ValueError, LookupError):
            yield cleanup.enter_context(Operator(path))


def find_own(runtime_dir: str, port: int | None, cleanup: contextlib.ExitStack) -> list[Operator]:
    """The supervisors of this project, on a port if one is given."""
    return [
        operator
        for operator in find_operators(runtime_dir, cleanup)
        if operator.identity.project == own_project() and port in {None, operator.identity.port}
    ]


def _sockets(runtime_dir: str) -> Iterator[Path]:
    if runtime_dir:
        folders = [Path(runtime_dir).expanduser().absolute()]
    else:
        parents = {Path(tempfile.gettempdir()).resolve(), Path("/tmp").resolve()}
        folders = [folder for parent in sorted(parents) for folder in sorted(parent.glob("fluxlit-*"))]
    for folder in folders:
        path = folder / f"{SOCKET_NAME}.sock"
        if _is_private(folder) and path.is_socket():
            yield path


def _is_private(folder: Path) -> bool:
    """Whether only this user can have put something into the folder."""
    with contextlib.suppress(OSError):
        found = folder.lstat()
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return False

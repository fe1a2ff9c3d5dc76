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


async def answer_operator(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    identity: Identity,
    replace: Callable[[], Awaitable[str]],
) -> None:
    """The supervisor's side of one connection: greet, then do what is asked.

    Args:
        replace: replaces every child; why it stopped early, or "".
    """
    line = ControlLine(reader, writer)
    line.send({"type": "supervisor", **asdict(identity)})
    try:
        async for message in line.messages():
            if message.get("type") == "reload":
                line.send({"type": "reloaded", "problem": await replace()})
    except ValueError:
        logger.warning("Somebody sent what is no JSON to the operator socket")
    finally:
        line.close()


class Operator:
    """The operator's side of one connection; a context manager.

    Raises:
        OSError, ValueError: nobody listens, or no supervisor does.
    """

    def __init__(self, path: Path) -> None:
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

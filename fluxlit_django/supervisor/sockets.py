"""The sockets: the supervisor binds them all and hands them down, so an address never changes hands."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from fluxlit_django.exceptions import StartupError

PUBLIC_BACKLOG = 2048  # connections
SIDECAR_BACKLOG = 1024  # connections; those made while a sidecar restarts wait here
_LONGEST_GENERATION = ".99999"  # of a socket's name: `generation_name`
LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103  # bytes of sun_path, less its final NUL


def bind_public_socket(host: str, port: int) -> socket.socket:
    """A listening TCP socket for the gateway workers.

    Raises:
        StartupError: the address cannot be listened on; the message says why and what to do.
    """
    try:
        family, address = _resolve(host, port)
        return _listen_tcp(family, address)
    except OSError as exc:
        msg = f"Cannot listen on {show_address(host, port)}: {_reason(exc, host, port)}"
        raise StartupError(msg) from exc


def show_address(host: str, port: int) -> str:
    """An address as people write it, with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _resolve(host: str, port: int) -> tuple[int, tuple[Any, ...]]:
    name = host.strip("[]") or None  # none means every address
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name such as localhost may have both families: IPv4 is the one that everybody can reach.
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address


def _listen_tcp(family: int, address: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address[0] == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
        sock.listen(PUBLIC_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _reason(exc: OSError, host: str, port: int) -> str:
    free = f"--port {port + 1}" if 1024 <= port < 65535 else "--port 8001"
    if isinstance(exc, socket.gaierror):
        return "the name has no address on this machine. Use an address, for example --host 127.0.0.1."
    if exc.errno == errno.EADDRINUSE:
        return f"the port is in use. Stop what listens there, or choose another, for example {free}."
    if exc.errno in {errno.EACCES, errno.EPERM}:
        return f"this user may not open port {port}. Choose one above 1023, for example {free}."
    if exc.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine. Use, for example, --host 127.0.0.1."
    return f"{exc.strerror or exc}. Choose another address with --host and --port."


def generation_name(name: str, generation: int) -> str:
    """The name of a sidecar's socket: just its own name at first, then `<name>.<generation>`."""
    return name if generation == 1 else f"{name}.{generation}"


class SidecarSockets:
    """A private directory with one listening Unix socket per sidecar; a context manager that removes them.

    Raises:
        StartupError: on entering, or from `open`; the directory cannot be used.
    """

    def __init__(self, directory: str, names: list[str]) -> None:
        self._configured = directory
        self._names = names
        self._cleanup = contextlib.ExitStack()
        self._closing: dict[str, contextlib.ExitStack] = {}
        self.directory = Path()
        self.sockets: dict[str, socket.socket] = {}

    def __enter__(self) -> SidecarSockets:
        with contextlib.ExitStack() as cleanup:
            if hasattr(socket, "AF_UNIX"):
                self.directory = self._open_directory(cleanup)
            cleanup.callback(self._close_all)
            for name in self._names:
                self.open(name)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def open(self, name: str) -> socket.socket:
        """A new listening socket of this name.

        Raises:
            StartupError: the socket could not be had.
        """
        with contextlib.ExitStack() as cleanup:
            self.sockets[name] = self._listen(name, cleanup)
            self._closing[name] = cleanup.pop_all()
        return self.sockets[name]

    def close(self, name: str) -> None:
        """Close a socket, which refuses connections from now on."""
        del self.sockets[name]
        self._closing.pop(name).close()

    def _close_all(self) -> None:
        for name in list(self.sockets):
            self.close(name)

    def address(self, name: str) -> str:
        """The address of a sidecar as gateway workers are told it."""
        sock = self.sockets[name]
        if sock.family == socket.AF_INET:
            return "http://{}:{}".format(*sock.getsockname())
        return f"unix:{self._path(name)}"

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.sock"

    def _open_directory(self, cleanup: contextlib.ExitStack) -> Path:
        longest = max((len(f"{name}{_LONGEST_GENERATION}.sock") for name in self._names), default=0)
        if not self._configured:
            directory = Path(tempfile.mkdtemp(prefix="fluxlit-", dir=_temporary_directory(longest)))
            cleanup.callback(_remove_directory, directory)
            return directory
        directory = Path(self._configured).expanduser().absolute()
        too_many = len(os.fsencode(directory)) + 1 + longest - LONGEST_SOCKET_PATH
        if too_many > 0:
            msg = (
                f"The runtime directory {directory} is {too_many} bytes too long for the path of a socket. "
                "Set FLUXLIT_RUNTIME_DIR to a shorter one."
            )
            raise StartupError(msg)
        _make_directory(directory, cleanup)
        _require_private(directory)
        _lock_directory(directory, cleanup)
        for name in self._names:  # left behind by a supervisor that was killed; the lock says it is gone
            for path in directory.glob(f"{name}.*sock"):
                path.unlink(missing_ok=True)
        return directory

    def _listen(self, name: str, cleanup: contextlib.ExitStack) -> socket.socket:
        if not hasattr(socket, "AF_UNIX"):
            return cleanup.enter_context(_listen_tcp(socket.AF_INET, ("127.0.0.1", 0)))
        path = self._path(name)
        sock = cleanup.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        try:
            sock.bind(str(path))
            cleanup.callback(path.unlink, missing_ok=True)
            path.chmod(0o600)
            sock.listen(SIDECAR_BACKLOG)
        except OSError as exc:
            msg = f"Cannot make the socket {path}: {exc.strerror or exc}. Set FLUXLIT_RUNTIME_DIR to another."
            raise StartupError(msg) from exc
        return sock


def _temporary_directory(longest_name: int) -> str:
    """The system's directory for temporary files, or /tmp where that one is too long (macOS)."""
    directory = tempfile.gettempdir()
    length = len(os.fsencode(directory)) + len("/fluxlit-12345678/") + longest_name
    return directory if length <= LONGEST_SOCKET_PATH else "/tmp"


def _remove_directory(directory: Path) -> None:
    with contextlib.suppress(OSError):
        directory.rmdir()


def _make_directory(directory: Path, cleanup: contextlib.ExitStack) -> None:
    if directory.exists() or directory.is_symlink():
        return
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
    except OSError as exc:
        msg = (
            f"Cannot make the runtime directory {directory}: {exc.strerror or exc}. "
            "Set FLUXLIT_RUNTIME_DIR to one that this user can make."
        )
        raise StartupError(msg) from exc
    cleanup.callback(_remove_directory, directory)


def _require_private(directory: Path) -> None:
    """Refuse a directory in which anybody else could look for, or put, a socket."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        msg = (
            f"The runtime directory {directory} is not a directory. Set FLUXLIT_RUNTIME_DIR to another path."
        )
        raise StartupError(msg)
    if found.st_uid != os.geteuid():
        msg = (
            f"The runtime directory {directory} belongs to another user (id {found.st_uid}). "
            "Set FLUXLIT_RUNTIME_DIR to one of your own."
        )
        raise StartupError(msg)
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        msg = (
            f"The runtime directory {directory} is open to other users (mode {mode:03o}). "
            f"Close it with: chmod 700 {directory}"
        )
        raise StartupError(msg)


def _lock_directory(directory: Path, cleanup: contextlib.ExitStack) -> None:
    """Hold the directory as long as this process lives, so that two supervisors never share one."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError as exc:
        msg = f"Cannot open the runtime directory {directory}: {exc.strerror}. Use: chmod 700 {directory}"
        raise StartupError(msg) from exc
    cleanup.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        msg = (
            f"The runtime directory {directory} is in use by another fluxlit_run. "
            "Stop that one, or set FLUXLIT_RUNTIME_DIR to another directory."
        )
        raise StartupError(msg) from exc

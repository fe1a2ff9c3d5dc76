"""The line between the supervisor and a child: JSON objects, one per line, over an inherited socket.

The supervisor tells gateway workers which sidecars exist; children say when they serve.
End of file in a child means that the supervisor is gone, however it died, so the child goes too.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

FD_VARIABLE = "FLUXLIT_CONTROL_FD"
"""Environment variable that tells a child the number of its inherited control socket."""

LISTEN_FD_VARIABLE = "FLUXLIT_LISTEN_FD"
"""Environment variable that tells a child the number of its inherited listening socket."""

BUSY_HEADER = "x-fluxlit-busy"
"""On a sidecar's refusal of a WebSocket: it has as many sessions as it may have."""

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_LINE_LIMIT = 1 << 20  # bytes


@dataclass(frozen=True)
class SidecarStatus:
    """What the supervisor knows of one sidecar, as told to every gateway worker."""

    name: str
    """`<app>-<index>`, for example `default-0`."""
    app: str
    address: str
    """`unix:/path/to.sock` or `http://host:port`."""
    state: str
    """`starting`, `ready`, `restarting` (waiting for its next try), `failed` (breaker open), `draining`
    (replaced; its sessions go on) or `stopped`."""
    restarts: int = 0
    detail: str = ""
    """Why it is in this state, in one line fit for an operator."""
    generation: int = 1
    """Grows with every replacement under one supervisor; a sidecar's replacement has its name."""
    sessions: int = 0
    """Open sessions, as it last said."""
    rss_bytes: int = 0
    """Memory it holds, as it last said."""


@dataclass(frozen=True)
class SidecarLoad:
    """What a sidecar says of itself every few seconds."""

    sessions: int = 0
    """Sessions with an open socket."""
    parked: int = 0
    """Sessions whose browser has gone and may come back."""
    running: int = 0
    """Scripts that run now."""
    rss_bytes: int = 0


def encode_load(load: SidecarLoad) -> dict[str, Any]:
    """The message by which a sidecar tells its load."""
    return {"type": "load", **asdict(load)}


def decode_load(message: Mapping[str, Any]) -> SidecarLoad:
    """The load told by a message made by `encode_load`."""
    return SidecarLoad(**{name: value for name, value in message.items() if name != "type"})


def encode_sidecars(sidecars: list[SidecarStatus]) -> dict[str, Any]:
    """The message that tells a gateway worker of all sidecars."""
    return {"type": "sidecars", "sidecars": [asdict(sidecar) for sidecar in sidecars]}


def decode_sidecars(message: Mapping[str, Any]) -> list[SidecarStatus]:
    """The sidecars named in a message made by `encode_sidecars`."""
    return [SidecarStatus(**fields) for fields in message["sidecars"]]


class ControlLine:
    """One end of the line, for either side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, sock: socket.socket) -> ControlLine:
        """Take over a connected socket. Call inside a running loop."""
        sock.setblocking(False)
        return cls(*await asyncio.open_connection(sock=sock, limit=_LINE_LIMIT))

    @classmethod
    async def inherited(cls) -> ControlLine | None:
        """This process's line to its supervisor, or None when nobody supervises it."""
        number = os.environ.get(FD_VARIABLE)
        if number is None:
            return None
        return await cls.open(socket.socket(fileno=int(number)))

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue one message. A peer that is gone is found out by `messages`, not here."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the peer's messages until it closes its end."""
        with contextlib.suppress(ConnectionError):
            while line := await self._reader.readline():
                yield json.loads(line)

    def close(self) -> None:
        """Close this end."""
        self._writer.close()


def raise_file_limit() -> None:
    """Let this process open as many files as it may: each WebSocket takes one or two, and 1024 is usual."""
    if sys.platform != "win32":
        import resource  # there is none on Windows

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        # macOS takes no "unlimited" here.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, where it can (Linux).

    Elsewhere the end of the control line does the same a little later.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def begin_loading() -> None:
    """Look for no garbage while modules are imported: there is hardly any, and it takes 7 % of a start."""
    gc.disable()


def end_loading() -> None:
    """Collect garbage again, but never look for it among what has been loaded, which stays."""
    gc.freeze()
    gc.enable()

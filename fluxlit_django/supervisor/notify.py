"""Tells systemd how the supervisor is: the protocol of sd_notify(3), for units of `Type=notify`.

One datagram of `NAME=value` lines for each change, to the Unix socket that `NOTIFY_SOCKET` names. There is
nothing to tell without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, MutableMapping

from fluxlit_django.supervisor.events import Event, EventKind

logger = logging.getLogger(__name__)


class Notifier:
    """A hook of the supervisor, and the watchdog's heart-beat.

    Args:
        address: path of systemd's socket, `@…` for an abstract one; "" for none.
        watchdog_s: how often systemd wants to hear from us at least; 0 for never.
    """

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_s = watchdog_s

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> Notifier:
        """The one that systemd asks for; what it asks with is taken away, as it is not for our children."""
        address = environment.pop("NOTIFY_SOCKET", "")
        period = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        is_ours = period.isdigit() and pid in {"", str(os.getpid())}
        return cls(address, int(period) / 1e6 if is_ours else 0.0)

    def __call__(self, event: Event) -> None:
        """Tell what the service manager cares about of an event."""
        if event.kind is EventKind.SERVING:
            self._send("READY=1", "STATUS=Serving")
        elif event.kind is EventKind.RELOADING:
            # systemd drops the READY that ends a reload unless it knows when that began (sd_notify(3)).
            self._send(
                "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=Replacing processes"
            )
        elif event.kind is EventKind.RELOADED:
            self._send("READY=1", "STATUS=Serving")
        elif event.kind is EventKind.RELOAD_FAILED:
            self._send("READY=1", "STATUS=Serving; what was to be replaced goes on as it was")
        elif event.kind is EventKind.BREAKER:
            self._send(f"STATUS=Serving without {event.child}, which keeps dying")
        elif event.kind is EventKind.STOPPING:
            self._send("STOPPING=1", "STATUS=Stopping")

    @contextlib.asynccontextmanager
    async def heart_beat(self) -> AsyncIterator[None]:
        """Beat as long as the loop runs, until the end of the block."""
        task = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            task.cancel()

    async def _beat(self) -> None:
        while self._address and self._watchdog_s:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / 2)  # as sd_watchdog_enabled(3) advises

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as exc:
            logger.warning("systemd could not be told %s: %s", lines[0], exc)

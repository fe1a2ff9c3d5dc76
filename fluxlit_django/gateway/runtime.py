"""What all requests of one gateway worker share."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from fluxlit_django import logs
from fluxlit_django.conf import Config, get_config
from fluxlit_django.control import ControlLine, decode_sidecars
from fluxlit_django.gateway import headers
from fluxlit_django.gateway.access import Gatekeeper
from fluxlit_django.gateway.access_log import AccessLog
from fluxlit_django.gateway.crowd import Crowd
from fluxlit_django.gateway.edge import Edge
from fluxlit_django.gateway.observation import Recorder
from fluxlit_django.gateway.switchboard import Switchboard
from fluxlit_django.gateway.upstream import Clients, Directory, SessionHomes, configured_sidecars

if TYPE_CHECKING:
    from fluxlit_django.gateway.live import LiveSocket

_LEAVE_S = 0.5
_MOST_KNOCKING, _MOST_KNOCKING_OF_ONE = 2048, 128
_SHARES = 8  # as many viewers can wait for sidecars as they please, and others still get through


class Socket(Protocol):
    """An open WebSocket, as the drain at a stop sees it."""

    @property
    def is_busy(self) -> bool:
        """Whether a rerun is under way."""

    @property
    def live(self) -> LiveSocket | None:
        """What is told of it in the admin."""

    async def leave(self, code: int, reason: str) -> None:
        """Close it from our side."""


class Runtime:
    """One worker's configuration, sidecars, clients, open sockets and running transfers."""

    def __init__(
        self,
        config: Config,
        *,
        directory: Directory | None = None,
        gatekeeper: Gatekeeper | None = None,
        switchboard: Switchboard | None = None,
        recorders: Sequence[Recorder] | None = None,
    ) -> None:
        self.config = config
        self.directory = directory or Directory(configured_sidecars(config))
        self.gatekeeper = gatekeeper or Gatekeeper()
        self.switchboard = switchboard or Switchboard()
        self.clients = Clients(config)
        self.edge = Edge(config.forwarded_allow_ips)
        self.header_names = headers.allowed_names(config.gateway_forward_client_headers_to_streamlit)
        self.cookie_names = frozenset(name.encode() for name in config.gateway_forward_cookies_to_streamlit)
        self.homes = SessionHomes()
        self.asked_elsewhere = 0
        """How often a sidecar did not know a session's file and another one was asked."""
        self.sockets: set[Socket] = set()
        self.knocking = Crowd(_MOST_KNOCKING, _MOST_KNOCKING_OF_ONE)
        """The sockets that are not let in yet, by their address."""
        most = config.gateway_max_concurrent_upstream_http or sys.maxsize
        self.exchanges = Crowd(most, max(1, most // _SHARES))
        """The requests that sidecars are to answer, by their viewer or address."""
        self.recorders = tuple(configured_recorders(config) if recorders is None else recorders)
        """Told of every request and socket."""
        self.is_draining = False
        self._transfers = 0
        self._quiet = asyncio.Event()
        """Unset only while a drain waits."""
        self._quiet.set()

    async def follow(self, line: ControlLine, on_retire: Callable[[], None]) -> None:
        """Keep the directory as the supervisor tells, until the supervisor is gone.

        Args:
            on_retire: called when another worker has taken this one's place.
        """
        async for message in line.messages():
            if message["type"] == "sidecars":
                self.directory.update(decode_sidecars(message))
                await self.clients.close(keep=self.directory.addresses())
            elif message["type"] == "retire":
                on_retire()

    def live_sockets(self) -> list[LiveSocket]:
        """What is told of the open sockets in the admin. Callable from any thread."""
        # The copy is made in one step, while the loop stands still.
        return [each.live for each in self.sockets.copy() if each.live is not None]

    @contextlib.contextmanager
    def transfer(self) -> Iterator[None]:
        """Count one HTTP exchange as running."""
        self._transfers += 1
        try:
            yield
        finally:
            self._transfers -= 1
            self.note_quiet()

    def note_quiet(self) -> None:
        """Let a drain go on if nothing runs any more. Sockets call it when their rerun ends."""
        if not self._quiet.is_set() and not self._is_busy():
            self._quiet.set()

    async def drain(
        self, *, code: int = 1012, reason: str = "service restart", has_successor: bool = False
    ) -> None:
        """Take no new sockets, give running reruns and transfers their time, then close all sockets.

        1012 is "service restart" (IANA's WebSocket close codes); Streamlit's frontend reconnects after it.

        Args:
            has_successor: another worker serves in this one's place, so that what still comes on open
                connections is not told that the site is going down.
        """
        self.is_draining = not has_successor
        self._quiet.clear()
        self.note_quiet()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), self.config.graceful_shutdown_timeout_s)
        leaving = asyncio.gather(*(socket.leave(code, reason) for socket in list(self.sockets)))
        with contextlib.suppress(asyncio.TimeoutError):
            # A browser that reads nothing takes no close frame in either.
            await asyncio.wait_for(leaving, _LEAVE_S)

    def _is_busy(self) -> bool:
        return self._transfers > 0 or any(socket.is_busy for socket in self.sockets)

    async def close(self) -> None:
        """Stop listening, and close what this worker holds open towards the sidecars."""
        await self.switchboard.close()
        await self.clients.close()


def configured_recorders(config: Config) -> Iterator[Recorder]:
    """What takes note of requests, as the settings say."""
    if config.enable_gateway_access_log:
        yield AccessLog(logs.redaction(config))
    if config.enable_gateway_prometheus_metrics:
        # Imported only when wanted: the import alone opens files where several processes share their metrics.
        from fluxlit_django.gateway.metrics import Metrics

        yield Metrics()


@functools.cache
def get_runtime() -> Runtime:
    """The runtime of this process."""
    return Runtime(get_config())

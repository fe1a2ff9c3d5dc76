"""The sidecars as the gateway sees them: which exist, which one a browser gets, and a client for each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import aiohttp
from yarl import URL

from fluxlit_django.conf import AppConfig, Config
from fluxlit_django.control import SidecarStatus
from fluxlit_django.exceptions import UpstreamBroken, UpstreamTimeout, UpstreamUnavailable
from fluxlit_django.gateway import affinity
from fluxlit_django.gateway.affinity import Affinity

logger = logging.getLogger(__name__)

SERVING_STATES = frozenset({"ready", "starting", "restarting", "draining"})
"""A sidecar in one of these has a listening socket on which a connection waits until it is answered."""

_UNIX = "unix:"
_KEEP_ALIVE_S = 30.0  # shorter than the sidecar's own, so that it is never the one to close first
_READ_BUFFER = 1 << 18  # bytes read ahead of a slow browser


class Directory:
    """All sidecars, as last told by the supervisor or by the settings."""

    def __init__(self, sidecars: Sequence[SidecarStatus] = ()) -> None:
        self._by_app: dict[str, list[SidecarStatus]] = {}
        self.update(sidecars)

    def update(self, sidecars: Sequence[SidecarStatus]) -> None:
        """Replace all that is known."""
        by_app: dict[str, list[SidecarStatus]] = {}
        for sidecar in sidecars:
            by_app.setdefault(sidecar.app, []).append(sidecar)
        self._by_app = by_app

    def of(self, app: AppConfig) -> Sequence[SidecarStatus]:
        """The sidecars of an app, whatever their state."""
        return self._by_app.get(app.name, ())

    def all(self) -> list[SidecarStatus]:
        """The sidecars of every app, whatever their state."""
        return [sidecar for sidecars in self._by_app.values() for sidecar in sidecars]

    def addresses(self) -> set[str]:
        """The addresses of all sidecars."""
        return {sidecar.address for sidecar in self.all()}

    def newest_generation(self) -> int:
        """The newest generation of sidecars, of any app: what a page that is loaded now belongs to."""
        return max((sidecar.generation for sidecar in self.all()), default=1)

    def candidates(self, app: AppConfig, wanted: Affinity, home: str | None = None) -> list[SidecarStatus]:
        """The sidecars that may answer a browser, the most likely one first.

        Args:
            home: address of the sidecar that is known to have the browser's session.

        Raises:
            UpstreamUnavailable: none of the app's sidecars has a chance to answer.
        """
        serving = [sidecar for sidecar in self.of(app) if sidecar.state in SERVING_STATES]
        if not serving:
            msg = f"No sidecar of the app {app.name!r} is running."
            raise UpstreamUnavailable(msg)
        if len(serving) == 1:
            return serving
        ordered = affinity.in_order(serving, wanted)
        if home is not None:
            ordered.sort(key=lambda sidecar: sidecar.address != home)
        return ordered

    def is_full(self, app: AppConfig, most: int) -> bool:
        """Whether every sidecar that takes new sessions has, as last told, as many as it may.

        Args:
            most: open sessions of one sidecar; 0 for any number.
        """
        taking = [each for each in self.of(app) if each.state in SERVING_STATES - {"draining"}]
        return bool(most and taking) and all(sidecar.sessions >= most for sidecar in taking)


def configured_sidecars(config: Config) -> list[SidecarStatus]:
    """The Streamlit servers that somebody else runs, for a gateway that nobody supervises."""
    return [
        SidecarStatus(name=f"{app.name}-0", app=app.name, address=app.upstream, state="ready")
        for app in config.apps
        if app.upstream
    ]


class SessionHomes:
    """Which sidecar has which session, as far as this worker has seen; it forgets the oldest.

    Only a hint: another worker's sessions are not in it, and a sidecar may have ended since.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._addresses: OrderedDict[str, str] = OrderedDict()

    def learn(self, session_id: str, address: str) -> None:
        """A session was seen at this sidecar."""
        self._addresses[session_id] = address
        self._addresses.move_to_end(session_id)
        if len(self._addresses) > self._most:
            self._addresses.popitem(last=False)

    def find(self, session_id: str) -> str | None:
        """The address of the sidecar that was seen with a session."""
        return self._addresses.get(session_id)


class Clients:
    """One HTTP client per sidecar, with its pool of open connections."""

    def __init__(self, config: Config) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=config.gateway_upstream_connect_timeout_s,
            sock_read=config.gateway_upstream_read_timeout_s,
        )
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    def of(self, address: str) -> aiohttp.ClientSession:
        """The client for a sidecar's address. Call inside the running loop."""
        session = self._sessions.get(address)
        if session is None:
            session = self._sessions[address] = self._open(address)
        return session

    async def close(self, *, keep: set[str] | frozenset[str] = frozenset()) -> None:
        """Close the clients, except those of the addresses to keep."""
        for address in set(self._sessions) - keep:
            await self._sessions.pop(address).close()

    def _open(self, address: str) -> aiohttp.ClientSession:
        connector: aiohttp.BaseConnector
        if address.startswith(_UNIX):
            path = address.removeprefix(_UNIX)
            connector = aiohttp.UnixConnector(path, limit=0, keepalive_timeout=_KEEP_ALIVE_S)
        else:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            # A jar would hand one viewer's cookies to the next, and a proxy variable in the
            # environment would send the hop through a foreign host.
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=_READ_BUFFER,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )


def url(address: str, path: bytes, query: bytes) -> URL:
    """The URL of a raw path and query at a sidecar, not re-encoded in any way."""
    origin = URL("http://sidecar") if address.startswith(_UNIX) else URL(address)
    return URL.build(
        scheme=origin.scheme,
        host=origin.raw_host or "",
        port=origin.explicit_port,
        path=path.decode("latin-1"),
        query_string=query.decode("latin-1"),
        encoded=True,
    )


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what aiohttp raises into this package's upstream errors.

    A refused WebSocket handshake is an answer, not an error, and passes as it is.

    Raises:
        UpstreamTimeout, UpstreamUnavailable, UpstreamBroken
    """
    try:
        yield
    except aiohttp.WSServerHandshakeError:
        raise
    except (aiohttp.ServerTimeoutError, asyncio.TimeoutError) as exc:
        msg = f"The sidecar did not answer in time ({exc or type(exc).__name__})."
        raise UpstreamTimeout(msg) from exc
    except aiohttp.ClientConnectorError as exc:
        msg = f"The sidecar does not accept connections ({exc.strerror})."
        raise UpstreamUnavailable(msg) from exc
    except aiohttp.ClientError as exc:
        msg = f"The sidecar broke off its answer ({type(exc).__name__})."
        raise UpstreamBroken(msg) from exc

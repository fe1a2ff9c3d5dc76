"""The WebSocket hop: one browser's socket and the sidecar's, tied together frame by frame."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
import uuid
from typing import Any

import aiohttp
from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import StopConsumer

from fluxlit_django.conf import AppConfig
from fluxlit_django.control import BUSY_HEADER, SidecarStatus
from fluxlit_django.exceptions import UpstreamError
from fluxlit_django.gateway import (
    affinity,
    closing,
    headers,
    identity,
    observation,
    origin,
    protocol,
    responses,
    upstream,
)
from fluxlit_django.gateway.access import Undecided
from fluxlit_django.gateway.http import request_headers
from fluxlit_django.gateway.identity import Viewer
from fluxlit_django.gateway.live import LiveSocket
from fluxlit_django.gateway.observation import Observation, Refusal
from fluxlit_django.gateway.runtime import Runtime
from fluxlit_django.gateway.watch import AccessWatch
from fluxlit_django.trust import revocation, viewer_token

logger = logging.getLogger(__name__)

_SUBPROTOCOL_HEADER = b"sec-websocket-protocol"
_CLOSE_TIMEOUT_S = 2.0


class StreamlitConsumer(AsyncConsumer):
    """Relays a browser's WebSocket to a sidecar.

    Args:
        runtime: what the worker's requests share.
        app: the app whose mount the socket was opened under.
        path: the raw path that the sidecar is asked for.
        request_id: the id under which both sides log the socket.
    """

    def __init__(self, *, runtime: Runtime, app: AppConfig, path: bytes, request_id: str) -> None:
        self._runtime = runtime
        self._app = app
        self._path = path
        self._request_id = request_id
        self._sidecar: aiohttp.ClientWebSocketResponse[bool] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._address = ""
        self._is_known = False
        self._is_over = False
        self._is_waiting = False
        self._rerun_began = 0.0
        self._seen: Observation
        self._watch: AccessWatch
        self._id = uuid.uuid4()
        self.is_busy = False
        self.live: LiveSocket | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one socket, and leave nothing behind however it ends.

        Without Channels' own loop and dispatch: they make two tasks for each message, to wait for the channel
        layer as well, and a hop to a thread, to close old database connections. Handlers here touch no
        database, the layer is listened to once for all sockets, and both cost several times the relay.
        """
        self.scope, self.base_send = scope, send
        self._seen = observation.of(scope)
        self._watch = AccessWatch(
            self._runtime, self._app, scope["headers"], str(self._id), self._seen, self.leave
        )
        try:
            while True:
                message = await receive()
                await getattr(self, get_handler_name(message))(message)
        except StopConsumer:
            pass
        finally:
            self._is_over = True
            self._stop_waiting()
            self._runtime.sockets.discard(self)
            self._watch.end()
            if self._pump is not None:
                self._pump.cancel()
            await self._hang_up(closing.GOING_AWAY)

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        """Decide, dial the sidecar, and accept only once it has accepted."""
        refusal = self._refusal()
        if refusal is not None:
            await responses.deny_socket(self.base_send, self.scope, *refusal)
            raise StopConsumer
        self._is_waiting = True
        try:
            decision = await self._watch.decide()
        except Undecided as exc:
            logger.warning("%s. app=%s request_id=%s", exc, self._app.name, self._request_id)
            self._seen.refuse(Refusal.UNDECIDED)
            await responses.deny_socket(self.base_send, self.scope, 503, responses.UNDECIDED_TEXT)
            raise StopConsumer from None
        if not decision.allowed:
            await self._turn_away(*closing.DENIED[decision.verdict])
            return  # it counts as one who waits until it has gone
        try:
            self._sidecar = await self._dial(decision.viewer)
        except aiohttp.WSServerHandshakeError as exc:
            if _is_busy(exc):
                self._seen.refuse(Refusal.BUSY)
                await self._turn_away(*closing.BUSY)
                return
            # Anything but an error status is not an answer that a handshake can have.
            status = exc.status if exc.status >= 400 else 502
            await responses.deny_socket(self.base_send, self.scope, status, "The Streamlit app refused.")
            raise StopConsumer from None
        except UpstreamError as exc:
            self._seen.fail_upstream(exc)
            logger.warning("%s app=%s request_id=%s", exc, self._app.name, self._request_id)
            await responses.deny_socket(
                self.base_send, self.scope, exc.status, "The Streamlit app did not answer."
            )
            raise StopConsumer from None
        await self.send({"type": "websocket.accept", "subprotocol": _accepted_subprotocol(self._sidecar)})
        self._stop_waiting()
        self.live = self._make_live(decision.viewer)
        self._runtime.sockets.add(self)
        self._pump = asyncio.create_task(self._relay_to_browser(self._sidecar))
        self._watch.begin()

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        """Pass one frame on. Awaiting it is what slows a browser down to the sidecar's pace."""
        if self._sidecar is None or self._is_over:
            return
        data, text = message.get("bytes"), message.get("text")
        # A connection that broke meanwhile is reported by the pump, with its close code.
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            if data is not None:
                if not self.is_busy and protocol.asks_for_rerun(data):
                    self.is_busy, self._rerun_began = True, time.perf_counter()
                await self._sidecar.send_bytes(data)
            elif text is not None:
                await self._sidecar.send_str(text)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        """Tell the sidecar why the browser left, and end."""
        self._is_over = True
        self._runtime.sockets.discard(self)
        self.is_busy = False
        self._runtime.note_quiet()
        if self._pump is not None:
            self._pump.cancel()
        code = closing.sendable(message.get("code") or closing.NO_STATUS, closing.GOING_AWAY)
        await self._hang_up(code, message.get("reason") or "")
        raise StopConsumer

    async def leave(self, code: int, reason: str) -> None:
        """Close the browser's socket from our side; the server then reports the disconnect."""
        if not self._is_over:
            self._is_over = True
            await self.send({"type": "websocket.close", "code": code, "reason": reason})

    async def _hang_up(self, code: int, reason: str = "") -> None:
        """Close the sidecar's socket. One that does not answer, or goes on sending, is cut off."""
        if self._sidecar is None or self._sidecar.closed:
            return
        with contextlib.suppress(ConnectionError, aiohttp.ClientError, asyncio.TimeoutError):
            await asyncio.wait_for(self._sidecar.close(code=code, message=reason.encode()), _CLOSE_TIMEOUT_S)

    def _refusal(self) -> tuple[int, str] | None:
        """The status and text to refuse the socket with, or None to go on to the question of access."""
        request_headers = self.scope["headers"]
        if not origin.is_host_allowed(request_headers):
            self._seen.refuse(Refusal.HOST)
            return 400, "Bad Request: this host is not served here."
        if not origin.is_origin_allowed(request_headers, is_secure=self.scope.get("scheme") == "wss"):
            self._seen.refuse(Refusal.ORIGIN)
            return 403, "Forbidden: the page that opens this socket is of another origin."
        if self._runtime.is_draining:
            self._seen.refuse(Refusal.STOPPING)
            return 503, "Service Unavailable: restarting."
        most = self._runtime.config.gateway_max_sockets
        if (most and len(self._runtime.sockets) >= most) or not self._runtime.knocking.enter(self._peer()):
            self._seen.refuse(Refusal.TOO_MANY_SOCKETS)
            return 503, "Service Unavailable: too many open sockets."
        return None

    def _peer(self) -> str:
        return str(self.scope["client"][0]) if self.scope.get("client") else ""

    def _stop_waiting(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._runtime.knocking.leave(self._peer())

    async def _turn_away(self, code: int, reason: str) -> None:
        """Accept, then close with a code: a refused handshake tells a page only that it failed."""
        await self.send({"type": "websocket.accept", "subprotocol": protocol.SUBPROTOCOL})
        await self.send({"type": "websocket.close", "code": code, "reason": reason})

    async def _dial(self, viewer: Viewer | None) -> aiohttp.ClientWebSocketResponse[bool]:
        """Open the sidecar's socket; of several sidecars, the first that has room for the session.

        Raises:
            UpstreamError, aiohttp.WSServerHandshakeError: the sidecar did not answer, or refused.
        """
        offered = b", ".join(value for name, value in self.scope["headers"] if name == _SUBPROTOCOL_HEADER)
        home = self._runtime.homes.find(protocol.session_to_resume(offered))
        wanted = affinity.of_request(self.scope)
        first, *others = self._runtime.directory.candidates(self._app, wanted, home)
        # One that drains takes back the sessions it has, and no others.
        candidates = [first, *(sidecar for sidecar in others if sidecar.state != "draining")]
        fields = request_headers(self._runtime, self.scope, viewer, self._request_id)
        if viewer is not None:
            claim = viewer_token.Claim(viewer.id, identity.session_key(self.scope["headers"]))
            fields.append((viewer_token.HANDSHAKE_HEADER, viewer_token.mint(claim)))
        if offered:
            # Streamlit 1.67 takes the entries by position: protocol, XSRF token, session to resume
            # (`_parse_subprotocols`). So the line goes up raw and once, not as parsed by the server.
            fields.append(("sec-websocket-protocol", headers.as_text(offered)))
        for sidecar in candidates[:-1]:
            try:
                return await self._open(sidecar, fields)
            except aiohttp.WSServerHandshakeError as exc:
                if not _is_busy(exc):
                    raise
        return await self._open(candidates[-1], fields)

    async def _open(
        self, sidecar: SidecarStatus, fields: list[tuple[str, str]]
    ) -> aiohttp.ClientWebSocketResponse[bool]:
        config = self._runtime.config
        self._address = sidecar.address
        self._seen.sidecar = sidecar.name
        connecting = self._runtime.clients.of(sidecar.address).ws_connect(
            upstream.url(sidecar.address, self._path, self.scope["query_string"]),
            headers=fields,
            # Streamlit limits its messages itself (server.maxMessageSize, 200 MB by default).
            max_msg_size=0,
            # A sidecar whose loop hangs for longer than this is as good as gone.
            heartbeat=2 * config.gateway_ws_ping_interval_s,
            compress=0,
            autoclose=False,
            timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
        )
        with upstream.translated_errors():
            return await asyncio.wait_for(connecting, config.gateway_ws_open_timeout_s)

    async def _relay_to_browser(self, sidecar: aiohttp.ClientWebSocketResponse[bool]) -> None:
        """Pass frames until either side ends, then close the browser's socket as the sidecar closed ours."""
        try:
            code, reason = await self._relay_until_closed(sidecar)
        except OSError:  # what a server raises, by ASGI 2.4, when the browser is gone
            return
        except Exception:  # nobody waits for this task: without the close, the browser would wait for ever
            logger.exception("relay failed app=%s request_id=%s", self._app.name, self._request_id)
            code, reason = closing.INTERNAL_ERROR, "the gateway failed"
        finally:
            self.is_busy = False
            self._runtime.note_quiet()
        await self.leave(code, reason)
        await self._hang_up(closing.NORMAL)

    async def _relay_until_closed(self, sidecar: aiohttp.ClientWebSocketResponse[bool]) -> tuple[int, str]:
        """Pass frames until the sidecar's side ends, and give the close code and reason for the browser."""
        while True:
            frame = await sidecar.receive()
            if frame.type is aiohttp.WSMsgType.BINARY:
                if self.is_busy:
                    self._note(frame.data)
                await self.send({"type": "websocket.send", "bytes": frame.data})
            elif frame.type is aiohttp.WSMsgType.TEXT:
                await self.send({"type": "websocket.send", "text": frame.data})
            elif frame.type is aiohttp.WSMsgType.CLOSE:
                return closing.sendable(
                    frame.data or closing.NO_STATUS, closing.INTERNAL_ERROR
                ), frame.extra or ""
            else:  # the connection ended without a close frame, or broke the protocol
                return closing.INTERNAL_ERROR, "the Streamlit app went away"

    def _make_live(self, viewer: Viewer | None) -> LiveSocket:
        """What is told of this socket in the admin."""
        loop = asyncio.get_running_loop()
        return LiveSocket(
            app=self._app.name,
            viewer_id=viewer.id if viewer is not None else "",
            viewer=viewer.username if viewer is not None else "",
            seen=self._seen,
            end=functools.partial(loop.call_soon_threadsafe, self._watch.hear, revocation.END),
            id=self._id,
        )

    def _note(self, frame: bytes) -> None:
        """Note what a frame of a rerun says, which alone names session and page (Streamlit 1.57 to 1.67)."""
        if not self._is_known and (session_id := protocol.session_id(frame)):
            self._is_known = True
            self._seen.session = session_id
            # For what asks for the session without a cookie.
            self._runtime.homes.learn(session_id, self._address)
        if self.live is not None and (page := protocol.page_path(frame)) is not None:
            self.live.page = page
        if protocol.ends_rerun(frame):
            self.is_busy = False
            self._seen.count_rerun(time.perf_counter() - self._rerun_began)
            self._runtime.note_quiet()


def _is_busy(refusal: aiohttp.WSServerHandshakeError) -> bool:
    return refusal.headers is not None and BUSY_HEADER in refusal.headers


def _accepted_subprotocol(sidecar: aiohttp.ClientWebSocketResponse[bool]) -> str | None:
    """The subprotocol the sidecar chose.

    aiohttp 3.14 names only those that were offered through its own argument, which would re-write the line.
    """
    response = sidecar._response
    chosen: str | None = response.headers.get("Sec-WebSocket-Protocol")
    return chosen

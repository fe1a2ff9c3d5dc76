"""uvicorn as the gateway's server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h11
import uvicorn
import websockets.http11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from fluxlit_django.control import ControlLine
from fluxlit_django.gateway.limits import MAX_HEADER_BYTES, MAX_TARGET_BYTES
from fluxlit_django.gateway.runtime import Runtime

_KEEP_ALIVE_S = 75  # longer than the usual edge's 60, so that an edge never reuses what we just closed
_END_OF_HEAD = b"\r\n\r\n"
_BARE_LF = re.compile(rb"(?<!\r)\n")
_BAD_HANDSHAKE = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: 29\r\n\r\nInvalid WebSocket handshake.\n"
)
_CLOSE_MARGIN_S = 2  # what closing handshakes may take after the drain; the supervisor gives a second more

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # the `fast` extra is not installed
    HttpToolsProtocol = None  # type: ignore[assignment,misc]


def serve(application: Any, runtime: Runtime, listener: socket.socket) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT, then drain. Returns after an orderly stop."""
    limits = _TimeLimits(
        runtime.config.gateway_request_head_timeout_s, runtime.config.gateway_request_body_timeout_s
    )
    config = uvicorn.Config(
        application,
        http=_http_protocol(limits),
        ws=_WebSocketProtocol,
        ws_max_size=runtime.config.gateway_ws_max_message_bytes,
        ws_ping_interval=runtime.config.gateway_ws_ping_interval_s,
        ws_ping_timeout=runtime.config.gateway_ws_ping_interval_s,
        # Streamlit leaves deflate off too: it costs about 300 kB a socket and much of a core.
        ws_per_message_deflate=False,
        # Each socket shows who connects by X-Forwarded-For only to proxies that the settings name.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_CLOSE_MARGIN_S,
        log_config=None,
    )
    # A handshake with more than 8 KiB in one line, or 128 headers, would stay without an answer (uvicorn 0.54
    # with websockets 17). The protocols below have limited the whole head before it comes to that.
    websockets.http11.MAX_LINE_LENGTH = MAX_HEADER_BYTES + MAX_TARGET_BYTES
    websockets.http11.MAX_NUM_HEADERS = MAX_HEADER_BYTES
    server = _Server(config, runtime)
    server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that drains before it closes, follows its supervisor, and dies with it."""

    def __init__(self, config: uvicorn.Config, runtime: Runtime) -> None:
        super().__init__(config)
        self._runtime = runtime
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then tell the supervisor."""
        await super().startup(sockets=sockets)
        line = await ControlLine.inherited()
        if line is not None:
            line.send({"type": "ready"})
            self._spawn(self._follow(line))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on SIGTERM and SIGINT. uvicorn's own version raises the signal again at the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        if not self._runtime.is_draining:
            self._spawn(self._drain())

    def _retire(self) -> None:
        """End as on SIGTERM, but leave new connections to the worker that has taken over, from now on."""
        for server in self.servers:
            server.close()
        self._spawn(self._drain(has_successor=True))

    async def _drain(self, *, has_successor: bool = False) -> None:
        await self._runtime.drain(has_successor=has_successor)
        self.should_exit = True

    async def _follow(self, line: ControlLine) -> None:
        await self._runtime.follow(line, self._retire)
        # The supervisor is gone, and nobody would restart or stop us: don't outlive it.
        os._exit(1)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@dataclass(frozen=True)
class _TimeLimits:
    """How long a browser may take, in seconds: for a head in all, and for each next piece of either body."""

    head_s: float
    body_s: float


class _Timed(asyncio.Protocol):
    """Breaks off connections that give a request, or take a response, too slowly; uvicorn waits for ever.

    The clock runs from the start of a connection or the first byte of a request until its head is there, and
    then between pieces of its body, except while the application takes none. Another one runs while a
    response waits for its browser.
    """

    limits: _TimeLimits
    _timer: asyncio.TimerHandle | None = None
    _is_in_head = False
    _taking: asyncio.TimerHandle | None = None

    def connection_made(self: Any, transport: Any) -> None:
        super().connection_made(transport)
        self._start_timer()

    def data_received(self: Any, data: bytes) -> None:
        super().data_received(data)
        self._start_timer()

    def connection_lost(self: Any, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def pause_writing(self: Any) -> None:
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self: Any) -> None:
        self._stop_waiting_for_reader()
        super().resume_writing()

    def handle_websocket_upgrade(self: Any, *arguments: Any) -> None:
        super().handle_websocket_upgrade(*arguments)  # type: ignore[misc]
        # The WebSocket protocol has the connection from here on.
        self._stop_timer()
        self._start_timer = lambda: None

    def _start_timer(self: Any) -> None:
        cycle = self.cycle
        is_in_head = cycle is None or cycle.response_complete
        if is_in_head and self._is_in_head and self._timer is not None:
            return
        self._stop_timer()
        self._is_in_head = is_in_head
        if is_in_head or cycle.more_body:
            limit = self.limits.head_s if is_in_head else self.limits.body_s
            self._timer = self.loop.call_later(limit, self._break_off)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait_for_reader(self: Any) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._taking = self.loop.call_later(self.limits.body_s, self._look_at_reader, waiting)

    def _look_at_reader(self: Any, waited: int) -> None:
        if self.transport.get_write_buffer_size() < waited:
            self._wait_for_reader()
        else:
            self.transport.abort()  # a mere close would wait for what is written to be read

    def _stop_waiting_for_reader(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _break_off(self: Any) -> None:
        self._timer = None
        if self._is_in_head and self.timeout_keep_alive_task is not None:
            return  # nothing of a next request has come; the keep-alive's own clock runs
        if not self._is_in_head and self.flow.read_paused:
            self._start_timer()
        elif not self.transport.is_closing():
            self.transport.close()


class _WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol, which answers every handshake, and logs no error for one that is refused.

    uvicorn 0.54 takes a handshake for unanswered until it is accepted, or closed with 403. One that
    websockets (17) cannot read, such as one with a body, it leaves open for ever.
    """

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()) or _BAD_HANDSHAKE)
            self.transport.close()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True


class _StrictH11(H11Protocol):
    """uvicorn's h11 protocol, for which a bare LF ends no line of a head, as with httptools.

    h11 takes it for a line's end, as a server may (RFC 9112 §2.2). A proxy that takes it for a part of a
    value would then let in a header that it has not seen.
    """

    _tail = b""

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE:
            head, end, _ = (self._tail + data).partition(_END_OF_HEAD)
            if _BARE_LF.search(head, len(self._tail)):
                self.send_400_response("Invalid HTTP request received.")
                return
            self._tail = b"" if end else head[1 - len(_END_OF_HEAD) :]
        super().data_received(data)


if HttpToolsProtocol is not None:

    class _LimitedHttpTools(HttpToolsProtocol):
        """uvicorn's httptools protocol with a limit on the request head and no trailers, like h11."""

        _head_bytes = 0
        _in_head = True

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._in_head and not self.transport.is_closing():
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEADER_BYTES + MAX_TARGET_BYTES:
                    self._refuse()

        def on_header(self, name: bytes, value: bytes) -> None:
            # Behind a chunked body these are trailers. uvicorn (0.54) would put them among the headers, where
            # they would pass for what a proxy says, though no proxy has looked at them.
            if self._in_head:
                super().on_header(name, value)

        def on_message_begin(self) -> None:
            self._in_head, self._head_bytes = True, 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_head = False
            super().on_headers_complete()

        def _refuse(self) -> None:
            body = b"Request Header Fields Too Large.\n"
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(body), body)
            )
            self.transport.close()


def _http_protocol(limits: _TimeLimits, protocol: Any = None) -> Any:
    if protocol is None:
        protocol = _StrictH11 if HttpToolsProtocol is None else _LimitedHttpTools
    return type("_GatewayProtocol", (_Timed, protocol), {"limits": limits})

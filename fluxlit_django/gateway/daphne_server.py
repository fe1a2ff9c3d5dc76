"""Daphne as the gateway's server, with the back-pressure and the limits it lacks.

It still reads an upload whole before the application starts, so a refusal by size comes late; uvicorn
is the default for that reason. It does not tell the reason of a browser's close, and refuses every handshake
with 403.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import socket
from typing import Any

from daphne.http_protocol import WebRequest
from daphne.server import Server
from twisted.internet import reactor as twisted_reactor
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from fluxlit_django.control import ControlLine
from fluxlit_django.gateway.runtime import Runtime

reactor: Any = twisted_reactor

_PINGS_LOST = 2  # unanswered pings after which a browser counts as gone
_FOR_EVER = -1


def serve(application: Any, runtime: Runtime, listener: socket.socket) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT, then drain. Returns after an orderly stop."""
    config = runtime.config
    server = _Server(
        application,
        # Without a domain: Twisted 26 passes it on as text, which no family is. INET does for INET6 as well,
        # since an accepted connection tells its own family.
        endpoints=[f"fd:fileno={listener.fileno()}"],
        signal_handlers=False,
        ping_interval=config.gateway_ws_ping_interval_s,
        ping_timeout=config.gateway_ws_ping_interval_s * _PINGS_LOST,
        websocket_timeout=_FOR_EVER,
        websocket_connect_timeout=config.gateway_ws_open_timeout_s + 1,
        websocket_handshake_timeout=config.gateway_ws_open_timeout_s + 1,
        # 1 MiB by default since Daphne 4.2.2; Streamlit takes 25 MB.
        websocket_max_message_size=config.gateway_ws_max_message_bytes,
        websocket_max_frame_size=config.gateway_ws_max_message_bytes,
        server_name="",
        verbosity=0,
    )
    server.attend(runtime)
    server.run()
    server.end_tasks()


def _send_message(protocol: Any, message: Any) -> None:
    """Send a message of any length; Daphne drops empty ones, Autobahn those over the inbound limit."""
    text = message.get("text")
    if text is not None:
        protocol.sendFrame(opcode=_TEXT, payload=text.encode())
    else:
        protocol.sendFrame(opcode=_BINARY, payload=message["bytes"])


def _send_close(protocol: Any, message: Any) -> None:
    """Close with any code and with its reason; Autobahn takes 1000 and 3000 to 4999, Daphne no reason."""
    protocol.sendCloseFrame(message.get("code") or 1000, (message.get("reason") or "").encode())


def _accept(protocol: Any, message: Any) -> None:
    """Accept a handshake with further headers, which Daphne leaves out."""
    fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in message.get("headers", ())}
    protocol.handshake_deferred.callback((message.get("subprotocol"), fields))
    del protocol.handshake_deferred


_TEXT, _BINARY = 1, 2  # RFC 6455 §5.2, opcodes
_FRAMES = {"websocket.send": _send_message, "websocket.close": _send_close}


@implementer(IPushProducer)
class _Gate:
    """Open while a connection's write buffer has room; Twisted closes and opens it as a push producer's."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.is_open.set()

    def pauseProducing(self) -> None:
        self.is_open.clear()

    def resumeProducing(self) -> None:
        self.is_open.set()

    stopProducing = resumeProducing


class _Server(Server):
    """Daphne's server, whose applications wait while the browser is slower than they are."""

    _tasks: set[asyncio.Task[None]]
    _loop: asyncio.AbstractEventLoop | None = None

    def attend(self, runtime: Runtime) -> None:
        """Once the reactor runs: tell the supervisor, follow it, and drain on a signal."""
        self._runtime = runtime
        self._tasks = set()
        reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        # A message over the limit is answered with a close code, instead of a cut connection.
        self.ws_factory.setProtocolOptions(failByDrop=False)
        self._spawn(self._attend())

    def end_tasks(self) -> None:
        """Let the applications that Daphne has cancelled end, once the reactor has.

        Python 3.10 crashes at its end when it collects tasks of a loop that is no more.
        """
        left = asyncio.all_tasks(self._loop) if self._loop is not None else set()
        for task in left:
            task.cancel()
        if self._loop is not None and left:
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    async def _attend(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: self._spawn(self._drain()))
        line = await ControlLine.inherited()
        if line is None:
            return
        line.send({"type": "ready"})
        await self._runtime.follow(line, self._retire)
        os._exit(1)

    def _retire(self) -> None:
        """End as on SIGTERM, but leave new connections to the worker that has taken over, from now on."""
        for listening in self.listeners:
            listening.addCallback(_stop_listening)
        self._spawn(self._drain(has_successor=True))

    async def _drain(self, *, has_successor: bool = False) -> None:
        if self._runtime.is_draining:
            return
        await self._runtime.drain(has_successor=has_successor)
        await self._runtime.close()
        self.stop()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_event_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def create_application(self, protocol: Any, scope: Any) -> Any:
        """Start the application for a connection, and break the connection off when it fails in mid-answer.

        Daphne would write its 500 page behind the half body, fail at it, and stop reaping connections.
        """
        queue = super().create_application(protocol, scope)
        running = self.connections.get(protocol, {}).get("application_instance")
        if running is not None and isinstance(protocol, WebRequest):
            running.add_done_callback(functools.partial(self._break_off, protocol))
        return queue

    def _break_off(self, protocol: Any, finished: asyncio.Future[None]) -> None:
        failed = not finished.cancelled() and finished.exception() is not None
        if failed and protocol._response_started and protocol.channel is not None:
            self.protocol_disconnected(protocol)
            protocol.channel.loseConnection()

    async def handle_reply(self, protocol: Any, message: Any) -> None:
        """Pass a message to the connection, then wait until its write buffer has room again."""
        kind = message["type"]
        is_last = kind == "http.response.body" and not message.get("more_body", False)
        gate = self.connections.get(protocol, {}).get("gate")
        if is_last and gate is not None:
            protocol.unregisterProducer()
            del self.connections[protocol]["gate"]
        if kind in _FRAMES and self._is_open_socket(protocol):
            _FRAMES[kind](protocol, message)
        elif kind == "websocket.accept" and self._is_waiting_socket(protocol):
            _accept(protocol, message)
        else:
            await super().handle_reply(protocol, message)
        details = self.connections.get(protocol)
        if details is None or "disconnected" in details or is_last:
            return
        if kind in {"websocket.accept", "http.response.start"}:
            gate = details["gate"] = _Gate()
            self._register(protocol, gate, is_socket=kind == "websocket.accept")
        if gate is not None:
            await gate.is_open.wait()

    def _is_open_socket(self, protocol: Any) -> bool:
        return protocol in self.connections and protocol.state == protocol.STATE_OPEN

    def _is_waiting_socket(self, protocol: Any) -> bool:
        details = self.connections.get(protocol)
        is_there = details is not None and "disconnected" not in details
        return is_there and hasattr(protocol, "handshake_deferred")

    def _register(self, protocol: Any, gate: _Gate, *, is_socket: bool) -> None:
        if is_socket:
            # The HTTP channel that the connection began with is still its transport's producer.
            protocol.transport.unregisterProducer()
            protocol.transport.registerProducer(gate, True)
        else:
            protocol.registerProducer(gate, True)


def _stop_listening(port: Any) -> Any:
    port.stopListening()
    return port

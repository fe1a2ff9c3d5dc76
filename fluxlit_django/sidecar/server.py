"""uvicorn on the inherited socket, tied to the supervisor at both ends of its life."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
import websockets.http11
from streamlit import config as streamlit_config
from streamlit import runtime
from streamlit.runtime.runtime_util import get_max_message_size_bytes

from fluxlit_django.conf import Config
from fluxlit_django.control import ControlLine
from fluxlit_django.sidecar import report, runs
from fluxlit_django.sidecar.admission import SessionLimit
from fluxlit_django.sidecar.tuning import Activity, collect_when_idle
from fluxlit_django.sidecar.warmup import WarmUp, run_once

_KEEP_ALIVE_S = 75  # Longer than the gateway keeps an unused connection: it is the gateway that closes.
_RUNTIME_STOP_S = 2.0
_ENDLESS = 1 << 20  # bytes, or headers


class SidecarServer(uvicorn.Server):
    """A uvicorn server that says when it serves and leaves signals to its owner."""

    def __init__(self, config: uvicorn.Config, on_serving: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_serving = on_serving

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no handlers: uvicorn raises a caught signal again at its end, and exits with it."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the ASGI application, then listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_serving()


def run(config: Config, asgi_app: Callable[..., Any], listener: socket.socket) -> int:
    """Serve until told to stop; return the exit code."""
    is_full = asyncio.Event()
    if config.streamlit_warm_up:
        asgi_app = WarmUp(asgi_app, run_once)
    if config.streamlit_max_sessions:
        asgi_app = SessionLimit(asgi_app, config.streamlit_max_sessions, is_full.set)
    settings = server_settings(config, asgi_app)
    loop_factory = settings.get_loop_factory() or asyncio.new_event_loop
    loop = loop_factory()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_serve(config, settings, listener, is_full))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    return 0


def server_settings(config: Config, asgi_app: Callable[..., Any]) -> uvicorn.Config:
    """uvicorn's settings for a server that only the gateway can reach."""
    # By default a handshake with more than 8 KiB in one line, or 128 headers, stays without an answer
    # (uvicorn 0.54 with websockets 17). The gateway has limited what comes: these are never reached.
    websockets.http11.MAX_LINE_LENGTH = websockets.http11.MAX_NUM_HEADERS = _ENDLESS
    ping_s = streamlit_config.get_option("server.websocketPingInterval") or config.gateway_ws_ping_interval_s
    return uvicorn.Config(
        asgi_app,
        h11_max_incomplete_event_size=_ENDLESS,
        ws="websockets-sansio",
        ws_max_size=max(config.gateway_ws_max_message_bytes, get_max_message_size_bytes()),
        ws_ping_interval=ping_s,
        ws_ping_timeout=ping_s,
        ws_per_message_deflate=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        # The socket is a file of mode 0600: whoever reaches it is the gateway.
        proxy_headers=True,
        forwarded_allow_ips="*",
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="warning",
    )


async def _serve(
    config: Config, settings: uvicorn.Config, listener: socket.socket, is_full: asyncio.Event
) -> None:
    loop = asyncio.get_running_loop()
    activity = Activity(loop)
    runs.install(activity)
    line = await ControlLine.inherited()
    tasks: list[asyncio.Task[None]] = []

    def tell_ready() -> None:
        if line is not None:
            line.send({"type": "ready"})
            tasks.append(asyncio.create_task(report.report_load(line, activity, is_full)))

    server = SidecarServer(settings, on_serving=tell_ready)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        _call_on_signal(loop, number, stop.set)
    tasks.append(asyncio.create_task(_drain(server, activity, stop, config.graceful_shutdown_timeout_s)))
    if not streamlit_config.get_option("runner.postScriptGC"):
        tasks.append(asyncio.create_task(collect_when_idle(activity)))
    if line is not None:
        tasks.append(asyncio.create_task(_end_with_supervisor(line)))
    await server.serve(sockets=[listener])
    await _stop_runtime()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _call_on_signal(loop: asyncio.AbstractEventLoop, number: int, callback: Callable[[], None]) -> None:
    try:
        loop.add_signal_handler(number, callback)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))


async def _drain(server: SidecarServer, activity: Activity, stop: asyncio.Event, grace_s: float) -> None:
    """Once told to stop, let running scripts end, then let transfers end, all within the grace."""
    await stop.wait()
    deadline = asyncio.get_running_loop().time() + grace_s
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(activity.idle(), grace_s)
    remaining = deadline - asyncio.get_running_loop().time()
    server.config.timeout_graceful_shutdown = max(1, round(remaining))
    server.should_exit = True


async def _end_with_supervisor(line: ControlLine) -> None:
    async for _ in line.messages():
        """The supervisor has nothing to say to a sidecar; its end of the line is all that counts."""
    os._exit(1)


async def _stop_runtime() -> None:
    """Wait for Streamlit to end its sessions, which releases what they hold."""
    if not runtime.exists():
        return
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(runtime.get_instance().stopped), _RUNTIME_STOP_S)

"""One child process: started, ready, gone."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fluxlit_django.control import (
    FD_VARIABLE,
    LISTEN_FD_VARIABLE,
    ControlLine,
    SidecarLoad,
    decode_load,
)
from fluxlit_django.supervisor.command import Command

logger = logging.getLogger(__name__)

LINES_KEPT = 30
LINE_LIMIT = 16 * 1024  # bytes; what is longer is shown in pieces of this size
EMPTY_REPORTS = 2  # in a row; one alone may be older than the last session
OUTPUT_DRAIN_S = 0.5  # a descendant that left the group may hold the pipe open for ever

ShowLines = Callable[[str, Sequence[str]], None]
"""Shows lines of a child that came together: its name, the texts."""


class ProcessState(enum.Enum):
    """Where a process is in its life; it only moves down this list."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    EXITED = "exited"


class Process:
    """One child: runs a command with its control line, its listening socket, if any, and its output.

    The child leads a session of its own. When it ends, the rest of its process group is ended too.
    """

    def __init__(
        self,
        command: Command,
        environment: Mapping[str, str],
        listener: socket.socket | None,
        show_lines: ShowLines,
    ) -> None:
        self.command = command
        self.state = ProcessState.NEW
        self.pid: int | None = None
        self.exit_code: int | None = None
        self.last_lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.load = SidecarLoad()
        self.on_load: Callable[[], None] | None = None
        """Called whenever a sidecar has told its load."""
        self._environment = environment
        self._listener = listener
        self._show_lines = show_lines
        self._line: ControlLine | None = None
        self._ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._empty_reports = 0
        self._emptied = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        pid = "no pid" if self.pid is None else f"pid {self.pid}"
        code = "" if self.exit_code is None else f", {describe_exit(self.exit_code)}"
        return f"<Process {self.command.name}, {self.state.value}, {pid}{code}>"

    @property
    def has_served(self) -> bool:
        """Whether it was ready once."""
        return self._ready.done() and self._ready.result()

    async def start(self) -> None:
        """Start it.

        Raises:
            OSError: the system could not start a process.
        """
        output = _Output(self._take_lines)
        with contextlib.ExitStack() as failure, contextlib.ExitStack() as handed_down:
            ours, theirs = socket.socketpair()
            handed_down.callback(theirs.close)
            failure.callback(ours.close)
            read_end, write_end = os.pipe()
            handed_down.callback(os.close, write_end)
            pipe = failure.enter_context(os.fdopen(read_end, "rb", 0))
            line = await ControlLine.open(ours)
            failure.callback(line.close)
            await asyncio.get_running_loop().connect_read_pipe(lambda: output, pipe)
            failure.callback(output.close)
            # The last thing awaited: before it there is no child to lose, and asyncio ends one it is
            # cancelled in. The fork happens in the main thread, to whose life PR_SET_PDEATHSIG is tied.
            child = await self._spawn(theirs, write_end)
            failure.pop_all()
        self.pid = child.pid
        self.state = ProcessState.STARTING
        self._line = line
        self._tasks = [
            asyncio.create_task(self._listen(line)),
            asyncio.create_task(self._await_exit(child, output)),
        ]

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message on its control line."""
        if self._line is not None:
            self._line.send(message)

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until it serves: False when it ended first, or when the time is over."""
        await asyncio.wait([self._ready], timeout=timeout_s)
        return self.has_served

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it and its process group are gone: False when the time is over."""
        if timeout_s is None:
            await self._gone.wait()
        else:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._gone.wait(), timeout_s)
        return self._gone.is_set()

    async def wait_empty(self, timeout_s: float) -> bool:
        """Wait until a sidecar has said, from now on, that it has no sessions left, or until it is gone.

        Returns False when the time is over.
        """
        self._empty_reports = 0
        self._emptied.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._emptied.wait(), timeout_s)
        return self._emptied.is_set()

    async def retire(self, grace_s: float) -> None:
        """End a gateway worker whose successor serves: it takes no new connections and ends what it has."""
        self.send({"type": "retire"})
        if not await self.wait(grace_s):
            await self.stop(0)

    async def stop(self, grace_s: float) -> None:
        """End it: ask, wait, then kill its whole process group."""
        self.terminate()
        if not await self.wait(grace_s):
            logger.warning("%s did not stop within %g s and is killed", self.command.name, grace_s)
            self.kill()
            await self.wait()

    def terminate(self) -> None:
        """Ask it to end. The rest of its group is left alone until it has."""
        if self._is_alive():
            self.state = ProcessState.STOPPING
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._alive_pid(), signal.SIGTERM)

    def kill(self) -> None:
        """End it and its process group now."""
        if self._is_alive():
            self.state = ProcessState.STOPPING
            _signal_group(self._alive_pid(), signal.SIGKILL)

    def _is_alive(self) -> bool:
        return self.pid is not None and self.exit_code is None

    def _alive_pid(self) -> int:
        assert self.pid is not None
        return self.pid

    async def _spawn(self, control: socket.socket, output: int) -> asyncio.subprocess.Process:
        handed_down = {FD_VARIABLE: control.fileno()}
        if self._listener is not None:
            handed_down[LISTEN_FD_VARIABLE] = self._listener.fileno()
        return await asyncio.create_subprocess_exec(
            *self.command.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**self._environment, **{name: str(number) for name, number in handed_down.items()}},
            pass_fds=tuple(handed_down.values()),
            start_new_session=True,
        )

    def _take_lines(self, raw: Sequence[bytes]) -> None:
        texts = [line.decode(errors="replace").rstrip("\r") for line in raw]
        self.last_lines.extend(texts)
        self._show_lines(self.command.name, texts)

    async def _listen(self, line: ControlLine) -> None:
        try:
            async for message in line.messages():
                if message.get("type") == "ready" and self.state is ProcessState.STARTING:
                    self.state = ProcessState.READY
                    self._ready.set_result(True)
                elif message.get("type") == "load":
                    self._take_load(decode_load(message))
        except ValueError as exc:
            logger.warning("%s sent a control message that is not JSON: %s", self.command.name, exc)

    def _take_load(self, load: SidecarLoad) -> None:
        self.load = load
        self._empty_reports = 0 if load.sessions or load.parked else self._empty_reports + 1
        if self._empty_reports >= EMPTY_REPORTS:
            self._emptied.set()
        if self.on_load is not None:
            self.on_load()

    async def _await_exit(self, child: asyncio.subprocess.Process, output: _Output) -> None:
        self.exit_code = await child.wait()
        self.state = ProcessState.EXITED
        # Its number stays taken as long as its group has members, so this reaches nobody else.
        if _signal_group(child.pid, signal.SIGTERM):
            await output.wait_closed(OUTPUT_DRAIN_S)
            _signal_group(child.pid, signal.SIGKILL)
        await output.wait_closed(OUTPUT_DRAIN_S)
        output.close()
        if self._line is not None:
            self._line.close()
        if not self._ready.done():
            self._ready.set_result(False)
        self._emptied.set()
        self._gone.set()


class _Output(asyncio.Protocol):
    """Cuts a child's output into lines, holding no more than one of them."""

    def __init__(self, take_lines: Callable[[Sequence[bytes]], None]) -> None:
        self._take_lines = take_lines
        self._rest = b""
        self._closed = asyncio.Event()
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines = [piece for line in whole for piece in _pieces(line)]
        while len(self._rest) >= LINE_LIMIT:
            lines.append(self._rest[:LINE_LIMIT])
            self._rest = self._rest[LINE_LIMIT:]
        if lines:
            self._take_lines(lines)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self._take_lines([self._rest])
        self._closed.set()

    async def wait_closed(self, timeout_s: float) -> None:
        """Wait until nobody can write any more, but not for ever."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._closed.wait(), timeout_s)

    def close(self) -> None:
        """Stop reading."""
        if self._transport is not None:
            self._transport.close()


def _pieces(line: bytes) -> list[bytes]:
    """A line, in pieces where it is longer than one may be."""
    return [line[start : start + LINE_LIMIT] for start in range(0, max(len(line), 1), LINE_LIMIT)]


def describe_exit(code: int) -> str:
    """How a process ended, in words: `ended with exit code 1`, or `was killed by SIGKILL`."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"was killed by signal {-code}"


def _signal_group(group: int, number: signal.Signals) -> bool:
    """Signal a process group: False when it has no members left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of which only zombies are left
        return False
    return True

"""All children: started together, kept alive, stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import signal
import socket
import sys
import sysconfig
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fluxlit_django.conf import Config
from fluxlit_django.control import SidecarStatus, encode_sidecars
from fluxlit_django.exceptions import StartupError
from fluxlit_django.supervisor import command as child_command
from fluxlit_django.supervisor.command import (
    GATEWAY,
    Command,
    child_environment,
    leading_import_path,
)
from fluxlit_django.supervisor.process import Process, ShowLine, describe_exit
from fluxlit_django.supervisor.recovery import Recovery, RecoveryRules, spread
from fluxlit_django.supervisor.sockets import SidecarSockets, bind_public_socket

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
LONGEST_REPORTED_LINE = 500  # characters of a child's last lines, in the message of its failure


class ChildState(str, enum.Enum):
    """Where a child is; the same words as in `control.SidecarStatus.state`."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


class EventKind(str, enum.Enum):
    """What can happen to a child, or to all of them."""

    STARTED = "started"
    READY = "ready"
    EXITED = "exited"
    RESTARTED = "restarted"
    BREAKER = "breaker"
    RELOAD_FAILED = "reload_failed"
    SERVING = "serving"
    """Every child serves for the first time."""
    STOPPING = "stopping"


@dataclass(frozen=True)
class Event:
    """One thing that happened, for hooks."""

    kind: EventKind
    child: str = ""
    """Name of the child; "" for the supervisor itself."""
    code: int | None = None
    """Exit code, negative for a signal, of a child that exited."""
    last_lines: tuple[str, ...] = ()
    """What a child that exited printed last."""
    restarts: int = 0


Hook = Callable[[Event], None]


@dataclass(frozen=True)
class Patience:
    """How long the supervisor waits for what, in seconds."""

    start_s: float = 60.0
    drain_s: float = 10.0
    """For gateway workers to finish what they serve."""
    margin_s: float = 3.0
    """On top of `drain_s`, before they are killed."""
    sidecar_stop_s: float = 5.0
    failed_start_stop_s: float = 0.5
    """For the others, when one never started."""
    reload_stop_s: float = 0.5


class ProcessFactory(Protocol):
    """Makes the process of one child; `Process` is one."""

    def __call__(
        self,
        command: Command,
        environment: Mapping[str, str],
        listener: socket.socket,
        show_line: ShowLine,
        /,
    ) -> Process: ...


class Changes(Protocol):
    """Tells of changed source files; `reload.Watcher` is one."""

    def changes(self) -> AsyncIterator[frozenset[Path]]:
        """Yield the files that changed together."""
        ...

    def problem(self, paths: frozenset[Path]) -> str:
        """Why a restart for these files is pointless, or ""."""
        ...


@dataclass
class Child:
    """What the supervisor knows of one child, over all its processes."""

    command: Command
    listener: socket.socket
    recovery: Recovery
    address: str = ""
    state: ChildState = ChildState.STARTING
    detail: str = ""
    restarts: int = 0
    has_served: bool = False
    process: Process | None = None
    keeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Child {self.command.name}, {self.state.value}, {self.restarts} restarts, {self.process!r}>"


class Supervisor:
    """Owns every socket and every child of one `fluxlit_run`.

    Everything after `show_line` is a seam: what to run, how it is started, the clock, the patience.
    """

    def __init__(
        self,
        config: Config,
        show_line: ShowLine,
        *,
        hooks: Sequence[Hook] = (),
        watcher: Changes | None = None,
        commands: Sequence[Command] | None = None,
        patience: Patience | None = None,
        rules: RecoveryRules | None = None,
        make_process: ProcessFactory = Process,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float], float] = spread,
    ) -> None:
        self.config = config
        self.children: list[Child] = []
        self.port = config.gateway_port
        self.inbox: asyncio.Queue[signal.Signals | BaseException | frozenset[Path]] = asyncio.Queue()
        """What the loop waits for: a signal, a failure of its own tasks, or files that changed."""
        self._show_line = show_line
        self._hooks = hooks
        self._watcher = watcher
        self._commands = child_command.commands(config) if commands is None else commands
        self._patience = patience or Patience(
            start_s=config.streamlit_start_timeout_s, drain_s=config.graceful_shutdown_timeout_s
        )
        self._rules = rules or RecoveryRules()
        self._make_process = make_process
        self._clock = clock
        self._jitter = jitter
        self._environment: Mapping[str, str] = {}
        self._processes: set[Process] = set()
        """Every process that has been started and is not gone: a child has two while it is replaced."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_serving = False

    def __repr__(self) -> str:
        return f"<Supervisor port {self.port}, {self.children!r}>"

    async def run(self) -> int:
        """Run until told to stop; the exit code of the command.

        Raises:
            StartupError: a socket could not be had, or a child never got as far as serving.
        """
        with contextlib.ExitStack() as cleanup:
            public = bind_public_socket(self.config.gateway_host, self.config.gateway_port)
            cleanup.enter_context(public)
            names = [command.name for command in self._commands if command.kind != GATEWAY]
            sockets = cleanup.enter_context(SidecarSockets(self.config.runtime_dir, names))
            cleanup.enter_context(self._signals_to_inbox())
            self._prepare(public, sockets)
            return await self._run()

    def statuses(self) -> list[SidecarStatus]:
        """Every sidecar, also those that somebody else runs, as gateway workers are told."""
        ours = [
            SidecarStatus(
                name=child.command.name,
                app=child.command.app,
                address=child.address,
                state=child.state.value,
                restarts=child.restarts,
                detail=child.detail,
            )
            for child in self.children
            if child.command.kind != GATEWAY
        ]
        theirs = [
            SidecarStatus(
                name=f"{app.name}-0", app=app.name, address=app.upstream, state=ChildState.READY.value
            )
            for app in self.config.apps
            if app.upstream
        ]
        return [*ours, *theirs]

    # Setting up.

    def _prepare(self, public: socket.socket, sockets: SidecarSockets) -> None:
        self.port = public.getsockname()[1]
        import_path = leading_import_path(sys.path, sysconfig.get_path("stdlib"))
        self._environment = child_environment(os.environ, port=self.port, import_path=import_path)
        for command in self._commands:
            recovery = Recovery(self._rules, self._clock, self._jitter)
            if command.kind == GATEWAY:
                self.children.append(Child(command, public, recovery))
            else:
                listener, address = sockets.sockets[command.name], sockets.address(command.name)
                self.children.append(Child(command, listener, recovery, address))

    @contextlib.contextmanager
    def _signals_to_inbox(self) -> Iterator[None]:
        """Signals become data: the handler only puts them in the inbox."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self.inbox.put_nowait, number)
        try:
            yield
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)

    # The loop.

    async def _run(self) -> int:
        if self._watcher is not None:
            self._background(self._watch(self._watcher))
        for child in self.children:
            child.keeper = self._background(self._keep(child))
        drain_s = sidecar_stop_s = self._patience.failed_start_stop_s
        reload: asyncio.Task[None] | None = None
        try:
            while True:
                item = await self.inbox.get()
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, signal.Signals):
                    logger.info("Stopping on %s", item.name)
                    drain_s = self._patience.drain_s + self._patience.margin_s
                    sidecar_stop_s = self._patience.sidecar_stop_s
                    return 0
                if reload is not None:
                    await _cancel(reload)  # a newer change makes an unfinished restart pointless
                reload = self._background(self._reload(item))
        finally:
            self._tell(Event(EventKind.STOPPING))
            await _cancel(*self._tasks)
            await self._stop(drain_s, sidecar_stop_s)

    def _background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task whose failure ends the supervisor."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end_task)
        return task

    def _end_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self.inbox.put_nowait(failure)

    async def _stop(self, drain_s: float, sidecar_stop_s: float) -> None:
        """Stop gateway workers, which drain by themselves; then the sidecars that they drained into."""
        hurry = asyncio.create_task(self._hurry())
        gateways = [process for process in self._processes if process.command.kind == GATEWAY]
        await asyncio.gather(*(process.stop(drain_s) for process in gateways))
        await asyncio.gather(*(process.stop(sidecar_stop_s) for process in self._processes))
        for child in self.children:
            child.state = ChildState.STOPPED
        await _cancel(hurry)

    async def _hurry(self) -> None:
        """Kill everything when somebody presses Ctrl-C during a stop."""
        while await self.inbox.get() is not signal.SIGINT:
            continue
        logger.warning("Killing what still runs")
        for process in self._processes:
            process.kill()

    # One child.

    async def _keep(self, child: Child) -> None:
        """Keep a child alive until cancelled.

        Raises:
            StartupError: it never got as far as serving, so trying again is no use.
        """
        while True:
            if child.process is None:
                await self._start_child(child)
            if child.process is not None:
                await child.process.wait()
                self._take_exit(child, child.process)
            await self._pause_after_death(child)

    async def _start_child(self, child: Child) -> None:
        """Start a process for a child and wait until it serves, or is gone."""
        if not child.recovery.is_open:
            self._set_state(child, ChildState.STARTING, child.detail)
        try:
            process = child.process = await self._launch(child)
        except OSError as exc:
            child.detail = f"could not be started: {exc.strerror or exc}"
            if not child.has_served:
                msg = f"{_describe(child)} {child.detail}."
                raise StartupError(msg) from exc
            return
        if await process.wait_ready(self._patience.start_s):
            is_first = not child.has_served
            self._take_ready(child)
            if not is_first:
                logger.info("%s serves again", child.command.name)
            return
        child.detail = await self._end_unready(process)
        if not child.has_served:
            raise StartupError(_startup_message(child, child.detail, process))

    async def _launch(self, child: Child) -> Process:
        """Start a process for a child.

        Raises:
            OSError: the system could not start one.
        """
        process = self._make_process(child.command, self._environment, child.listener, self._show_line)
        await process.start()
        self._processes.add(process)
        self._background(self._forget_when_gone(process))
        if child.command.kind == GATEWAY:
            process.send(encode_sidecars(self.statuses()))
        self._tell(Event(EventKind.STARTED, child.command.name, restarts=child.restarts))
        return process

    async def _forget_when_gone(self, process: Process) -> None:
        await process.wait()
        self._processes.discard(process)

    async def _end_unready(self, process: Process) -> str:
        """Make sure that a process which does not serve is gone; say what was wrong with it."""
        if process.exit_code is None:
            process.kill()
            await process.wait()
            return f"did not serve within {self._patience.start_s:g} s"
        await process.wait()
        return f"{describe_exit(process.exit_code)} before it served"

    def _take_ready(self, child: Child) -> None:
        is_first = not child.has_served
        child.has_served = True
        child.recovery.ready()
        self._set_state(child, ChildState.READY, "")
        kind = EventKind.READY if is_first else EventKind.RESTARTED
        self._tell(Event(kind, child.command.name, restarts=child.restarts))
        if not self._is_serving and all(child.has_served for child in self.children):
            self._is_serving = True
            self._tell(Event(EventKind.SERVING))

    def _take_exit(self, child: Child, process: Process) -> None:
        child.process = None
        if process.has_served and process.exit_code is not None:
            child.detail = describe_exit(process.exit_code)
        lines = tuple(process.last_lines)
        self._tell(
            Event(EventKind.EXITED, child.command.name, process.exit_code, lines, restarts=child.restarts)
        )

    async def _pause_after_death(self, child: Child) -> None:
        """Wait as long as a child that died must wait until its next try."""
        name, why = child.command.name, child.detail
        was_open = child.recovery.is_open
        delay = child.recovery.died()
        child.restarts += 1
        if not child.recovery.is_open:
            logger.warning("%s %s; starting it again in %.1f s", name, why, delay)
            self._set_state(child, ChildState.RESTARTING, why)
        else:
            logger.error("%s %s, as it keeps doing; next try in %.0f s", name, why, delay)
            self._set_state(child, ChildState.FAILED, f"keeps dying; {why}")
            if not was_open:
                self._tell(Event(EventKind.BREAKER, name, restarts=child.restarts))
        await asyncio.sleep(delay)

    # Changed source files.

    async def _watch(self, watcher: Changes) -> None:
        async for paths in watcher.changes():
            self.inbox.put_nowait(paths)

    async def _reload(self, paths: frozenset[Path]) -> None:
        """Replace every child, now that what it imported has changed."""
        problem = self._watcher.problem(paths) if self._watcher is not None else ""
        if problem:
            self._tell(Event(EventKind.RELOAD_FAILED, last_lines=(problem,)))
            logger.error("%s: nothing is restarted until the next change", problem)
            return
        started = self._clock()
        logger.info("%s changed, restarting", ", ".join(sorted(path.name for path in paths)))
        try:
            candidates = await self._launch_candidates()
        except StartupError as exc:
            self._tell(Event(EventKind.RELOAD_FAILED, last_lines=tuple(str(exc).splitlines())))
            logger.error("%s\nWhat ran before goes on until the next change", exc)
            return
        for child, candidate in zip(self.children, candidates, strict=True):
            self._adopt(child, candidate)
        logger.info("Restarted in %.1f s", self._clock() - started)

    async def _launch_candidates(self) -> list[Process]:
        """A new process for every child, all of which serve.

        Raises:
            StartupError: one does not; none is left.
        """
        tasks = [asyncio.create_task(self._launch_candidate(child)) for child in self.children]
        try:
            return await asyncio.gather(*tasks)
        except (StartupError, asyncio.CancelledError):
            await _cancel(*tasks)
            for task in tasks:
                if not task.cancelled() and task.exception() is None:
                    task.result().kill()
            raise

    def _adopt(self, child: Child, process: Process) -> None:
        """Give a child a new process that serves, and retire the one it had."""
        if child.keeper is not None:
            child.keeper.cancel()
        retired, child.process = child.process, process
        child.keeper = self._background(self._keep(child))
        self._take_ready(child)
        if retired is not None:
            self._background(retired.stop(self._patience.reload_stop_s))

    async def _launch_candidate(self, child: Child) -> Process:
        """A process for a child that has one already.

        Raises:
            StartupError: it does not serve; it is gone.
        """
        try:
            candidate = await self._launch(child)
        except OSError as exc:
            msg = f"{_describe(child)} could not be started: {exc.strerror or exc}."
            raise StartupError(msg) from exc
        try:
            if await candidate.wait_ready(self._patience.start_s):
                return candidate
        except asyncio.CancelledError:
            candidate.kill()
            raise
        problem = await self._end_unready(candidate)
        raise StartupError(_startup_message(child, problem, candidate))

    # Telling.

    def _set_state(self, child: Child, state: ChildState, detail: str) -> None:
        child.state, child.detail = state, detail
        if child.command.kind == GATEWAY:
            return
        message = encode_sidecars(self.statuses())
        for process in self._processes:
            if process.command.kind == GATEWAY:
                process.send(message)

    def _tell(self, event: Event) -> None:
        for hook in self._hooks:
            try:
                hook(event)
            except Exception:  # a hook is somebody else's code and must not take the server down
                logger.exception("A hook failed on %s", event)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _describe(child: Child) -> str:
    kind = "gateway worker" if child.command.kind == GATEWAY else "sidecar"
    return f"The {kind} {child.command.name}"


def _startup_message(child: Child, problem: str, process: Process) -> str:
    """Why a child never served, with what it printed last."""
    headline = f"{_describe(child)} {problem}."
    lines = "\n".join(f"    {line[:LONGEST_REPORTED_LINE]}" for line in process.last_lines)
    return f"{headline} Its last lines:\n\n{lines}\n" if lines else f"{headline} It printed nothing."

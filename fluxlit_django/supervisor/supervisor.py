"""All children: started together, kept alive, stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import sys
import sysconfig
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fluxlit_django.conf import MIB, Config
from fluxlit_django.control import SidecarLoad, SidecarStatus, encode_sidecars
from fluxlit_django.exceptions import StartupError
from fluxlit_django.metrics import files as metric_files
from fluxlit_django.supervisor import command as child_command
from fluxlit_django.supervisor.child import Child, ChildState, describe, load_of, startup_message, status_of
from fluxlit_django.supervisor.command import (
    GATEWAY,
    SIDECAR,
    Command,
    child_environment,
    leading_import_path,
)
from fluxlit_django.supervisor.events import Event, EventKind, Hook
from fluxlit_django.supervisor.operator_line import (
    SOCKET_NAME,
    Desk,
    Identity,
    own_project,
)
from fluxlit_django.supervisor.process import Process, ShowLines, describe_exit
from fluxlit_django.supervisor.recovery import Recovery, RecoveryRules, spread
from fluxlit_django.supervisor.sockets import SidecarSockets, bind_public_socket, generation_name

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
REPLACE_SIGNAL = signal.SIGHUP
TOLD_RSS_STEP = 8 * MIB  # a smaller change of a sidecar's memory is not worth a message


def has_terminal() -> bool:
    """Whether this process has a controlling terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


Result = TypeVar("Result")


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
    sessions_s: float = 300.0
    """For the sessions of a sidecar that was replaced, until they have ended by themselves."""


class ProcessFactory(Protocol):
    """Makes the process of one child; `Process` is one."""

    def __call__(
        self,
        command: Command,
        environment: Mapping[str, str],
        listener: socket.socket | None,
        show_lines: ShowLines,
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


class Supervisor:
    """Owns every socket and every child of one `fluxlit_run`.

    Everything after `show_lines` is a seam: what to run, how it is started, the clock, the patience.
    """

    def __init__(
        self,
        config: Config,
        show_lines: ShowLines,
        *,
        hooks: Sequence[Hook] = (),
        watcher: Changes | None = None,
        commands: Sequence[Command] | None = None,
        jobs: Iterable[Command] = (),
        patience: Patience | None = None,
        rules: RecoveryRules | None = None,
        make_process: ProcessFactory = Process,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float], float] = spread,
        has_terminal: Callable[[], bool] = has_terminal,
    ) -> None:
        self.config = config
        self.children: list[Child] = []
        self.port = config.gateway_port
        self.inbox: asyncio.Queue[signal.Signals | BaseException | frozenset[Path]] = asyncio.Queue()
        """What the loop waits for: a signal, a failure of its own tasks, or files that changed."""
        self._show_lines = show_lines
        self._hooks = hooks
        self._watcher = watcher
        self._commands = child_command.commands(config) if commands is None else commands
        self._jobs = jobs
        self._patience = patience or Patience(
            start_s=config.streamlit_start_timeout_s,
            drain_s=config.graceful_shutdown_timeout_s,
            sessions_s=config.streamlit_drain_timeout_s,
        )
        self._rules = rules or RecoveryRules()
        self._make_process = make_process
        self._clock = clock
        self._jitter = jitter
        self._environment: Mapping[str, str] = {}
        self._processes: set[Process] = set()
        """Every process that has been started and is not gone: a child has two while it is replaced."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_serving = False
        self._draining: list[Child] = []
        """Sidecars that have been replaced and still have sessions."""
        self._sockets = SidecarSockets("", [])
        self._newest_generation = 1
        self._has_terminal = has_terminal
        self._had_terminal = has_terminal()
        self._replacing = asyncio.Lock()
        self._desk = Desk(
            lambda: Identity(os.getpid(), self.port, own_project()),
            replace=self._replace_on_request,
            stop=functools.partial(self.inbox.put_nowait, signal.SIGTERM),
            hurry=functools.partial(self.inbox.put_nowait, signal.SIGINT),
        )
        self._metrics: Path | None = None
        """Where the children keep their metrics."""

    def __repr__(self) -> str:
        return f"<Supervisor port {self.port}, {self.children!r}>"

    async def run(self) -> int:
        """Run until told to stop; the exit code of the command.

        Raises:
            StartupError: a socket could not be had, or a child never got as far as serving.
        """
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(self._desk.farewell)  # the last: who waits may start another on our port at once
            public = bind_public_socket(self.config.gateway_host, self.config.gateway_port)
            cleanup.enter_context(public)
            names = [command.name for command in self._commands if command.kind != GATEWAY]
            sockets = cleanup.enter_context(SidecarSockets(self.config.runtime_dir, names))
            cleanup.enter_context(self._signals_to_inbox())
            metrics = None
            if self.config.enable_gateway_prometheus_metrics:
                metrics = cleanup.enter_context(metric_files.folder(sockets.directory))
            self._prepare(public, sockets, metrics)
            if hasattr(socket, "AF_UNIX"):  # nothing else keeps other users out
                cleanup.enter_context(await self._listen_to_operators(sockets.open(SOCKET_NAME)))
            return await self._run()

    def statuses(self) -> list[SidecarStatus]:
        """Every sidecar, also those that somebody else runs, as gateway workers are told."""
        sidecars = [child for child in self.children if child.command.kind == SIDECAR]
        ours = [status_of(child) for child in [*sidecars, *self._draining]]
        theirs = [
            SidecarStatus(
                name=f"{app.name}-0", app=app.name, address=app.upstream, state=ChildState.READY.value
            )
            for app in self.config.apps
            if app.upstream
        ]
        return [*ours, *theirs]

    # Setting up.

    def _prepare(self, public: socket.socket, sockets: SidecarSockets, metrics: Path | None) -> None:
        self.port = public.getsockname()[1]
        self._sockets = sockets
        import_path = leading_import_path(sys.path, sysconfig.get_path("stdlib"))
        self._environment = child_environment(os.environ, port=self.port, import_path=import_path)
        if metrics is not None:
            self._metrics = metrics
            self._environment = {**self._environment, metric_files.VARIABLE: str(metrics)}
        for command in self._commands:
            if command.kind == GATEWAY:
                self.children.append(Child(command, public, self._new_recovery()))
            else:
                listener, address = sockets.sockets[command.name], sockets.address(command.name)
                self.children.append(Child(command, listener, self._new_recovery(), address))

    def _new_recovery(self) -> Recovery:
        return Recovery(self._rules, self._clock, self._jitter)

    @contextlib.contextmanager
    def _signals_to_inbox(self) -> Iterator[None]:
        """Signals become data: the handler only puts them in the inbox."""
        loop = asyncio.get_running_loop()
        wanted = [*STOP_SIGNALS]
        if signal.getsignal(REPLACE_SIGNAL) is not signal.SIG_IGN:  # as nohup has it
            wanted.append(REPLACE_SIGNAL)
        for number in wanted:
            loop.add_signal_handler(number, self.inbox.put_nowait, number)
        try:
            yield
        finally:
            for number in wanted:
                loop.remove_signal_handler(number)

    async def _listen_to_operators(self, listener: socket.socket) -> contextlib.closing[asyncio.Server]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.CancelledError):  # at a stop; asyncio would log it
                await self._background(self._desk.answer(reader, writer))

        return contextlib.closing(await asyncio.start_unix_server(answer, sock=listener))

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
                if item is REPLACE_SIGNAL and not self._has_lost_terminal():
                    self._background(self._replace_on_signal())
                    continue
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

    def _background(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run a task whose failure ends the supervisor."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end_task)
        return task

    def _end_task(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self.inbox.put_nowait(failure)

    async def _stop(self, drain_s: float, sidecar_stop_s: float) -> None:
        """Stop jobs, and gateway workers, which drain by themselves; then the sidecars they drained into."""
        hurry = asyncio.create_task(self._hurry())
        first = [process for process in self._processes if process.command.kind != SIDECAR]
        await asyncio.gather(*(process.stop(drain_s) for process in first))
        await asyncio.gather(*(process.stop(sidecar_stop_s) for process in self._processes))
        for child in [*self.children, *self._draining]:
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
                msg = f"{describe(child)} {child.detail}."
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
            raise StartupError(startup_message(child, child.detail, process))

    async def _launch(self, child: Child) -> Process:
        """Start a process for a child.

        Raises:
            OSError: the system could not start one.
        """
        process = self._make_process(child.command, self._environment, child.listener, self._show_lines)
        await process.start()
        process.on_load = functools.partial(self._take_load, process)
        self._processes.add(process)
        self._background(self._forget_when_gone(process))
        if child.command.kind == GATEWAY:
            process.send(encode_sidecars(self.statuses()))
        self._tell(Event(EventKind.STARTED, child.command.name, restarts=child.restarts))
        return process

    async def _forget_when_gone(self, process: Process) -> None:
        await process.wait()
        self._processes.discard(process)
        if self._metrics is not None and process.pid is not None:
            try:
                await asyncio.to_thread(metric_files.forget_process, self._metrics, process.pid)
            except OSError as exc:
                logger.warning("The metrics of %s are lost: %s", process.command.name, exc)

    async def _end_unready(self, process: Process) -> str:
        """Make sure that a process which does not serve is gone; say what was wrong with it."""
        if process.exit_code is None:
            process.kill()
            await process.wait()
            return f"did not serve within {self._patience.start_s:g} s"
        await process.wait()
        return f"{describe_exit(process.exit_code)} before it served"

    def _take_ready(self, child: Child, kind: EventKind = EventKind.RESTARTED) -> None:
        if not child.has_served and kind is EventKind.RESTARTED:
            kind = EventKind.READY
        child.has_served = True
        child.served_at = self._clock()
        child.recovery.ready()
        self._set_state(child, ChildState.READY, "")
        self._tell(Event(kind, child.command.name, restarts=child.restarts))
        if not self._is_serving and all(child.has_served for child in self.children):
            self._is_serving = True
            self._tell(Event(EventKind.SERVING))
            for job in self._jobs:
                self._background(self._run_job(job))

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

    async def _run_job(self, command: Command) -> None:
        """Run what ends by itself. Nothing depends on it, so that it fails is worth one line."""
        process = self._make_process(command, self._environment, None, self._show_lines)
        try:
            await process.start()
        except OSError as exc:
            logger.warning("%s could not be started: %s", command.name, exc.strerror or exc)
            return
        self._processes.add(process)
        await self._forget_when_gone(process)
        if process.exit_code:
            logger.warning("%s %s; everything else goes on", command.name, describe_exit(process.exit_code))

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
        async with self._replacing:
            started = self._clock()
            logger.info("%s changed, restarting", ", ".join(sorted(path.name for path in paths)))
            try:
                candidates = await self._launch_candidates()
            except StartupError as exc:
                self._tell(Event(EventKind.RELOAD_FAILED, last_lines=tuple(str(exc).splitlines())))
                logger.error("%s\nWhat ran before goes on until the next change", exc)
                return
            for child, candidate in zip(self.children, candidates, strict=True):
                retired = self._adopt(child, candidate)
                if retired is not None:
                    self._background(retired.stop(self._patience.reload_stop_s))
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

    def _adopt(self, child: Child, process: Process) -> Process | None:
        """Give a child a new process that serves; the one it had, which nobody keeps any more."""
        if child.keeper is not None:
            child.keeper.cancel()
        retired, child.process = child.process, process
        child.keeper = self._background(self._keep(child))
        self._take_ready(child)
        return retired

    async def _launch_candidate(self, child: Child) -> Process:
        """A process for a child that has one already.

        Raises:
            StartupError: it does not serve; it is gone.
        """
        try:
            candidate = await self._launch(child)
        except OSError as exc:
            msg = f"{describe(child)} could not be started: {exc.strerror or exc}."
            raise StartupError(msg) from exc
        try:
            if await candidate.wait_ready(self._patience.start_s):
                return candidate
        except asyncio.CancelledError:
            candidate.kill()
            raise
        problem = await self._end_unready(candidate)
        raise StartupError(startup_message(child, problem, candidate))

    # Replacing everything, one at a time.

    def _has_lost_terminal(self) -> bool:
        """Whether SIGHUP says what it said first: that the terminal we run in has been closed."""
        return self._had_terminal and not self._has_terminal()

    async def _replace_on_request(self) -> str:
        """Replace everything, unless that cannot be done now: why it was not, or ""."""
        if not self._is_serving:
            return "It is still starting. Ask again when it serves."
        if self._replacing.locked():
            return "Processes are being replaced already. Ask again when that is done."
        return await self._background(self.replace_children())

    async def _replace_on_signal(self) -> None:
        if problem := await self._replace_on_request():
            logger.warning("On %s nothing more is done. %s", REPLACE_SIGNAL.name, problem.splitlines()[0])

    async def replace_children(self) -> str:
        """Replace every child, sidecars first: why it stopped before the end, or ""."""
        async with self._replacing:
            started = self._clock()
            logger.info("Replacing every process, one at a time")
            self._tell(Event(EventKind.RELOADING))
            try:
                for child in sorted(self.children, key=lambda child: child.command.kind == GATEWAY):
                    await self._replace(child)
            except StartupError as exc:
                self._tell(Event(EventKind.RELOAD_FAILED, last_lines=tuple(str(exc).splitlines())))
                logger.error("%s\nThe one before it goes on, and so do those that come after", exc)
                return str(exc)
            logger.info("Replaced everything in %.1f s", self._clock() - started)
            self._tell(Event(EventKind.RELOADED))
            return ""

    async def _replace(self, child: Child) -> None:
        """Have a child's replacement serve, then end the old one without loss.

        Raises:
            StartupError: the replacement does not serve; the old one goes on.
        """
        if child.command.kind == SIDECAR:
            await self._replace_sidecar(child)
            return
        retired = self._adopt(child, await self._launch_candidate(child))
        self._tell(Event(EventKind.REPLACED, child.command.name))
        if retired is not None:
            await retired.retire(self._patience.drain_s + self._patience.margin_s)

    async def _replace_sidecar(self, child: Child) -> None:
        """Start a sidecar's next generation on a socket of its own; the old one keeps its sessions."""
        self._newest_generation += 1
        generation = self._newest_generation
        socket_name = generation_name(child.command.name, generation)
        listener = self._sockets.open(socket_name)
        address = self._sockets.address(socket_name)
        successor = Child(child.command, listener, self._new_recovery(), address, generation)
        try:
            successor.process = await self._launch_candidate(successor)
        except BaseException:
            self._sockets.close(socket_name)
            raise
        self.children[self.children.index(child)] = successor
        if child.keeper is not None:
            child.keeper.cancel()
        child.state, child.detail = ChildState.DRAINING, f"replaced by generation {generation}"
        self._draining.append(child)
        self._take_ready(successor, EventKind.REPLACED)
        successor.keeper = self._background(self._keep(successor))
        self._background(self._drain(child))
        logger.info(
            "%s is replaced; its sessions go on for up to %g s", child.command.name, self._patience.sessions_s
        )

    async def _drain(self, child: Child) -> None:
        """End a sidecar that was replaced when its sessions have ended, or their time is over."""
        if child.process is not None:
            await child.process.wait_empty(self._patience.sessions_s)
            # Told first, so that the browsers of the sessions that end now come back elsewhere.
            self._set_state(child, ChildState.STOPPED, child.detail)
            await child.process.stop(self._patience.drain_s + self._patience.sidecar_stop_s)
        self._draining.remove(child)
        self._sockets.close(generation_name(child.command.name, child.generation))
        self._tell_gateways()
        self._tell(Event(EventKind.GONE, child.command.name))

    # A sidecar's load.

    def _take_load(self, process: Process) -> None:
        """Pass on what a sidecar says of itself, and replace it when it has grown too large."""
        child = next((each for each in [*self.children, *self._draining] if each.process is process), None)
        if child is None:
            return
        load, told = process.load, child.told_load
        if load.sessions != told.sessions or abs(load.rss_bytes - told.rss_bytes) >= TOLD_RSS_STEP:
            self._tell_gateways()
        if self._is_too_large(child, load):
            child.is_recycling = True
            self._background(self._recycle(child, load))

    def _is_too_large(self, child: Child, load: SidecarLoad) -> bool:
        """Whether a sidecar must be replaced; not at once, as it may be that large from its start."""
        most = self.config.streamlit_max_rss_mb * MIB
        is_settled = self._clock() - child.served_at >= self._rules.healthy_s
        can_be = child.state is ChildState.READY and not child.is_recycling
        return bool(most) and load.rss_bytes > most and can_be and is_settled and self._is_serving

    async def _recycle(self, child: Child, load: SidecarLoad) -> None:
        """Replace a sidecar that has grown too large; its sessions go on until they end."""
        async with self._replacing:
            if child.state is not ChildState.READY or child not in self.children:
                return
            logger.warning(
                "%s holds %d MiB, more than FLUXLIT_STREAMLIT_MAX_RSS_MB (%d), and is replaced",
                child.command.name,
                load.rss_bytes // MIB,
                self.config.streamlit_max_rss_mb,
            )
            self._tell(Event(EventKind.RECYCLED, child.command.name, restarts=child.restarts))
            try:
                await self._replace_sidecar(child)
            except StartupError as exc:
                logger.error("%s\nThe one before it goes on", exc)
        await asyncio.sleep(self._rules.retry_s)
        child.is_recycling = False

    # Telling.

    def _set_state(self, child: Child, state: ChildState, detail: str) -> None:
        child.state, child.detail = state, detail
        if child.command.kind != GATEWAY:
            self._tell_gateways()

    def _tell_gateways(self) -> None:
        for child in [*self.children, *self._draining]:
            child.told_load = load_of(child)
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

"""Fake children, and a supervisor over them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from fluxlit_django.conf import AppConfig, Config
from fluxlit_django.supervisor.command import GATEWAY, SIDECAR, Command
from fluxlit_django.supervisor.events import Event, EventKind
from fluxlit_django.supervisor.recovery import RecoveryRules
from fluxlit_django.supervisor.supervisor import Patience, Supervisor

FAKE_CHILD = Path(__file__).parent.parent / "resources" / "fake_child.py"
PATIENCE = Patience(
    start_s=10, drain_s=5, margin_s=0, sidecar_stop_s=5, failed_start_stop_s=0.2, reload_stop_s=0.2
)
RULES = RecoveryRules(
    first_delay_s=0.05, longest_delay_s=0.1, deaths=3, window_s=60, retry_s=0.2, healthy_s=30
)
CONFIG = Config(gateway_port=0, apps=(AppConfig("default", ""),))


def fake(name: str, *words: str) -> Command:
    """A fake child of this name: a gateway worker or a sidecar."""
    argv = (sys.executable, "-I", "-S", str(FAKE_CHILD), *words)
    kind = GATEWAY if name.startswith("gateway") else SIDECAR
    return Command(name, kind, argv, app="" if kind == GATEWAY else name.rpartition("-")[0])


class Running:
    """A supervisor that runs, what it told its hooks, and what its children printed."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.lines: list[tuple[str, str]] = []
        self.supervisor: Supervisor
        self.task: asyncio.Task[int]
        self._changed = asyncio.Event()

    def hook(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    def show_lines(self, name: str, texts: Sequence[str]) -> None:
        self.lines.extend((name, text) for text in texts)
        self._changed.set()

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10) -> None:
        """Wait until a condition on events and lines holds."""
        async with contextlib.AsyncExitStack() as stack:
            deadline = asyncio.get_running_loop().time() + timeout_s
            stack.callback(self._changed.clear)
            while not condition():
                self._changed.clear()
                remaining = deadline - asyncio.get_running_loop().time()
                await asyncio.wait_for(self._changed.wait(), remaining)

    async def until_event(self, kind: EventKind, child: str = "", times: int = 1) -> Event:
        """Wait for an event; the last one of its kind."""
        await self.until(lambda: len(self.of_kind(kind, child)) >= times)
        return self.of_kind(kind, child)[-1]

    def of_kind(self, kind: EventKind, child: str = "") -> list[Event]:
        return [event for event in self.events if event.kind is kind and event.child in {child, ""}]

    async def finish(self, timeout_s: float = 10) -> int:
        return await asyncio.wait_for(self.task, timeout_s)


@contextlib.asynccontextmanager
async def running(*children: Command, config: Config = CONFIG, hooks=(), **options) -> AsyncIterator[Running]:
    """Run a supervisor over fake children; whatever still runs at the end is killed."""
    run = Running()
    options = {"patience": PATIENCE, "rules": RULES, "jitter": lambda delay: delay, **options}
    run.supervisor = Supervisor(
        config, run.show_lines, hooks=[*hooks, run.hook], commands=children, **options
    )
    run.task = asyncio.create_task(run.supervisor.run())
    try:
        yield run
    finally:
        run.task.cancel()
        await asyncio.gather(run.task, return_exceptions=True)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def until(condition: Callable[[], object], timeout_s: float = 10) -> None:
    """Wait until a condition holds that nothing tells of."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


async def until_gone(*pids: int, timeout_s: float = 2) -> None:
    """Wait until none of these processes runs."""
    await until(lambda: not any(map(is_alive, pids)), timeout_s)

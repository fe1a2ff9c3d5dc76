"""What is known of one child, and how it is told to gateway workers and to people."""

from __future__ import annotations

import asyncio
import enum
import socket
from dataclasses import dataclass, field

from fluxlit_django.control import SidecarLoad, SidecarStatus
from fluxlit_django.supervisor.command import GATEWAY, Command
from fluxlit_django.supervisor.process import Process
from fluxlit_django.supervisor.recovery import Recovery

LONGEST_REPORTED_LINE = 500  # characters of a child's last lines, in the message of its failure


class ChildState(str, enum.Enum):
    """Where a child is; the same words as in `control.SidecarStatus.state`."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass
class Child:
    """What the supervisor knows of one child, over all its processes."""

    command: Command
    listener: socket.socket
    recovery: Recovery
    address: str = ""
    generation: int = 1
    """Of a sidecar: a replacement is a child of its own, on a socket of its own."""
    state: ChildState = ChildState.STARTING
    detail: str = ""
    restarts: int = 0
    has_served: bool = False
    told_load: SidecarLoad = field(default_factory=SidecarLoad)
    """What gateway workers have last heard of it."""
    served_at: float = 0.0
    """When its process last became ready, by the supervisor's clock."""
    is_recycling: bool = False
    process: Process | None = None
    keeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Child {self.command.name}, {self.state.value}, {self.restarts} restarts, {self.process!r}>"


def load_of(child: Child) -> SidecarLoad:
    """What a sidecar has last said of itself."""
    return SidecarLoad() if child.process is None else child.process.load


def status_of(child: Child) -> SidecarStatus:
    """A sidecar as gateway workers are told of it."""
    load = load_of(child)
    return SidecarStatus(
        name=child.command.name,
        app=child.command.app,
        address=child.address,
        state=child.state.value,
        restarts=child.restarts,
        detail=child.detail,
        generation=child.generation,
        sessions=load.sessions,
        rss_bytes=load.rss_bytes,
    )


def describe(child: Child) -> str:
    """A child, as the beginning of a sentence."""
    kind = "gateway worker" if child.command.kind == GATEWAY else "sidecar"
    return f"The {kind} {child.command.name}"


def startup_message(child: Child, problem: str, process: Process) -> str:
    """Why a child never served, with what it printed last."""
    headline = f"{describe(child)} {problem}."
    lines = "\n".join(f"    {line[:LONGEST_REPORTED_LINE]}" for line in process.last_lines)
    return f"{headline} Its last lines:\n\n{lines}\n" if lines else f"{headline} It printed nothing."

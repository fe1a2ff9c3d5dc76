"""What happens to the children, told to hooks: the screen, systemd, the admin's history."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass


class EventKind(str, enum.Enum):
    """What can happen to a child, or to all of them."""

    STARTED = "started"
    READY = "ready"
    EXITED = "exited"
    RESTARTED = "restarted"
    BREAKER = "breaker"
    REPLACED = "replaced"
    """Its replacement serves; of a sidecar, the old one goes on with the sessions it has."""
    GONE = "gone"
    """A sidecar that was replaced has ended."""
    RELOADING = "reloading"
    """Every child is to be replaced, one at a time."""
    RELOADED = "reloaded"
    RECYCLED = "recycled"
    """A sidecar has grown too large and is to be replaced."""
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

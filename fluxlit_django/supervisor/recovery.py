"""When a child that died is started again: back-off, and a breaker for crash loops."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class RecoveryRules:
    """How patient the supervisor is with a child that dies. Times are in seconds."""

    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0
    deaths: int = 5
    """So many deaths…"""
    window_s: float = 60.0
    """…in so much time open the breaker."""
    retry_s: float = 60.0
    """Time between tries while the breaker is open."""
    healthy_s: float = 30.0
    """A child that served so long has its past forgotten."""


def exponential_backoff(first: float, longest: float) -> Iterator[float]:
    """Yield 0, then delays that double up to the longest, for ever.

    `exponential_backoff(0.5, 3)` yields 0, 0.5, 1, 2, 3, 3, …
    """
    yield 0.0
    delay = first
    while True:
        yield min(delay, longest)
        delay = min(delay * 2, longest)


def spread(delay: float) -> float:
    """A random time from half to the whole of a delay, so that what died together comes back apart."""
    return delay * random.uniform(0.5, 1.0)


class Recovery:
    """Decides for one child, from the times at which it served and died."""

    def __init__(
        self,
        rules: RecoveryRules,
        clock: Callable[[], float],
        jitter: Callable[[float], float] = spread,
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._jitter = jitter
        self._is_open = False
        self._ready_at: float | None = None
        self._deaths: deque[float] = deque()
        self._forget()

    def __repr__(self) -> str:
        return f"<Recovery {'open' if self.is_open else 'closed'}, {len(self._deaths)} deaths>"

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open: the child is in a crash loop and is tried rarely."""
        return self._is_open and not self._lived_well()

    def ready(self) -> None:
        """The child serves."""
        self._ready_at = self._clock()

    def died(self) -> float:
        """The child died: how many seconds to wait until the next try."""
        now = self._clock()
        if self._lived_well():
            self._forget()
        self._ready_at = None
        self._deaths.append(now)
        while self._deaths[0] <= now - self._rules.window_s:
            self._deaths.popleft()
        if self._is_open or len(self._deaths) >= self._rules.deaths:
            self._is_open = True
            return self._rules.retry_s
        return self._jitter(next(self._delays))

    def _lived_well(self) -> bool:
        return self._ready_at is not None and self._clock() - self._ready_at >= self._rules.healthy_s

    def _forget(self) -> None:
        self._is_open = False
        self._deaths.clear()
        self._delays = exponential_backoff(self._rules.first_delay_s, self._rules.longest_delay_s)

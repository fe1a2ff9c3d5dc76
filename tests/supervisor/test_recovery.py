"""When a child that died is started again."""

import itertools

import pytest

from fluxlit_django.supervisor.recovery import Recovery, RecoveryRules, exponential_backoff, spread

RULES = RecoveryRules(first_delay_s=0.5, longest_delay_s=30, deaths=5, window_s=60, retry_s=60, healthy_s=30)

# Each step: the time, what happened, the delay until the next try, whether the breaker is open.
HISTORIES = {
    "the first death is forgiven at once": [
        (0, "ready", None, False),
        (5, "died", 0, False),
    ],
    "each further death waits twice as long": [
        (0, "died", 0, False),
        (1, "died", 0.5, False),
        (2, "died", 1, False),
        (4, "died", 2, False),
    ],
    "a life that went well is a new beginning": [
        (0, "died", 0, False),
        (1, "died", 0.5, False),
        (2, "ready", None, False),
        (32, "died", 0, False),
    ],
    "a short life is not": [
        (0, "died", 0, False),
        (1, "died", 0.5, False),
        (2, "ready", None, False),
        (31, "died", 1, False),
    ],
    "five deaths in a minute open the breaker": [
        (0, "died", 0, False),
        (10, "died", 0.5, False),
        (20, "ready", None, False),
        (25, "died", 1, False),
        (40, "died", 2, False),
        (59, "died", 60, True),
    ],
    "five deaths in more than a minute do not": [
        (0, "died", 0, False),
        (10, "died", 0.5, False),
        (20, "died", 1, False),
        (40, "died", 2, False),
        (61, "died", 4, False),
    ],
    "a failed try keeps the breaker open": [
        *[(second, "died", delay, False) for second, delay in enumerate([0, 0.5, 1, 2])],
        (5, "died", 60, True),
        (67, "died", 60, True),
        (129, "ready", None, True),
        (130, "died", 60, True),
    ],
    "a try that lives well closes it": [
        *[(second, "died", delay, False) for second, delay in enumerate([0, 0.5, 1, 2])],
        (5, "died", 60, True),
        (66, "ready", None, True),
        (95.9, None, None, True),
        (96, None, None, False),
        (200, "died", 0, False),
        (201, "died", 0.5, False),
    ],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_recovery__history(history):
    """The delays and the breaker after each step of a child's life."""
    now = 0.0
    recovery = Recovery(RULES, clock=lambda: now, jitter=lambda delay: delay)

    seen = []
    for now, happened, *_ in history:
        delay = getattr(recovery, happened)() if happened else None
        seen.append((now, happened, delay, recovery.is_open))

    assert history == seen


def test_exponential_backoff():
    """Nothing first, then doubled up to the longest."""
    assert list(itertools.islice(exponential_backoff(0.5, 3), 6)) == [0, 0.5, 1, 2, 3, 3]


def test_spread():
    """Delays differ, between half and the whole."""
    delays = {spread(8) for _ in range(100)}

    assert len(delays) > 1
    assert all(4 <= delay <= 8 for delay in delays)


def test_recovery__repr():
    """The state can be read in a log."""
    recovery = Recovery(RULES, clock=lambda: 0)
    recovery.died()

    assert repr(recovery) == "<Recovery closed, 1 deaths>"

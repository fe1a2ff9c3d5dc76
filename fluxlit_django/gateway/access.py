"""Who may: one decision, used by the document, the socket, uploads and media alike."""

from __future__ import annotations

import contextlib
import enum
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from channels.db import database_sync_to_async
from django.db import InterfaceError, OperationalError

from fluxlit_django.conf import AppConfig
from fluxlit_django.gateway import identity
from fluxlit_django.gateway.headers import Headers
from fluxlit_django.gateway.identity import Viewer
from fluxlit_django.trust import sessions, users
from fluxlit_django.trust.rules import passes


class Verdict(enum.Enum):
    """What a decision says."""

    ALLOW = "allow"
    SIGN_IN = "sign in"
    FORBID = "forbid"


@dataclass(frozen=True)
class Decision:
    """Whether a viewer may use an app, and who the viewer is (None for anonymous)."""

    verdict: Verdict
    viewer: Viewer | None
    session_ends_in_s: float | None = None
    """Seconds until the viewer's session expires; None when there is none."""

    @property
    def allowed(self) -> bool:
        """Whether the viewer may."""
        return self.verdict is Verdict.ALLOW


class Undecided(Exception):
    """The database or the session store does not answer, so that nobody can say who may."""


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except Exception as exc:  # a session store's errors are its own; those of a project's rule pass
        if not _is_outage(exc):
            raise
        msg = f"the database or the session store does not answer: {' '.join(str(exc).split())}"
        raise Undecided(msg) from exc


def _is_outage(exc: Exception) -> bool:
    """Whether an error says that a server is not there. Redis' errors are no `OSError` (redis-py 5 to 8)."""
    if isinstance(exc, (OperationalError, InterfaceError, ConnectionError, TimeoutError)):
        return True
    names = {f"{kind.__module__}.{kind.__name__}" for kind in type(exc).__mro__}
    return not names.isdisjoint({"redis.exceptions.ConnectionError", "redis.exceptions.TimeoutError"})


def decide(app: AppConfig, user: Any) -> Decision:
    """Apply the app's access rule to a Django user, or to None for nobody. May read the database.

    Raises:
        Undecided: what knows about users does not answer.
    """
    with _asking():
        return _decide(app, user)


def _decide(app: AppConfig, user: Any) -> Decision:
    is_known = user is not None and user.is_authenticated
    viewer = Viewer.from_user(user) if is_known else None
    if passes(app.access, user if is_known else users.nobody()):
        return Decision(Verdict.ALLOW, viewer)
    return Decision(Verdict.FORBID if is_known else Verdict.SIGN_IN, viewer)


def decide_for_session(app: AppConfig, key: str) -> Decision:
    """The decision for a session key; "" for no session. Reads the session store and the database.

    Raises:
        Undecided: one of them does not answer.
    """
    with _asking():
        user = sessions.user_of_session(key) if key else None
        decision = _decide(app, user)
        if user is None:
            return decision
        return Decision(decision.verdict, decision.viewer, sessions.seconds_left(key))


read_decision = database_sync_to_async(decide_for_session)


class Gatekeeper:
    """Decides for requests that don't go through Django's middleware, remembering decisions for seconds.

    Args:
        read: finds the decision for an app and a session key.
        remember_s: how long a decision counts, in seconds.
        remember_most: how many decisions are kept.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        read: Callable[[AppConfig, str], Awaitable[Decision]] = read_decision,
        *,
        remember_s: float = 2.0,
        remember_most: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._remember_s = remember_s
        self._remember_most = remember_most
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], tuple[float, Decision]] = OrderedDict()

    async def decide(self, app: AppConfig, headers: Headers, *, afresh: bool = False) -> Decision:
        """The decision for a request with these headers.

        Args:
            afresh: don't use a remembered one.

        Raises:
            Undecided: what knows about users does not answer.
        """
        key = (app.access, identity.session_key(headers))
        now = self._clock()
        expires, decision = self._known.get(key, (0.0, None))
        if decision is not None and now < expires and not afresh:
            return decision
        decision = await self._read(app, key[1])
        self._known[key] = (now + self._remember_s, decision)
        self._known.move_to_end(key)
        while len(self._known) > self._remember_most:
            self._known.popitem(last=False)
        return decision

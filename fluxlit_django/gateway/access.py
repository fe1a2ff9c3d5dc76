"""Who may: one decision, used by the document, the socket, uploads and media alike."""

from __future__ import annotations

import enum
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fluxlit_django.conf import AppConfig
from fluxlit_django.gateway import identity
from fluxlit_django.gateway.headers import Headers
from fluxlit_django.gateway.identity import Viewer


class Verdict(enum.Enum):
    """What a decision says."""

    ALLOW = "allow"
    SIGN_IN = "sign in"


@dataclass(frozen=True)
class Decision:
    """Whether a viewer may use an app, and who the viewer is (None for anonymous)."""

    verdict: Verdict
    viewer: Viewer | None

    @property
    def allowed(self) -> bool:
        """Whether the viewer may."""
        return self.verdict is Verdict.ALLOW


def decide(app: AppConfig, viewer: Viewer | None) -> Decision:
    """Apply the app's access rule to a viewer."""
    if app.access == "public" or viewer is not None:
        return Decision(Verdict.ALLOW, viewer)
    return Decision(Verdict.SIGN_IN, None)


class Gatekeeper:
    """Decides for requests that don't go through Django's middleware, remembering viewers for seconds.

    Args:
        read_viewer: finds the viewer of a session key.
        remember_s: how long an answer counts, in seconds.
        remember_most: how many answers are kept.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        read_viewer: Callable[[str], Awaitable[Viewer | None]] = identity.read_viewer_async,
        *,
        remember_s: float = 2.0,
        remember_most: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_viewer = read_viewer
        self._remember_s = remember_s
        self._remember_most = remember_most
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Viewer | None]] = OrderedDict()

    async def decide(self, app: AppConfig, headers: Headers) -> Decision:
        """The decision for a request with these headers."""
        return decide(app, await self.viewer(headers))

    async def viewer(self, headers: Headers) -> Viewer | None:
        """The viewer whose session cookie is among these headers, or None."""
        key = identity.session_key(headers)
        if not key:
            return None
        now = self._clock()
        expires, viewer = self._known.get(key, (0.0, None))
        if now < expires:
            return viewer
        viewer = await self._read_viewer(key)
        self._known[key] = (now + self._remember_s, viewer)
        self._known.move_to_end(key)
        while len(self._known) > self._remember_most:
            self._known.popitem(last=False)
        return viewer

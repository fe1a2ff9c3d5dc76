"""Whether the viewer of a socket may still be there, for as long as it is open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fluxlit_django.conf import AppConfig
from fluxlit_django.gateway import closing, identity
from fluxlit_django.gateway.access import Decision, Undecided, Verdict
from fluxlit_django.gateway.headers import Headers
from fluxlit_django.gateway.identity import Viewer
from fluxlit_django.gateway.observation import Observation, Refusal
from fluxlit_django.gateway.runtime import Runtime
from fluxlit_django.trust import revocation

logger = logging.getLogger(__name__)

_REFUSALS = {Verdict.SIGN_IN: Refusal.SIGN_IN, Verdict.FORBID: Refusal.FORBIDDEN}
_EXPIRY_MARGIN_S = 0.5


class AccessWatch:
    """Decides about one socket at its handshake, and again on every message and now and then.

    Args:
        runtime: what the worker's requests share.
        app: the app that the socket is of.
        request_headers: of the handshake.
        socket_id: the name of the socket's own group.
        seen: takes note of a refusal.
        leave: closes the socket with a code and a reason.
    """

    def __init__(
        self,
        runtime: Runtime,
        app: AppConfig,
        request_headers: Headers,
        socket_id: str,
        seen: Observation,
        leave: Callable[[int, str], Coroutine[Any, Any, None]],
    ) -> None:
        self._runtime = runtime
        self._app = app
        self._headers = request_headers
        self._socket_id = socket_id
        self._seen = seen
        self._leave = leave
        self._decision = Decision(Verdict.SIGN_IN, None)
        self._groups: list[str] = []
        self._missed: list[str] | None = []
        """What was heard before the handshake's end; None after it."""
        self._timer: asyncio.TimerHandle | None = None
        self._check: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None

    async def decide(self) -> Decision:
        """The decision of the handshake."""
        self._decision = await self._runtime.gatekeeper.decide(self._app, self._headers)
        if self._decision.viewer is not None:
            # What is remembered may be what a message has just ended. Whoever asks after having joined misses
            # no later one.
            await self._join_groups(self._decision.viewer)
            self._decision = await self._decide_afresh()
        if self._decision.viewer is not None:
            self._seen.viewer = self._decision.viewer.id
        if not self._decision.allowed:
            self._seen.refuse(_REFUSALS[self._decision.verdict])
        return self._decision

    def begin(self) -> None:
        """Start watching: the socket is open."""
        self._schedule()
        missed, self._missed = self._missed, None
        for message_type in missed or ():
            self.hear(message_type)

    def end(self) -> None:
        """Stop watching: the socket is closed."""
        self._runtime.switchboard.leave(self._groups, self)
        if self._timer is not None:
            self._timer.cancel()
        for task in (self._check, self._leaving):
            if task is not None:
                task.cancel()

    def hear(self, message_type: str) -> None:
        """Act on what this socket's viewer, or everybody, is told; before the handshake's end, after it."""
        if self._missed is not None:
            self._missed.append(message_type)
        elif message_type == revocation.SIGNED_OUT:
            self._start_leaving(*closing.DENIED[Verdict.SIGN_IN])
        elif message_type == revocation.END:
            self._start_leaving(*closing.ENDED)
        else:
            if self._check is not None:
                self._check.cancel()  # the answer may be older than this message
            self._check = asyncio.create_task(self._check_again())

    def _start_leaving(self, code: int, reason: str) -> None:
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(code, reason))

    async def _check_again(self) -> None:
        """Ask again whether the viewer may, and leave when not, or when the viewer is changed.

        A changed viewer's browser reconnects by itself, to a handshake with the new identity.
        """
        # First, so that it is asked again when asking fails.
        self._schedule()
        try:
            decision = await self._decide_afresh()
        except Undecided as exc:
            logger.warning("%s. app=%s request_id=%s", exc, self._app.name, self._seen.request_id)
            return
        except Exception:  # that of a rule of the project's own; nobody waits for this task
            logger.exception(
                "asking again failed app=%s request_id=%s", self._app.name, self._seen.request_id
            )
            return
        if not decision.allowed:
            self._seen.refuse(_REFUSALS[decision.verdict])
            self._start_leaving(*closing.DENIED[decision.verdict])
        elif decision.viewer != self._decision.viewer:
            self._start_leaving(closing.SERVICE_RESTART, "your account has changed")
        else:
            self._decision = decision
            self._schedule()

    def _schedule(self) -> None:
        """Ask again when the session expires, and now and then for what no message tells of."""
        if self._timer is not None:
            self._timer.cancel()
        if self._app.access == "public" and self._decision.viewer is None:
            return
        delay = self._runtime.config.access_recheck_s
        if self._decision.session_ends_in_s is not None:
            delay = min(delay, self._decision.session_ends_in_s + _EXPIRY_MARGIN_S)
        self._timer = asyncio.get_running_loop().call_later(delay, self.hear, revocation.RECHECK)

    async def _decide_afresh(self) -> Decision:
        return await self._runtime.gatekeeper.decide(self._app, self._headers, afresh=True)

    async def _join_groups(self, viewer: Viewer) -> None:
        key = identity.session_key(self._headers)
        self._groups = [
            revocation.EVERYBODY,
            revocation.user_group(viewer.id),
            revocation.session_group(key),
            revocation.socket_group(self._socket_id),
        ]
        await self._runtime.switchboard.join(self._groups, self)

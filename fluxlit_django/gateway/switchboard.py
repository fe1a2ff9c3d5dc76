"""What this worker is told of viewers through the channel layer, handed to the sockets it concerns."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from channels.layers import get_channel_layer

from fluxlit_django.trust import revocation

logger = logging.getLogger(__name__)

RENEW_S = 3600.0
"""Seconds until the worker joins again: a layer forgets a channel after `group_expiry`, by default a day."""

_MEANWHILE = "Until it does, sockets learn of a lost access every FLUXLIT_ACCESS_RECHECK_S, when they ask."


class Listener(Protocol):
    """Whom something is told."""

    def hear(self, message_type: str) -> None:
        """Take note of a message; returns at once."""


class Switchboard:
    """One channel for all sockets of a worker.

    With one for each of them, a handshake would pay for round trips to the layer, a socket for a task that
    waits, and a lost layer would be asked again by all of them.

    Args:
        get_layer: gives the channel layer; None when the project has none.
        retry_s: seconds until a layer that failed is asked again.
    """

    def __init__(self, get_layer: Callable[[], Any] = get_channel_layer, *, retry_s: float = 2.0) -> None:
        self._get_layer = get_layer
        self._retry_s = retry_s
        self._groups: dict[str, set[Listener]] = {}
        self._task: asyncio.Task[None] | None = None
        self._has_tried = asyncio.Event()

    async def join(self, groups: Iterable[str], listener: Listener) -> None:
        """Tell a listener what the groups are told; from when this returns it misses nothing.

        With a layer that does not answer it returns as well: sockets ask again by themselves now and then.
        """
        for group in groups:
            self._groups.setdefault(group, set()).add(listener)
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        await self._has_tried.wait()

    def leave(self, groups: Iterable[str], listener: Listener) -> None:
        """Tell the listener nothing more."""
        for group in groups:
            listeners = self._groups.get(group)
            if listeners is None:
                continue
            listeners.discard(listener)
            if not listeners:
                del self._groups[group]

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        """Listen for ever, with pauses while the layer does not answer."""
        layer = self._get_layer()
        if layer is None:
            self._has_tried.set()
            return
        is_lost = False
        while True:
            try:
                channel = await layer.new_channel()
                await layer.group_add(revocation.GATEWAYS, channel)
                if is_lost:
                    is_lost = False
                    logger.warning("The channel layer answers again.")
                    self._hand_on(revocation.EVERYBODY, revocation.RECHECK)  # for what was missed meanwhile
                self._has_tried.set()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._receive(layer, channel), RENEW_S)
            except Exception as exc:  # each layer has errors of its own
                if not is_lost:
                    is_lost = True
                    logger.warning("The channel layer does not answer: %s. %s", exc, _MEANWHILE)
                self._has_tried.set()
                await asyncio.sleep(self._retry_s)

    async def _receive(self, layer: Any, channel: str) -> None:
        while True:
            message = await layer.receive(channel)
            self._hand_on(message["group"], message["type"])

    def _hand_on(self, group: str, message_type: str) -> None:
        for listener in tuple(self._groups.get(group, ())):
            listener.hear(message_type)

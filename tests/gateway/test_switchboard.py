"""One channel for all sockets of a worker, and what happens when the layer goes away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from channels.layers import InMemoryChannelLayer

from fluxlit_django.gateway.switchboard import Switchboard
from fluxlit_django.trust.revocation import EVERYBODY, GATEWAYS, RECHECK, SIGNED_OUT


class Ear:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[str] = asyncio.Queue()

    def hear(self, message_type: str) -> None:
        """Keep it."""
        self.heard.put_nowait(message_type)

    async def next(self) -> str:
        """What it is told next."""
        return await asyncio.wait_for(self.heard.get(), 10)


class Breakable(InMemoryChannelLayer):
    """A layer that a test can break and mend."""

    is_broken = False

    async def group_add(self, group: str, channel: str) -> None:
        """Join, unless broken."""
        if self.is_broken:
            raise ConnectionRefusedError(111, "broken")
        await super().group_add(group, channel)

    async def receive(self, channel: str) -> dict:
        """Wait for a message; one of type "break" breaks the layer."""
        message = await super().receive(channel)
        if message["type"] == "break":
            self.is_broken = True
            raise ConnectionResetError(104, "broken")
        return message


@pytest.fixture
def layer() -> Breakable:
    """A channel layer."""
    return Breakable()


@pytest.fixture
async def switchboard(layer: Breakable) -> AsyncIterator[Switchboard]:
    """A worker's switchboard."""
    switchboard = Switchboard(lambda: layer, retry_s=0.01)
    yield switchboard
    await switchboard.close()


async def send(layer: Breakable, group: str, message_type: str) -> None:
    """Tell a group of sockets something, as `revocation` does."""
    await layer.group_send(GATEWAYS, {"type": message_type, "group": group})


async def test_hear__whom_it_concerns(layer, switchboard):
    """A message reaches the sockets of its group, and no others."""
    ada, bob = Ear(), Ear()
    await switchboard.join([EVERYBODY, "user.ada"], ada)
    await switchboard.join([EVERYBODY, "user.bob"], bob)

    await send(layer, "user.ada", SIGNED_OUT)
    await send(layer, "user.nobody", SIGNED_OUT)
    await send(layer, EVERYBODY, RECHECK)

    assert [SIGNED_OUT, RECHECK] == [await ada.next(), await ada.next()]
    assert RECHECK == await bob.next()


async def test_leave__hears_nothing_more(layer, switchboard):
    """Who has left hears nothing, and leaving twice is no fault."""
    gone, there = Ear(), Ear()
    for ear in (gone, there):
        await switchboard.join(["group"], ear)

    switchboard.leave(["group", "unknown"], gone)
    switchboard.leave(["group"], gone)
    await send(layer, "group", RECHECK)

    assert RECHECK == await there.next()
    assert gone.heard.empty()


async def test_layer__lost_and_back(layer, switchboard, caplog):
    """While the layer is away sockets open all the same; when it is back, all of them ask again."""
    before, meanwhile = Ear(), Ear()
    await switchboard.join([EVERYBODY], before)
    with caplog.at_level(logging.WARNING):
        await send(layer, "anybody", "break")
        await switchboard.join([EVERYBODY], meanwhile)
        layer.is_broken = False
        heard = [await before.next(), await meanwhile.next()]
    await send(layer, EVERYBODY, SIGNED_OUT)

    assert [RECHECK, RECHECK] == heard
    assert SIGNED_OUT == await meanwhile.next()
    assert 1 == caplog.text.count("does not answer")
    assert 1 == caplog.text.count("answers again")


async def test_layer__not_there_at_first(layer, switchboard, caplog):
    """A layer that is not there yet keeps no socket from opening, and is joined once it is."""
    layer.is_broken = True
    ear = Ear()

    await asyncio.wait_for(switchboard.join([EVERYBODY], ear), 10)
    layer.is_broken = False

    assert RECHECK == await ear.next()


async def test_layer__none():
    """A project without a channel layer opens sockets all the same."""
    switchboard = Switchboard(lambda: None)

    await asyncio.wait_for(switchboard.join([EVERYBODY], Ear()), 10)

    await switchboard.close()

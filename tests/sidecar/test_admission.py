"""The number of sessions that a sidecar takes, and what it says of itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import aiohttp
import pytest

from fluxlit_django.control import BUSY_HEADER, SidecarLoad, decode_load
from tests.sidecar import process
from tests.sidecar.process import Sidecar
from tests.streamlit_protocol import StreamlitClient


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar that takes two sessions."""
    script = tmp_path_factory.mktemp("small") / "script.py"
    script.write_text("import streamlit as st\nst.text('in')\n")
    with process.running(
        env={"FLUXLIT_SCRIPT": str(script), "FLUXLIT_STREAMLIT_MAX_SESSIONS": "2"}
    ) as sidecar:
        yield sidecar


async def test_sessions__beyond_the_number(small: Sidecar) -> None:
    """The third is refused with the header that tells why; when one leaves, there is room again."""
    async with StreamlitClient(small.address) as first:
        async with StreamlitClient(small.address) as second:
            await second.rerun()
            third = StreamlitClient(small.address)
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await third.connect()
            goes_on = await first.rerun()
        await third.connect()
        gets_in = await third.rerun()
        await third.close()

    assert refused.value.status == 503
    assert refused.value.headers is not None
    assert BUSY_HEADER in refused.value.headers
    assert ["in"] == goes_on.texts() == gets_in.texts()


async def test_sessions__one_that_comes_back(small: Sidecar) -> None:
    """A session whose browser lost its connection comes back although all places are taken meanwhile."""
    async with StreamlitClient(small.address) as lost:
        await lost.rerun()
    again = StreamlitClient(small.address, session_id=lost.session_id)
    async with StreamlitClient(small.address), StreamlitClient(small.address), again:
        await again.rerun()

        assert lost.session_id == again.session_id


async def test_load__told_again_and_again(script_sidecar: Sidecar) -> None:
    """Sessions, those that may come back, and memory are told every few seconds."""
    async with StreamlitClient(script_sidecar.address) as client:
        await client.rerun(query="way=success")
        during = next_load(script_sidecar, lambda load: load.sessions >= 1 and load.running == 0)
    after = next_load(script_sidecar, lambda load: load.sessions < during.sessions)

    assert 30_000_000 < during.rss_bytes < 1_000_000_000
    assert after.parked >= 1


def next_load(sidecar: Sidecar, is_wanted: Callable[[SidecarLoad], bool]) -> SidecarLoad:
    """The next such load; what was told while nobody listened comes first, and is passed over."""
    until = time.monotonic() + 15
    while time.monotonic() < until:
        load = decode_load(sidecar.next_message())
        if is_wanted(load):
            return load
    raise AssertionError("No such load was told.")

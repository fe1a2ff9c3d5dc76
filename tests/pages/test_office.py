"""Pages that need Django, in a real sidecar behind what the gateway would send."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from tests.pages.conftest import ANN, BOB
from tests.sidecar.process import Sidecar
from tests.streamlit_protocol import Run, StreamlitClient


async def visit(sidecar: Sidecar, page: str = "", headers: Mapping[str, str] | None = None) -> Run:
    async with StreamlitClient(sidecar.address, headers=headers) as client:
        return await client.rerun(page=page)


async def test_viewer__as_the_gateway_says(sidecar: Sidecar) -> None:
    """The verified id is the user; forward-auth names carry the viewer, not what a client sent."""
    ann = await visit(sidecar, headers={**ANN, "X-Remote-User": "root", "traceparent": "00-1"})
    nobody = await visit(sidecar, headers={"X-Remote-User": "root"})

    assert ["ann ann 00-1 False"] == ann.texts()
    assert ["AnonymousUser None none False"] == nobody.texts()


async def test_rule__refused_in_the_sidecar(sidecar: Sidecar) -> None:
    """Whatever a browser asks for, a page is not run for who may not, and is not in the navigation."""
    by_address = await visit(sidecar, "staff", BOB)
    allowed = await visit(sidecar, "staff", ANN)
    page_hash = allowed.navigation.page_script_hash
    async with StreamlitClient(sidecar.address, headers=BOB) as client:
        await client.rerun()
        by_hash = await client.rerun(page_hash=page_hash)

    assert ["secret of the staff"] == allowed.texts()
    for run in (by_address, by_hash):
        assert ["You may not open “Staff”."] == run.texts()
        assert "Staff" not in [page.page_name for page in run.navigation.app_pages if not page.is_hidden]


async def start_slow_page(client: StreamlitClient) -> None:
    """Have a page write and go on until it is interrupted."""
    await client.send_rerun(page="slow")
    while (await client.receive()).delta.new_element.text.body != "wrote":
        """Messages before the page has written."""


async def wait_until_nothing_is_left(sidecar: Sidecar) -> None:
    """Streamlit runs the next script at once, while the interrupted one ends at its next `st` call."""
    texts: list[str] = []
    for _ in range(100):
        texts = (await visit(sidecar, "state")).texts()
        if texts == ["0 groups, 0 open"]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(texts)


async def test_interrupted__leaves_nothing(sidecar: Sidecar) -> None:
    """A click that interrupts a page rolls its transaction back and closes what it opened."""
    async with StreamlitClient(sidecar.address, headers=ANN) as client:
        await start_slow_page(client)
        await client.send_rerun(page="state")

        await wait_until_nothing_is_left(sidecar)


async def test_disconnected__leaves_nothing(sidecar: Sidecar) -> None:
    """A browser that clicks and goes away leaves as little."""
    async with StreamlitClient(sidecar.address, headers=ANN) as client:
        await start_slow_page(client)
        await client.send_rerun(page="state")

    await wait_until_nothing_is_left(sidecar)

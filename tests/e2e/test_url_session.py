"""URL sessions behind the real command, with two sidecars: what a link brings back, and where."""

from __future__ import annotations

import os
import re
import signal
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Page, expect

from tests.e2e.conftest import PARAMETER
from tests.site import Site
from tests.streamlit_protocol import StreamlitClient


async def enter(page: Page, wizard: Site, step: str) -> str:
    """Fill in a step, and return the id that the URL then has."""
    await page.goto(wizard.url)
    await page.get_by_label("Step").fill(step)
    await page.get_by_label("Step").press("Enter")
    await expect(page.get_by_text(f"step {step} of")).to_be_visible()
    return sid_of(page)


def sid_of(page: Page) -> str:
    """The id in the tab's URL."""
    return parse_qs(urlsplit(page.url).query)[PARAMETER][0]


async def test_refresh_new_tab_and_menu(page, context, wizard):
    """F5, a new tab on the same link, the menu, a deep link and `switch_page` keep the state and the id."""
    sid = await enter(page, wizard, "seven")

    await page.reload()
    await expect(page.get_by_text("step seven of")).to_be_visible()
    await page.get_by_test_id("stSidebarNav").get_by_role("link", name="Second").click()
    await expect(page.get_by_text("step seven of")).to_be_visible()
    await page.wait_for_url(re.compile(f"/second.*{PARAMETER}="))
    assert sid == sid_of(page)
    await page.reload()
    await expect(page.get_by_text("step seven of")).to_be_visible()

    other = await context.new_page()
    await other.goto(page.url)
    await expect(other.get_by_text("step seven of")).to_be_visible()
    await other.goto(f"{wizard.url}/?page=second&{PARAMETER}={sid}")
    await expect(other.get_by_text("step seven of")).to_be_visible()
    assert sid == sid_of(other)

    await page.get_by_role("button", name="Back").click()
    await expect(page.get_by_label("Step")).to_have_value("seven")
    assert sid == sid_of(page)


async def show(wizard: Site, sid: str) -> tuple[str, int]:
    """The step that a new browser is shown under an id, and the process of the sidecar that it was given."""
    client = StreamlitClient(wizard.url, headers={"Origin": wizard.url})
    try:
        (await client.http.get("/")).close()  # the document brings the cookie by which a sidecar is chosen
        await client.connect()
        [text] = (await client.rerun(page="second", query=f"{PARAMETER}={sid}")).texts()
    finally:
        await client.close()
    step, _, pid = text.removeprefix("step ").partition(" of ")
    return step, int(pid)


async def test_second_sidecar_and_restart(page, wizard):
    """Both sidecars know the state, and so do those that take their place after a kill."""
    sid = await enter(page, wizard, "nine")

    seen: set[int] = set()
    for _ in range(60):  # each new browser is given one of the two by chance
        step, pid = await show(wizard, sid)
        assert "nine" == step
        seen.add(pid)
        if len(seen) == 2:
            break
    assert 2 == len(seen)

    for pid in seen:
        os.kill(pid, signal.SIGKILL)
    wizard.wait_until_ready_again()
    step, pid = await show(wizard, sid)
    assert "nine" == step
    assert pid not in seen


async def test_made_up_id(page, wizard):
    """A link with an id that nobody made here brings nothing, and the page makes one of its own."""
    made_up = "a" * 32 + "." + "b" * 43

    await page.goto(f"{wizard.url}/?{PARAMETER}={made_up}")
    await expect(page.get_by_text("step  of")).to_be_visible()
    await page.wait_for_function("id => !location.search.includes(id)", arg=made_up)

    assert made_up != sid_of(page)

"""What a person sees when a process dies."""

from __future__ import annotations

import os
import signal

from playwright.async_api import Page, expect

# Streamlit 1.67's frontend shows its connection and the script's state in attributes of its root element.
APP = "[data-testid=stApp]"
LOST = f"{APP}:not([data-test-connection-state=CONNECTED])"
SETTLED = f"{APP}[data-test-connection-state=CONNECTED][data-test-script-state=notRunning]"


async def kill_and_settle(page: Page, pid: int) -> None:
    """Kill a process on which the page depends, and wait until the page is connected again."""
    os.kill(pid, signal.SIGKILL)
    await page.locator(LOST).wait_for()
    await page.locator(SETTLED).wait_for()


async def test_sidecar_killed__page_recovers_by_itself(admin, demo):
    """The page of a killed sidecar comes back and works, without a reload; the gateway is the same one."""
    await admin.goto(f"{demo.url}/explore/")
    await admin.get_by_text("Run 1 of this session").wait_for()
    slider = admin.get_by_role("slider", name="Overtones")
    await slider.press("ArrowRight")
    await admin.get_by_text("Run 2 of this session").wait_for()
    await admin.evaluate("window.sameDocument = true")
    gateway = demo.child("fluxlit_django.gateway")

    await kill_and_settle(admin, demo.child("fluxlit_django.sidecar", "explore"))
    await slider.press("ArrowRight")

    # The session's own state went with the process; the widgets' values are the browser's and stay.
    await expect(admin.get_by_text("Run 1 of this session")).to_be_visible()
    await expect(slider).to_have_value("8")
    assert await admin.evaluate("window.sameDocument") is True
    assert demo.child("fluxlit_django.gateway") == gateway


async def test_gateway_killed__page_keeps_its_state(admin, demo):
    """The page reconnects through a new gateway worker to the session it had."""
    await admin.goto(f"{demo.url}/explore/")
    await admin.get_by_text("Run 1 of this session").wait_for()
    slider = admin.get_by_role("slider", name="Overtones")
    await slider.press("ArrowRight")
    await admin.get_by_text("Run 2 of this session").wait_for()

    await kill_and_settle(admin, demo.child("fluxlit_django.gateway"))
    await slider.press("ArrowRight")

    await expect(admin.get_by_text("Run 3 of this session")).to_be_visible()

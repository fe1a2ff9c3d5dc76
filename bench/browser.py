"""A page as a person gets it: real Chromium, an empty cache, every request and byte counted."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, BrowserContext, async_playwright

from bench.commands import BenchError

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
_FLAGS_OFFLINE = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
_RENDERED = "text=The value is"
"""What the script writes last but one: when it shows, the page is there."""
_TIMEOUT_MS = 90_000


@dataclass(frozen=True)
class Link:
    """A connection to the browser that is slower than the loopback."""

    megabits: float
    delay_ms: float


SLOW_LINK = Link(megabits=10, delay_ms=40)


@dataclass
class Visit:
    """One load of the page, until it is rendered."""

    render_s: float = 0.0
    requests: int = 0
    """Those that left the browser; what its cache answered does not count."""
    bytes: int = 0
    """As they came over the connection, headers included."""
    _cached: set[str] = field(default_factory=set)

    def watch(self, events: Any) -> None:
        """Count what a DevTools session tells."""
        events.on("Network.requestServedFromCache", lambda event: self._cached.add(event["requestId"]))
        events.on("Network.responseReceived", self._take_response)
        events.on("Network.dataReceived", self._take_data)

    def _take_response(self, event: Any) -> None:
        response = event["response"]
        if event["requestId"] in self._cached or response.get("fromDiskCache"):
            return
        if not response["url"].startswith("http"):
            return
        self.requests += 1
        self.bytes += int(response.get("encodedDataLength", 0))  # the headers so far

    def _take_data(self, event: Any) -> None:
        self.bytes += int(event["encodedDataLength"])


def find_chromium() -> str | None:
    """Path of the browser."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


@contextlib.asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """One headless browser.

    Raises:
        BenchError: there is none on this machine.
    """
    program = find_chromium()
    if program is None:
        msg = "There is no Chromium. Install it (Debian: apt install chromium), or leave `page` out."
        raise BenchError(msg)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=[*_FLAGS, *_FLAGS_OFFLINE],
            # The harness itself ends the browser on a signal.
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )
        try:
            yield browser
        finally:
            await browser.close()


async def first_and_second_visit(browser: Browser, url: str, link: Link | None = None) -> tuple[Visit, Visit]:
    """Load the page with an empty cache, then once more in another tab."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        return await _visit(context, url, link), await _visit(context, url, link)
    finally:
        await context.close()


async def first_visit(browser: Browser, url: str, link: Link | None = None) -> Visit:
    """Load the page with an empty cache."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        return await _visit(context, url, link)
    finally:
        await context.close()


async def _visit(context: BrowserContext, url: str, link: Link | None) -> Visit:
    page = await context.new_page()
    events = await context.new_cdp_session(page)
    await events.send("Network.enable")
    if link is not None:
        throughput = link.megabits * 1e6 / 8
        await events.send(
            "Network.emulateNetworkConditions",
            {
                "offline": False,
                "latency": link.delay_ms,
                "downloadThroughput": throughput,
                "uploadThroughput": throughput,
            },
        )
    visit = Visit()
    visit.watch(events)
    started = time.perf_counter()
    await page.goto(url, wait_until="commit", timeout=_TIMEOUT_MS)
    await page.wait_for_selector(_RENDERED, timeout=_TIMEOUT_MS)
    visit.render_s = time.perf_counter() - started
    # What the page goes on to load by itself belongs to the load, too.
    await page.wait_for_load_state("networkidle", timeout=_TIMEOUT_MS)
    await page.close()
    return visit

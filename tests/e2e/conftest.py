"""A real browser for the tests of this directory: Debian's Chromium (or Chrome), driven by Playwright.

Tests are coroutines and share one event loop, so that they can share one browser; each takes its own
`context`, which has cookies, storage and downloads of its own. A failed test leaves a screenshot of
every open page in `test-results/`.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect
from playwright.async_api import Error as PlaywrightError

from tests.site import PASSWORD, Site, manage, prepare_demo, running_site, site_environment

PARAMETER = "wiz"
"""The query parameter of URL sessions in the wizard."""

HERE = Path(__file__).parent
SCREENSHOTS = HERE.parent.parent / "test-results"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS_BROWSERS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # Nothing but the pages under test is looked up or fetched.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PATIENCE_MS = 30_000
"""How long an expectation may take to come true: of a site, a browser and more on two busy cores."""

NewContext = Callable[..., Awaitable[BrowserContext]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory and put them on one event loop."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Let fixtures know how their test ended."""
    report = yield
    setattr(item, f"report_{report.when}", report)
    return report


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser."""
    found = (shutil.which(name) for name in (*BROWSERS, *MACOS_BROWSERS))
    path = next(filter(None, found), None)
    if path is None:
        pytest.skip("there is no Chromium or Chrome on this machine (Debian: apt install chromium)")
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """One headless browser for the whole run, with a profile that is empty and thrown away."""
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def new_context(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[NewContext]:
    """Opens contexts: as many viewers, who share nothing. Takes Playwright's `new_context` options."""
    contexts: list[BrowserContext] = []

    async def open_context(**options) -> BrowserContext:
        context = await browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        return context

    yield open_context

    report = getattr(request.node, "report_call", None)
    pages = [page for context in contexts for page in context.pages]
    if report is not None and report.failed:
        SCREENSHOTS.mkdir(exist_ok=True)
        for number, page in enumerate(pages):
            # A page that crashed or closed has no picture.
            with contextlib.suppress(PlaywrightError):
                await page.screenshot(path=SCREENSHOTS / f"{request.node.name}-{number}.png")
    for context in contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(new_context: NewContext) -> BrowserContext:
    """One fresh viewer."""
    return await new_context()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> Page:
    """One tab of one fresh viewer."""
    return await context.new_page()


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo has its database, `db.sqlite3`."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="session")
def demo(demo_folder: Path) -> Iterator[Site]:
    """The demo, served by the real command."""
    environment = site_environment(demo_folder)
    prepare_demo(environment)
    with running_site(environment) as site:
        yield site


@pytest.fixture(scope="session")
def wizard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The app of `tests.e2e.wizard`, open to everybody, on two sidecars."""
    environment = site_environment(
        tmp_path_factory.mktemp("wizard"),
        DJANGO_SETTINGS_MODULE="tests.e2e.settings",
        FLUXLIT_APP="tests.e2e.wizard:app",
        FLUXLIT_ACCESS="public",
        FLUXLIT_STREAMLIT_WORKERS="2",
        FLUXLIT_URL_SESSION_QUERY_PARAM=PARAMETER,
    )
    manage(environment, "migrate", "-v0")
    manage(environment, "demo_admin")
    with running_site(environment) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def admin(page: Page, demo: Site) -> Page:
    """A tab in which the administrator is signed in, on the overview."""
    await sign_in(page, f"{demo.url}/")
    await page.get_by_text("Average order").wait_for()
    return page


async def sign_in(page: Page, url: str, password: str = PASSWORD) -> None:
    """Go to a URL, and through the login page that is in front of it."""
    await page.goto(url)
    await page.get_by_label("User name").fill("admin")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()

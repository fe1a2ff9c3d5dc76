"""The app in a frame of another origin, as a portal shows it: sockets and uploads work, where allowed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.async_api import expect

from tests.site import ROOT, Site, manage, running_site, site_environment

SCRIPT = ROOT / "tests" / "trust" / "scripts" / "context.py"


class Portal(BaseHTTPRequestHandler):
    """Answers with a page whose frame shows the URL that its path names."""

    def do_GET(self) -> None:
        """Answer."""
        body = f'<h1>Portal</h1><iframe src="{unquote(self.path[1:])}" width="900" height="700">'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def portal() -> Iterator[str]:
    """The URL of a site of another origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def framed(portal: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with two sidecars that the portal may show."""
    environment = site_environment(
        tmp_path_factory.mktemp("framed"),
        DJANGO_SETTINGS_MODULE="tests.e2e.frame_settings",
        FLUXLIT_SCRIPT=str(SCRIPT),
        FLUXLIT_ACCESS="public",
        FLUXLIT_STREAMLIT_WORKERS="2",
        FLUXLIT_FRAME_ANCESTORS=portal,
    )
    manage(environment, "migrate", "-v0")
    with running_site(environment) as site:
        yield site


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_upload__in_a_frame(page, portal, framed, tmp_path: Path, host: str):
    """A file is uploaded from within the frame, also of another site, which "localhost" is to 127.0.0.1."""
    upload = tmp_path / "data.bin"
    upload.write_bytes(b"x" * 5000)

    await page.goto(f"{portal}/{framed.url.replace('127.0.0.1', host)}/")
    frame = page.frame_locator("iframe")
    await frame.locator("input[type=file]").set_input_files(upload)

    await expect(frame.get_by_text("5000 bytes")).to_be_visible()


async def test_frame__of_somebody_else(page, portal, framed):
    """A site that is not named shows an empty frame."""
    async with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        await page.goto(f"{portal.replace('127.0.0.1', 'localhost')}/{framed.url}/")

    assert not await page.frame_locator("iframe").locator("input[type=file]").count()

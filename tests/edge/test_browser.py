"""A real browser behind each edge: below a prefix, over TLS."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import PASSWORD, browser, chromium, new_context
from tests.edge import edges
from tests.edge.conftest import CAP

__all__ = ["browser", "chromium", "new_context"]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize(
        "edge",
        [pytest.param((kind, "strip-prefix"), id=kind) for kind in edges.KINDS],
        indirect=True,
    ),
]


async def test_visit__from_login_to_upload(edge, new_context, tmp_path):
    """A person signs in, sees the page, uploads a file, is told of one too large, and signs out."""
    context = await new_context(ignore_https_errors=True)
    page = await context.new_page()
    failed = []
    page.on("response", lambda response: response.status >= 500 and failed.append(response.url))
    (tmp_path / "small.txt").write_bytes(b"x" * 1000)
    (tmp_path / "large.bin").write_bytes(b"x" * (CAP + 100))

    await page.goto(f"{edge.url}/figures?a=1")
    await page.get_by_label("User name").fill("admin")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{edge.url}/figures?a=1")
    # The code block's own text.
    seen = json.loads(await page.get_by_test_id("stCode").inner_text())
    uploader = page.locator("input[type=file]")
    await uploader.set_input_files(tmp_path / "small.txt")
    await expect(page.get_by_text("1000 bytes")).to_be_visible()
    await page.reload()
    await page.get_by_text("no file").wait_for()
    await uploader.set_input_files(tmp_path / "large.bin")
    await expect(
        page.get_by_test_id("stFileUploader").get_by_text("must be 1.0MB or smaller")
    ).to_be_visible()
    await page.goto(f"{edge.url}/accounts/logout/")
    await page.get_by_role("button", name="Sign out").click()
    await page.goto(f"{edge.url}/figures")
    await expect(page.get_by_label("User name")).to_be_visible()

    assert seen["user"]["username"] == "admin"
    assert failed == []

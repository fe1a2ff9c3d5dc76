"""Files through the gateway: up, down, and played."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from playwright.async_api import expect


@contextlib.contextmanager
def writers_waiting(database: Path) -> Iterator[None]:
    """Let nobody else write into an SQLite database during the block; who wants to waits."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def test_upload__into_orders(admin, demo, demo_folder, tmp_path):
    """A CSV file that was downloaded, edited and uploaded becomes orders, with a progress bar on the way."""
    await admin.goto(f"{demo.url}/import")
    async with admin.expect_download() as download:
        await admin.get_by_role("button", name="Sample file").click()
    sample = Path(await (await download.value).path()).read_text()
    upload = tmp_path / "orders.csv"
    upload.write_text(sample)

    await admin.locator("input[type=file]").set_input_files(upload)
    button = admin.get_by_role("button", name="Import ")
    await button.wait_for()

    with writers_waiting(demo_folder / "db.sqlite3"):
        await button.click()
        await expect(admin.get_by_role("progressbar")).to_be_visible()
        await expect(admin.get_by_text("Importing …")).to_be_visible()

    await expect(admin.get_by_text("Imported ").first).to_be_visible()


async def test_upload__with_errors(admin, demo, tmp_path):
    """A file with mistakes is refused line by line, and nothing comes in."""
    upload = tmp_path / "orders.csv"
    upload.write_text("reference,placed_at,email,sku,quantity\nX-1,not a date,nobody@example.com,NONE,0\n")

    await admin.goto(f"{demo.url}/import")
    await admin.locator("input[type=file]").set_input_files(upload)

    await expect(admin.get_by_text("nothing was imported")).to_be_visible()


async def test_download__whole_file(admin, demo):
    """A download button gives the whole file."""
    await admin.goto(f"{demo.url}/explore/")
    await admin.get_by_role("tab", name="Numbers").click()

    async with admin.expect_download() as download:
        await admin.get_by_role("button", name="Samples as CSV").click()

    lines = Path(await (await download.value).path()).read_text().splitlines()
    assert lines[0] == "sample,level"
    assert len(lines) == 1 + int(1.5 * 22_050)


async def test_video__plays_and_seeks_with_range_requests(admin, demo):
    """A video plays through the gateway, and the browser fetches it by ranges."""
    ranges = []

    def note(response):
        if response.url.endswith(".mp4"):
            ranges.append((response.request.headers.get("range"), response.status))

    admin.on("response", note)
    await admin.goto(f"{demo.url}/explore/")
    await admin.get_by_role("tab", name="Interference").click()
    video = admin.locator("video")
    await video.wait_for()

    await video.evaluate(
        """video => new Promise((resolve, reject) => {
            video.onerror = () => reject(video.error.message);
            video.onseeked = () => resolve(video.currentTime);
            const seek = () => { video.currentTime = video.duration / 2; };
            video.readyState >= 1 ? seek() : video.addEventListener("loadedmetadata", seek);
        })"""
    )

    assert {status for asked, status in ranges if asked} == {206}
    assert any(asked for asked, _ in ranges)

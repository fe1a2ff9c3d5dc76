"""Streamlit pages behind the gateway, as a person uses them."""

from __future__ import annotations

import re

from playwright.async_api import expect


async def test_navigation__all_pages(admin, demo):
    """Every page is reached from the menu, under its own URL."""
    for link, path, heading in (
        ("Products", "/products", "Products"),
        ("Import", "/import", "Import orders"),
        ("Overview", "/", "Overview"),
    ):
        await admin.get_by_test_id("stSidebarNav").get_by_role("link", name=link).click()
        await expect(admin.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        await expect(admin).to_have_url(f"{demo.url}{path}")


async def test_api_client__shows_what_the_api_answers(admin, demo):
    """The products page shows what `client` was answered by the project's own API."""
    await admin.goto(f"{demo.url}/products")

    await expect(admin.get_by_text(re.compile(r"GET /api/summary\?days=30"))).to_be_visible()
    await expect(admin.get_by_text("60 products")).to_be_visible()


async def test_slider__reruns_the_script(admin, demo):
    """Moving a slider reruns the script and shows the new value."""
    await admin.goto(f"{demo.url}/explore/")
    await admin.get_by_text("Run 1 of this session").wait_for()

    await admin.get_by_role("slider", name="Overtones").press("ArrowRight")

    await expect(admin.get_by_text("Run 2 of this session")).to_be_visible()


async def test_tabs__have_separate_state(admin, context, demo):
    """Two tabs of one viewer are two sessions."""
    await admin.goto(f"{demo.url}/explore/")
    await admin.get_by_text("Run 1 of this session").wait_for()
    await admin.get_by_role("slider", name="Overtones").press("ArrowRight")
    await admin.get_by_text("Run 2 of this session").wait_for()

    other = await context.new_page()
    await other.goto(f"{demo.url}/explore/")

    await expect(other.get_by_text("Run 1 of this session")).to_be_visible()
    await expect(admin.get_by_text("Run 2 of this session")).to_be_visible()


async def test_refresh__stays_on_the_page(admin, demo):
    """A refresh of a page shows that page again."""
    await admin.goto(f"{demo.url}/import")
    await admin.get_by_role("heading", name="Import orders").wait_for()

    await admin.reload()

    await expect(admin.get_by_role("heading", name="Import orders")).to_be_visible()
    await expect(admin).to_have_url(f"{demo.url}/import")


async def test_url__leads_to_a_page(admin, demo):
    """A page's URL shows that page, and the browser's history leads back and forth."""
    heading = admin.get_by_role("heading", level=1)
    await admin.goto(f"{demo.url}/products")
    await expect(heading).to_have_text("Products")
    await admin.get_by_test_id("stSidebarNav").get_by_role("link", name="Import").click()
    await expect(heading).to_have_text("Import orders")

    await admin.go_back()
    await expect(heading).to_have_text("Products")
    await expect(admin).to_have_url(f"{demo.url}/products")
    await admin.go_forward()

    await expect(heading).to_have_text("Import orders")
    await expect(admin).to_have_url(f"{demo.url}/import")


async def test_django__keeps_its_own_urls(admin, demo):
    """The admin and its stylesheets are Django's, beside Streamlit's own files below the same prefix."""
    failed = []
    admin.on("response", lambda response: response.status >= 400 and failed.append(response.url))

    await admin.goto(f"{demo.url}/admin/")

    await expect(admin.get_by_role("link", name="Orders")).to_be_visible()
    assert failed == []


async def test_first_visit__fails_no_request_of_ours(page, demo):
    """Loading a page asks this server for nothing that it does not have."""
    failed = []

    def note(response):
        if response.url.startswith(demo.url) and response.status >= 400:
            failed.append((response.status, response.url))

    page.on("response", note)
    await page.goto(f"{demo.url}/")
    await page.get_by_label("User name").fill("admin")
    await page.get_by_label("Password").fill("correct-horse-battery")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_text("Top products").wait_for()

    assert failed == []

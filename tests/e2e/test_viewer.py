"""What a page knows of its viewer: what Django told them, their language and their time zone."""

from __future__ import annotations

from playwright.async_api import expect

from tests.e2e.conftest import sign_in

IN_VIENNA = "Januar 13:00 Europe/Vienna"


async def test_messages__as_toasts(page, wizard):
    """What a view says by `django.contrib.messages` is shown by the page it leads to, once, as text."""
    await sign_in(page, f"{wizard.url}/accounts/login/?next=/save/")

    toasts = page.get_by_test_id("stToast")
    await expect(toasts).to_have_count(3)
    for text in (
        "The order is saved.",
        "The invoice is <b>not</b> sent: 2 * 3 * $4 = [6](a_b_c).",
        "Look at A & B.",
    ):
        await expect(toasts.filter(has_text=text)).to_be_visible()
    await expect(
        toasts.filter(has_text="The invoice is <b>not</b> sent: 2 * 3 * $4 = [6](a_b_c).")
    ).to_be_visible()

    await page.reload()
    await expect(page.get_by_text("admin January")).to_be_visible()
    await expect(toasts).to_have_count(0)


async def test_language_and_time_zone__of_the_browser(new_context, wizard):
    """In the page, in a fragment's rerun and in a callback; another viewer has their own."""
    austrian = await (await new_context(locale="de-AT", timezone_id="Europe/Vienna")).new_page()
    briton = await (await new_context(locale="en-GB", timezone_id="Europe/London")).new_page()
    await austrian.goto(f"{wizard.url}/viewer")
    await briton.goto(f"{wizard.url}/viewer")

    await expect(austrian.get_by_text(f"AnonymousUser {IN_VIENNA}")).to_be_visible()
    await expect(briton.get_by_text("January 12:00 Europe/London").first).to_be_visible()
    await austrian.get_by_role("button", name="Again").click()
    await expect(austrian.get_by_text(f"part {IN_VIENNA}, called {IN_VIENNA}")).to_be_visible()

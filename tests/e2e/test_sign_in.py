"""One login: Django's, in front of every Streamlit page."""

from __future__ import annotations

from playwright.async_api import expect

from tests.e2e.conftest import sign_in
from tests.site import PASSWORD


async def test_deep_link__anonymous(page, demo):
    """An anonymous viewer of a page signs in and is back on that page, its query included."""
    await sign_in(page, f"{demo.url}/products?from=mail")

    await page.wait_for_url(f"{demo.url}/products?from=mail")
    await expect(page.get_by_role("heading", name="Products")).to_be_visible()


async def test_wrong_password__says_so(page, demo):
    """A wrong password shows the form again with a message, and no page; the right one then leads there."""
    await sign_in(page, f"{demo.url}/products", password="wrong")

    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(page).to_have_url(f"{demo.url}/accounts/login/?next=/products")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()

    await expect(page.get_by_role("heading", name="Products")).to_be_visible()
    await expect(page).to_have_url(f"{demo.url}/products")


async def test_sign_out__in_another_tab(admin, context, demo):
    """Signing out in one tab brings the others to the login page, which leads back to where they were."""
    other = await context.new_page()
    await other.goto(f"{demo.url}/explore/")
    await other.get_by_text("Overtones").first.wait_for()

    await admin.get_by_role("link", name="Sign out").click()
    await admin.get_by_role("button", name="Sign out").click()

    await other.wait_for_url(f"{demo.url}/accounts/login/?next=/explore/")


async def test_st_user__is_the_signed_in_user(admin, demo):
    """A page sees the Django user as `st.user`."""
    await admin.goto(f"{demo.url}/products")
    await admin.get_by_text("Who is signed in").click()

    await expect(admin.get_by_text("admin@fernhill.example")).to_be_visible()

"""Streamlit pages inside a page of Django's."""

from __future__ import annotations

from playwright.async_api import expect

MEASURE = """() => {
    const scroller = document.querySelector('[data-testid="stMain"]');
    return scroller.scrollHeight - scroller.clientHeight;
}"""


async def test_report__two_pages_without_scroll_bars_of_their_own(admin, demo):
    """Each frame is as high as its content, has a title, and no navigation; the sign-in is the same."""
    await admin.goto(f"{demo.url}/report/")

    for number, text in enumerate(("Top products", "Newest orders")):
        frame = admin.locator("iframe").nth(number)
        await frame.scroll_into_view_if_needed()
        inside = frame.content_frame
        await expect(inside.get_by_text(text)).to_be_visible()
        await expect(inside.get_by_test_id("stSidebarNav")).to_have_count(0)
        await settle(admin.frames[number + 1])
    await expect(admin.get_by_title("Sales of the shop")).to_be_visible()


ADD_LATER = """() => {
    const frame = document.querySelector("iframe.fluxlit-embed").cloneNode();
    frame.style.height = "";
    frame.title = "Put in later";
    const script = document.createElement("script");
    script.src = document.querySelector('script[src*="fluxlit/embed"]').src;
    document.querySelector(".report").append(frame, script);
}"""


async def test_report__frame_that_is_put_in_later(admin, demo):
    """A tag that comes into the page after it was loaded, as by htmx, is as high as its content too."""
    await admin.goto(f"{demo.url}/report/")
    await admin.evaluate(ADD_LATER)

    await admin.get_by_title("Put in later").scroll_into_view_if_needed()

    inside = admin.get_by_title("Put in later").content_frame
    await expect(inside.get_by_text("Top products")).to_be_visible()
    await settle(admin.frames[-1])


async def settle(frame) -> None:
    """Wait until nothing is left to scroll."""
    await frame.wait_for_function(MEASURE.replace("return ", "return 1 >= "))


async def test_products__newest_orders_as_the_viewer(admin, demo):
    """The page's `client` asks the API for what only somebody signed in gets."""
    await admin.goto(f"{demo.url}/products")

    await expect(admin.get_by_text("GET /api/orders?page_size=5")).to_be_visible()
    await expect(admin.get_by_text("Sign in to see this.")).to_have_count(0)


async def test_deep_link__keeps_the_rest_of_the_query(admin, demo):
    """`?page=` leads to the page, and every other parameter stays."""
    await admin.goto(f"{demo.url}/?page=products&x=1&x=2")

    await expect(admin.get_by_role("heading", name="Products", exact=True)).to_be_visible()
    await expect(admin).to_have_url(f"{demo.url}/products?x=1&x=2")

"""The admin's pages about the running site."""

from __future__ import annotations

from playwright.async_api import expect


async def test_overview__refreshes(admin, context, demo):
    """The overview draws what there is, and follows without being loaded again."""
    overview = await context.new_page()
    problems = []
    overview.on("pageerror", lambda problem: problems.append(problem))
    await overview.goto(f"{demo.url}/admin/fluxlit/overview/")
    await expect(overview.get_by_role("status")).to_contain_text("refreshed every 5 s")
    sockets = overview.get_by_role("img", name="Open sockets")
    await expect(sockets).not_to_have_accessible_name("Open sockets: 0 now")
    before = await sockets.get_attribute("aria-label")

    for _ in range(2):
        tab = await context.new_page()
        await tab.goto(f"{demo.url}/")
        await tab.get_by_text("Average order").wait_for()
        await overview.bring_to_front()

    await expect(sockets).not_to_have_accessible_name(before)
    await expect(overview.get_by_role("cell", name="default-0").first).to_be_visible()
    await expect(overview.get_by_text("everything serves")).to_be_visible()
    assert [] == problems


async def test_live_session__is_disconnected(admin, context, demo):
    """A session that an administrator ends begins anew: its page is loaded again, without its state."""
    await admin.goto(f"{demo.url}/products")
    await admin.get_by_text("Who is signed in").click()
    await expect(admin.get_by_text("admin@fernhill.example")).to_be_visible()
    live = await context.new_page()
    row = live.get_by_role("row").filter(has_text="/products")

    async def listed() -> bool:
        await live.goto(f"{demo.url}/admin/fluxlit/livesession/")
        return await row.count() > 0

    for _ in range(30):
        if await listed():
            break
        await live.wait_for_timeout(1000)
    async with admin.expect_navigation():
        await row.first.get_by_role("checkbox").check()
        await live.locator("select[name=action]").select_option("disconnect")
        await live.locator(".actions button").click()  # "Go" in Django 5.2, "Run" in 6.1
        await expect(live.get_by_text("1 session will end within 5 s")).to_be_visible()

    await expect(admin.get_by_role("heading", name="Products")).to_be_visible()
    await expect(admin.get_by_text("admin@fernhill.example")).not_to_be_visible()


async def test_start__fits_a_telephone(admin, demo):
    """The settings of a start stand beside their names on a narrow screen: nothing is out of its sight."""
    await admin.set_viewport_size({"width": 420, "height": 800})
    await admin.goto(f"{demo.url}/admin/fluxlit/settingssnapshot/")
    await admin.locator("#result_list tbody th a").first.click()
    await expect(admin.get_by_role("heading", name="Settings at the start of")).to_be_visible()

    hidden = await admin.locator(".fluxlit-scroll").evaluate_all(
        "tables => tables.map(table => table.scrollWidth - table.clientWidth)"
    )

    assert {0} == set(hidden)

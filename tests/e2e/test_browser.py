"""The browser itself works."""

from __future__ import annotations


async def test_page__runs_scripts(page):
    """The browser renders a page and runs its script."""
    await page.goto("data:text/html,<title>before</title><script>document.title = 'after'</script>")

    assert await page.title() == "after"


async def test_contexts__share_nothing(new_context):
    """Two contexts are two viewers."""
    first, second = await new_context(), await new_context()
    await first.add_cookies([{"name": "who", "value": "first", "url": "http://127.0.0.1"}])

    assert await second.cookies() == []

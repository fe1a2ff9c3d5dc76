"""What a visitor gets when every sidecar has as many sessions as it may have."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from email.message import Message

import pytest

from tests.command.test_faults import SCRIPT, tab
from tests.site import Site, manage, running_site, site_environment
from tests.streamlit_protocol import Closed


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A site that is open to everybody and small: one session for each sidecar."""
    folder = tmp_path_factory.mktemp("busy")
    script = folder / "plain.py"
    script.write_text(SCRIPT)
    environment = site_environment(
        folder, FLUXLIT_SCRIPT=str(script), FLUXLIT_ACCESS="public", FLUXLIT_STREAMLIT_MAX_SESSIONS="1"
    )
    manage(environment, "migrate", "-v0")
    return environment


async def test_busy__page_and_socket(environment):
    """Two sidecars take two sessions; the third visitor is told, the two go on, and a place that is freed
    is given away."""
    with running_site(environment, "--streamlit-workers", "2") as site:
        async with tab(site) as first:
            async with tab(site) as second:
                await first.rerun()
                await second.rerun()
                with pytest.raises(Closed) as closed:
                    async with tab(site) as third:
                        await third.collect()
                status, headers, page = await asyncio.to_thread(wait_for_page, site, 503)
                goes_on = await first.rerun()
            after, _, _ = await asyncio.to_thread(wait_for_page, site, 200)
            async with tab(site) as fourth:
                gets_in = await fourth.rerun()

    assert closed.value.code == 4503
    assert (status, headers["Retry-After"], headers["Cache-Control"]) == (503, "10", "no-store")
    assert "All places are taken" in page
    assert goes_on.texts() == ["run 2"]
    assert after == 200
    assert gets_in.texts() == ["run 1"]


def wait_for_page(site: Site, wanted: int) -> tuple[int, Message, str]:
    """Load the page until it comes with this status: gateway workers are told of sessions a little later."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"{site.url}/", timeout=5) as response:
                found = response.status, response.headers, response.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                found = refused.code, refused.headers, refused.read().decode()
        if found[0] == wanted:
            return found
        asyncio.run(asyncio.sleep(0.1))
    raise AssertionError(f"no page with status {wanted}\n{site.log}")

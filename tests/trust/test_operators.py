"""Streamlit's routes for operators, opened by settings to those whom they name."""

from __future__ import annotations

import pytest
from streamlit import config as streamlit_config

from tests.trust.conftest import change


@pytest.fixture
async def people(two_workers, new_viewer, new_user):
    """Nobody in particular, a viewer of the app, and somebody of the staff."""
    operator = new_viewer(two_workers)
    await operator.sign_in()
    return {"nobody": new_viewer(two_workers), "viewer": await new_user(two_workers), "operator": operator}


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/script-health-check"])
async def test_route_for_staff(people, path):
    """A route that is opened to the staff answers them, and nobody else."""
    statuses = {}
    for name, browser in people.items():
        async with browser.get(path) as response:
            statuses[name] = response.status

    assert {"nobody": 401, "viewer": 403, "operator": 200} == statuses


async def test_agent__for_a_group(two_workers, new_user):
    """The agent interface is on for a group, and sees its caller as the viewer; others are refused."""
    member, other = await new_user(two_workers), await new_user(two_workers)
    await change(other, "leave_group")
    url = f"{member.origin}/_stcore/agent/interact"
    async with member.http.post(url, json={}) as response:
        allowed, text = response.status, await response.text()
    async with other.http.post(url, json={}) as response:
        refused = response.status

    if "server.enableAgentApi" in streamlit_config.get_config_options():
        assert (200, 403) == (allowed, refused), text
        assert member.username in text
    else:  # Streamlit 1.57 has no such interface, and says so itself to whom the gateway lets through
        assert (405, 403) == (allowed, refused), text

"""What ends a viewer's access closes that viewer's sockets, in every worker, and nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import aiohttp
import pytest

from tests.site import Site
from tests.streamlit_protocol import StreamlitClient
from tests.trust.conftest import change

LIMIT_S = 2.0
"""What revocation promises."""

SESSION_AGE_S = 3.0
MOST_SOCKETS = 40

CHANGES = {
    "sign out": ("", 4401),
    "flush_session": ("", 4401),
    "delete_session": ("", 4401),
    "change_password": ("", 4401),
    "deactivate": ("", 4401),
    "delete_user": ("", 4401),
    "leave_group": ("/editors", 4403),
    "be_removed_from_group": ("/editors", 4403),
    "lose_permission": ("/orders", 4403),
    "lose_permission_of_group": ("/orders", 4403),
    "delete_group": ("/orders", 4403),
    "lose_staff": ("", 1012),
}
"""What ends access, the app that it ends access to, and the code that says so."""

BEFORE = dict.fromkeys(("lose_permission_of_group", "delete_group"), "get_permission_by_group")
"""What an action needs to have been done before."""


@pytest.fixture(params=["one_worker", "two_workers"])
def site(request: pytest.FixtureRequest) -> Site:
    """Each of the two set-ups."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("action", CHANGES)
async def test_change__closes_the_viewers_sockets_in_every_worker(site, new_user, action):
    """Sockets in all workers close within two seconds, with the code that brings the login page or a 403."""
    mount, code = CHANGES[action]
    viewer, other = await new_user(site), await new_user(site)
    if action in BEFORE:
        await change(viewer, BEFORE[action])
    async with contextlib.AsyncExitStack() as stack:
        sockets = await open_in_every_worker(stack, site, viewer, mount)
        bystander = await stack.enter_async_context(other.streamlit(mount))

        await (viewer.sign_out() if action == "sign out" else change(viewer, action))

        assert [code] * len(sockets) == [await close_code(socket) for socket in sockets]
        assert (await bystander.rerun()).finished == "FINISHED_SUCCESSFULLY"


@pytest.mark.parametrize("action", ["sign out", "flush_session", "change_password", "deactivate"])
async def test_change__with_sessions_elsewhere(other_store, new_user, action):
    """Wherever sessions are kept, what ends one closes its sockets within two seconds."""
    viewer, other = await new_user(other_store), await new_user(other_store)
    async with contextlib.AsyncExitStack() as stack:
        sockets = await open_in_every_worker(stack, other_store, viewer, "")
        bystander = await stack.enter_async_context(other.streamlit())

        await (viewer.sign_out() if action == "sign out" else change(viewer, action))

        assert [4401] * len(sockets) == [await close_code(socket) for socket in sockets]
        assert (await bystander.rerun()).finished == "FINISHED_SUCCESSFULLY"


async def test_expiry__closes_the_viewers_sockets(site, new_user):
    """A session that runs out closes its sockets, with no request to notice it."""
    viewer = await new_user(site)
    await change(viewer, "expire_session")
    async with contextlib.AsyncExitStack() as stack:
        sockets = await open_in_every_worker(stack, site, viewer, "")

        codes = [await close_code(socket, SESSION_AGE_S + LIMIT_S) for socket in sockets]

    assert [4401] * len(sockets) == codes


async def test_group_change__reconnects_with_the_new_identity(site, new_user):
    """A viewer who may still enter, but is not quite the same, is reconnected as who they are now."""
    viewer = await new_user(site)
    async with viewer.streamlit() as client:
        await change(viewer, "leave_group")
        code = await close_code(client)

    async with viewer.streamlit() as client:
        text = (await client.rerun()).texts()[0]

    assert 1012 == code
    assert "Editors" not in text


@pytest.mark.parametrize("action", ["sign out", "deactivate", "delete_session"])
async def test_socket__opened_just_after(site, new_user, action):
    """The cookie of a session that has just ended opens no socket, whatever was remembered of it."""
    viewer = await new_user(site)
    async with viewer.streamlit() as client:
        await client.rerun()
    cookies = {"sessionid": viewer.cookie("sessionid")}
    await (viewer.sign_out() if action == "sign out" else change(viewer, action))

    codes = []
    for _ in range(4):
        async with StreamlitClient(site.url, cookies=cookies, headers={"Origin": viewer.origin}) as client:
            codes.append(await close_code(client))

    assert [4401] * 4 == codes


async def open_in_every_worker(
    stack: contextlib.AsyncExitStack, site: Site, viewer, mount: str
) -> list[StreamlitClient]:
    """Open sockets until every worker has one."""
    sockets, served = [], set()
    workers = gateway_pids(site)
    while served != workers:
        assert len(sockets) < MOST_SOCKETS, "the workers do not share their connections"
        # One after another, as the kernel gives connections of one moment to one worker.
        client = await stack.enter_async_context(viewer.streamlit(mount))
        sockets.append(client)
        served.add(server_pid(client, workers))
    return sockets


async def close_code(client: StreamlitClient, limit_s: float = LIMIT_S) -> int | None:
    """The code with which the server closes a socket."""

    async def until_closed() -> None:
        while (await client.socket.receive()).type is aiohttp.WSMsgType.BINARY:
            """What a script still draws."""

    await asyncio.wait_for(until_closed(), limit_s)
    return client.socket.close_code


def gateway_pids(site: Site) -> set[int]:
    """The pids of the gateway's workers."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == site.process.pid and words[1:3] == ["-m", "fluxlit_django.gateway"]:
                found.add(int(folder.name))
    assert found
    return found


def server_pid(client: StreamlitClient, pids: set[int]) -> int:
    """Which of the processes has the other end of a client's connection (Linux)."""
    _, port = client.socket._response.connection.transport.get_extra_info("sockname")
    wanted = f":{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {f"socket:[{line.split()[9]}]" for line in lines if line.split()[2].endswith(wanted)}
    for pid in pids:
        for number in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(number) in inodes:
                    return pid
    raise LookupError(port)

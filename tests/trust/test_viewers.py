"""Many viewers at once, each of them their own."""

from __future__ import annotations

import asyncio
import json

from fluxlit_django import audit
from fluxlit_django.visitor import Target
from tests.trust.conftest import PATIENCE_S, change

ROUNDS, AT_A_TIME = 20, 10
FLOOD = 1500


async def test_identity__of_two_viewers_interleaved(one_worker, new_user):
    """Hundreds of requests and sockets of two viewers, mixed: each script run sees its own viewer."""
    viewers = [await new_user(one_worker) for _ in range(2)]

    async def look(number: int) -> tuple[str, str, int]:
        viewer = viewers[number % 2]
        async with viewer.get("/") as page, viewer.streamlit() as client:
            shown = json.loads((await client.rerun()).texts()[0])
        return viewer.username, shown["user"]["username"], page.status

    seen = []
    for _ in range(ROUNDS):
        seen += await asyncio.gather(*(look(number) for number in range(AT_A_TIME)))

    assert [(name, name, 200) for name, _, _ in seen] == seen


async def test_identity__in_any_script(one_worker, new_user):
    """A name beyond Latin-1 is in `st.user` as it is in Django."""
    viewer = await new_user(one_worker)
    await change(viewer, "rename")

    async with viewer.streamlit() as client:
        shown = json.loads((await client.rerun()).texts()[0])

    assert "Zoë Łukaszewicz 李" == shown["user"]["name"]


async def test_flood__of_sockets_that_nobody_lets_in(one_worker, new_user):
    """Beside a flood of sockets without a session, a viewer's socket opens and works, and the flood ends."""
    viewer = await new_user(one_worker, address="127.0.0.7")
    target = Target(one_worker.url, patience_s=PATIENCE_S)
    flood = asyncio.create_task(audit.socket_flood(target, size=FLOOD))
    while not flood.done():
        async with viewer.get("/") as page, viewer.streamlit() as client:
            run = await client.rerun()
        assert (200, "FINISHED_SUCCESSFULLY") == (page.status, run.finished)

    await flood

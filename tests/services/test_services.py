"""The whole command on PostgreSQL and Redis: bounded connections, and what it does without either."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import psycopg
import pytest

from tests.services.servers import PostgreSQL, Redis, Server
from tests.site import Site
from tests.streamlit_protocol import StreamlitClient
from tests.trust.test_revocation import LIMIT_S, close_code

SESSIONS = 20
RERUNS = 2000
OWN_CONNECTIONS = 40
"""What the workers' threads for Django may keep, `min(32, cores + 4)` of each worker, with room for recorders."""
OUTAGE_LIMIT_S = 30.0

pytestmark = pytest.mark.timeout(300)


def count_connections(postgres: PostgreSQL) -> int:
    """How many clients PostgreSQL has, this one left out."""
    url = postgres.url.replace("postgres://", "postgresql://")
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
        "AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row
    return int(row[0])


@contextlib.asynccontextmanager
async def stopped(server: Server) -> AsyncIterator[None]:
    """Without a server until the end of the block."""
    await asyncio.to_thread(server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)


async def until(condition: Callable[[], Awaitable[bool]], limit_s: float = OUTAGE_LIMIT_S) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + limit_s
    while not await condition():
        assert time.monotonic() < deadline, "it never came true"
        # What another process thinks has nothing to wait on but the next question.
        await asyncio.sleep(0.1)


async def status(viewer, path: str) -> int:
    """The status of a page; an answer that takes long is a failure."""
    async with viewer.get(path, timeout=aiohttp.ClientTimeout(total=OUTAGE_LIMIT_S)) as response:
        return response.status


async def test_connections__of_2000_reruns_of_20_sessions(site, postgres, new_user):
    """PostgreSQL never has more clients than there are reruns at once and threads for Django, then fewer."""
    viewer = await new_user(site)
    counts: list[int] = []

    async def watch() -> None:
        while True:
            counts.append(await asyncio.to_thread(count_connections, postgres))
            await asyncio.sleep(0.2)

    async def rerun(client: StreamlitClient) -> None:
        for _ in range(RERUNS // SESSIONS):
            run = await client.rerun(query="with=cache")
            assert "cached: yes" in run.texts(), run.exceptions()

    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(viewer.streamlit()) for _ in range(SESSIONS)]
        watcher = asyncio.create_task(watch())
        await asyncio.gather(*(rerun(client) for client in clients))
        watcher.cancel()
        after = await asyncio.to_thread(count_connections, postgres)

    assert max(counts) <= SESSIONS + OWN_CONNECTIONS
    assert after <= OWN_CONNECTIONS


async def test_redis_stopped__sockets_stay_and_sign_outs_count_again(site, redis, new_user):
    """Open sockets go on, new ones open; when it is back, a sign-out closes sockets within two seconds."""
    viewer = await new_user(site)
    async with viewer.streamlit() as old:
        await old.rerun()

        async with stopped(redis):
            during = (await old.rerun()).finished
            async with viewer.streamlit() as new:
                opened = (await new.rerun()).finished
            page = await status(viewer, "/")
        await asyncio.to_thread(wait_for_answers, site)
        await viewer.sign_out()
        code = await close_code(old, LIMIT_S)

    assert ["FINISHED_SUCCESSFULLY", "FINISHED_SUCCESSFULLY", 200] == [during, opened, page]
    assert 4401 == code


def wait_for_answers(site: Site) -> None:
    """Wait until both workers listen to the channel layer again."""
    from tests.command.test_faults import wait_for_line

    wait_for_line(site, r"(?s)channel layer answers again.*channel layer answers again")


async def test_postgres_stopped__sockets_stay_and_recover(site, postgres, new_user):
    """Sockets stay open and say what failed; pages answer at once; when it is back, all is as before."""
    viewer = await new_user(site)
    async with viewer.streamlit() as client:
        await client.rerun()

        async with stopped(postgres):
            during = await client.rerun()
            pages = [await status(viewer, "/"), await status(viewer, "/api/healthz")]

        async def works() -> bool:
            return await status(viewer, "/") == 200

        await until(works)
        after = await client.rerun()
        async with viewer.streamlit() as new:
            opened = await new.rerun()

    assert "OperationalError" in "".join(during.exceptions())
    assert 200 == pages[1]
    assert pages[0] in {200, 503}
    assert not after.exceptions()
    assert not opened.exceptions()

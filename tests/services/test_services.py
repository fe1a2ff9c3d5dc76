"""The whole command on PostgreSQL and Redis: bounded connections, and what it does without either."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import psycopg
import pytest

from tests.services.servers import PostgreSQL, Server
from tests.site import Site
from tests.streamlit_protocol import StreamlitClient
from tests.trust.test_revocation import LIMIT_S, close_code

SESSIONS = 20
RERUNS = 2000
OWN_CONNECTIONS = 40
"""What the workers' threads for Django may keep, and those that record, of two workers."""
OUTAGE_LIMIT_S = 30.0
REMEMBERED_S = 2.1
"""Longer than the gateway remembers who may."""


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


async def test_redis_stopped__sockets_open_and_close_as_before(
    site_with_sessions_in_postgres, redis, new_user
):
    """Open sockets go on, new ones open; when it is back, a sign-out closes sockets within two seconds."""
    site = site_with_sessions_in_postgres
    viewer = await new_user(site)
    async with viewer.streamlit() as old:
        await old.rerun()
        answers = count_answers(site)

        async with stopped(redis):
            during = await old.rerun()
            async with viewer.streamlit() as new:
                opened = await new.rerun()
            page = await status(viewer, "/")
            await until_layer_is_missed(site)
        await until_layer_answers(site, answers)
        await viewer.sign_out()
        code = await close_code(old, LIMIT_S)

    assert 200 == page
    assert ["0 exceptions"] * 2 == [f"{len(run.exceptions())} exceptions" for run in (during, opened)]
    assert 4401 == code


async def test_redis_stopped__with_sessions_in_it(site, redis, new_user):
    """Open sockets go on; whoever would have to be looked up gets a 503 at once, until it is back."""
    viewer = await new_user(site)
    async with viewer.streamlit() as old:
        await old.rerun()
        answers = count_answers(site)

        async with stopped(redis):
            during = await old.rerun()
            page = await status(viewer, "/")
            refused = await handshake_status(viewer)
            await until_layer_is_missed(site)
        await until_layer_answers(site, answers)
        async with viewer.streamlit() as new:
            opened = await new.rerun(query="with=cache")
        await viewer.sign_out()
        code = await close_code(old, LIMIT_S)

    assert not during.exceptions()
    assert (503, 503) == (page, refused)
    assert "cached: yes" in opened.texts()
    assert 4401 == code


async def test_postgres_stopped__sockets_stay_and_recover(site, postgres, new_user):
    """A rerun says what failed, on a socket that stays; pages get a 503 at once; then all is as before."""
    viewer = await new_user(site)
    async with viewer.streamlit() as client:
        await client.rerun()

        async with stopped(postgres):
            during = await client.rerun()
            await asyncio.sleep(REMEMBERED_S)
            paths = [await status(viewer, "/"), await status(viewer, "/media/file.png")]
            refused = await handshake_status(viewer)
            alive = await status(viewer, "/api/healthz")

        async def works() -> bool:
            return await status(viewer, "/") == 200

        await until(works)
        after = await client.rerun()
        async with viewer.streamlit() as new:
            opened = await new.rerun()

    assert "OperationalError" in "".join(during.exceptions())
    assert ([503, 503], 503) == (paths, refused)
    assert 200 == alive
    assert not after.exceptions()
    assert not opened.exceptions()


async def handshake_status(viewer) -> int:
    """The status with which a socket is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with viewer.streamlit():
            """It must not open."""
    return refused.value.status


def count_answers(site: Site) -> int:
    """How often workers have found the channel layer again."""
    return site.log.count("The channel layer answers again")


async def until_layer_is_missed(site: Site) -> None:
    """Wait until each worker that listens has missed the channel layer."""

    async def is_missed() -> bool:
        return site.log.count("The channel layer does not answer") > count_answers(site)

    await until(is_missed)


async def until_layer_answers(site: Site, before: int) -> None:
    """Wait until whoever missed the channel layer has it again."""

    async def is_back() -> bool:
        answers = count_answers(site)
        return answers > before and answers == site.log.count("The channel layer does not answer")

    await until(is_back)

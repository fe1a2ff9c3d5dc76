"""The command on a real PostgreSQL and a real Redis, which tests may stop and start again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.servers import (
    PostgreSQL,
    Redis,
    find_postgres,
    find_redis,
    running_postgres,
    running_redis,
)
from tests.site import Site, manage, running_site, site_environment
from tests.trust.conftest import new_user, new_viewer

__all__ = ["new_user", "new_viewer"]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgreSQL]:
    """PostgreSQL, with nothing in it."""
    if find_postgres() is None:
        pytest.skip("there is no PostgreSQL on this machine (Debian: apt install postgresql)")
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """Redis, with nothing in it."""
    if find_redis() is None:
        pytest.skip("there is no redis-server on this machine (Debian: apt install redis-server)")
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgreSQL, redis: Redis
) -> dict[str, str]:
    """The environment of a site on both services, whose tables are made."""
    environment = site_environment(
        tmp_path_factory.mktemp("services"),
        DJANGO_SETTINGS_MODULE="tests.services.settings",
        DATABASE_URL=postgres.url,
        REDIS_URL=redis.url,
        # So that only a message can be what closes a socket within seconds.
        FLUXLIT_ACCESS_RECHECK_S="3600",
    )
    manage(environment, "migrate", "-v0")
    return environment


@pytest.fixture(scope="module")
def site(environment: dict[str, str]) -> Iterator[Site]:
    """Two workers and two sidecars, with sessions in Redis and in PostgreSQL."""
    with running_site(environment, "--workers", "2", "--streamlit-workers", "2") as running:
        yield running


@pytest.fixture(scope="module")
def site_with_sessions_in_postgres(environment: dict[str, str]) -> Iterator[Site]:
    """The same with sessions in PostgreSQL alone."""
    engine = {"TEST_SESSION_ENGINE": "django.contrib.sessions.backends.db"}
    with running_site({**environment, **engine}, "--workers", "2", "--streamlit-workers", "2") as running:
        yield running

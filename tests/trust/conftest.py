"""The command under attack: one script under several access rules, with one worker, or two and a Redis."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.services.servers import find_redis, running_redis
from tests.site import Site, manage, running_site, site_environment
from tests.viewer import Viewer

PATIENCE_S = 12.0
"""What attacks wait for a slow connection to be broken off."""

NO_REDIS = "there is no redis-server on this machine (Debian: apt install redis-server)"

_numbers = itertools.count()


@pytest.fixture(scope="session")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One worker, with the layer in its memory."""
    with site_of_one_worker(tmp_path_factory.mktemp("one")) as site:
        yield site


@pytest.fixture(scope="session", params=["h11", "daphne"])
def other_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same on Daphne, and on uvicorn without httptools and uvloop, as without the `fast` extra."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "daphne":
        with site_of_one_worker(folder, "--server", "daphne") as site:
            yield site
        return
    for name in ("httptools", "uvloop"):
        (folder / f"{name}.py").write_text("raise ImportError")
    with site_of_one_worker(folder, PYTHONPATH=str(folder)) as site:
        yield site


@contextmanager
def site_of_one_worker(folder: Path, *arguments: str, **variables: str) -> Iterator[Site]:
    """A running site that breaks off slow requests soon."""
    environment = site_environment(
        folder,
        DJANGO_SETTINGS_MODULE="tests.trust.settings",
        DEBUG="false",
        HTTPS="false",
        # So that only a message can be what closes a socket within seconds.
        FLUXLIT_ACCESS_RECHECK_S="3600",
        FLUXLIT_GATEWAY_REQUEST_HEAD_TIMEOUT_S=str(PATIENCE_S / 4),
        FLUXLIT_GATEWAY_REQUEST_BODY_TIMEOUT_S=str(PATIENCE_S / 4),
        **variables,
    )
    manage(environment, "migrate", "-v0")
    manage(environment, "demo_admin")
    with running_site(environment, *arguments) as site:
        yield site


@pytest.fixture(scope="session")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two workers, with a Redis between them."""
    if find_redis() is None:
        pytest.skip(NO_REDIS)
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        environment = site_environment(
            tmp_path_factory.mktemp("two"),
            DJANGO_SETTINGS_MODULE="tests.trust.settings",
            FLUXLIT_ACCESS_RECHECK_S="3600",
            FLUXLIT_STREAMLIT_METRICS_ACCESS="staff",
            FLUXLIT_STREAMLIT_SCRIPT_HEALTH_ACCESS="staff",
            FLUXLIT_STREAMLIT_AGENT_ACCESS="group:Editors",
            REDIS_URL=redis.url,
        )
        manage(environment, "migrate", "-v0")
        manage(environment, "demo_admin")
        with running_site(environment, "--workers", "2") as site:
            yield site


@pytest.fixture(scope="session", params=["cache", "file", "signed_cookies"])
def other_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Sessions that are in no table: in a Redis of two workers, in files, or in the browser alone."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        variables = {
            "TEST_SESSION_ENGINE": f"django.contrib.sessions.backends.{request.param}",
            "TEST_SESSION_FILES": str(folder),
        }
        if request.param == "cache":
            if find_redis() is None:
                pytest.skip(NO_REDIS)
            redis = stack.enter_context(running_redis(tmp_path_factory.mktemp("redis")))
            variables["REDIS_URL"] = redis.url
        environment = site_environment(
            folder,
            DJANGO_SETTINGS_MODULE="tests.trust.settings",
            FLUXLIT_ACCESS_RECHECK_S="3600",
            **variables,
        )
        manage(environment, "migrate", "-v0")
        workers = "2" if request.param == "cache" else "1"
        yield stack.enter_context(running_site(environment, "--workers", workers))


@pytest.fixture
async def new_viewer() -> AsyncIterator[Callable[..., Viewer]]:
    """Makes viewers of a site."""
    async with AsyncExitStack() as stack:

        def make(site: Site, **options) -> Viewer:
            viewer = Viewer(site.url, **options)
            stack.push_async_exit(viewer)
            return viewer

        yield make


@pytest.fixture
def new_user(new_viewer: Callable[..., Viewer]) -> Callable[..., object]:
    """Makes accounts, each signed in; with a name of its own."""

    async def make(site: Site, **options) -> Viewer:
        viewer = new_viewer(site, **options)
        viewer.username = f"user{next(_numbers)}"
        await change(viewer, "make")
        await viewer.sign_in(viewer.username)
        return viewer

    return make


async def change(viewer: Viewer, action: str) -> str:
    """Carry out an action of `tests.trust.urls` on a viewer's account; the account's id."""
    async with viewer.get(f"/change/{action}/{viewer.username}") as response:
        assert response.status == 200, await response.text()
        return await response.text()

"""Real workers for the whole session, and a stub sidecar for each test."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from fluxlit_django.control import SidecarStatus
from tests.gateway import sidecar as stub
from tests.gateway import sockets
from tests.gateway import worker as workers
from tests.gateway.sidecar import StubSidecar
from tests.gateway.sockets import SocketSidecar
from tests.gateway.worker import Worker

SIGN_IN = """
import django
django.setup()
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
call_command("migrate", verbosity=0)
ada = get_user_model().objects.create_user("ada", "ada@example.org", first_name="Zoë", last_name="Lovelace")
ada.groups.add(Group.objects.create(name="analysts"), Group.objects.create(name="admins, old"))
session = SessionStore()
session["_auth_user_id"] = str(ada.pk)
session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
session["_auth_user_hash"] = ada.get_session_auth_hash()
session.create()
print(session.session_key)
"""


@pytest.fixture(scope="session")
def runtime_dir() -> Iterator[Path]:
    """Where the sidecars' sockets are; its path is short, as a socket's must be."""
    with tempfile.TemporaryDirectory(prefix="fluxlit-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def statuses(runtime_dir: Path) -> list[SidecarStatus]:
    """One sidecar for each app of the small site. All but two have the stub's socket."""
    address = f"unix:{runtime_dir}/stub.sock"
    serving = [
        SidecarStatus(f"{app}-0", app, address, "ready") for app in ("default", "open", "deep", "staff")
    ]
    return [
        *serving,
        SidecarStatus("away-0", "away", f"unix:{runtime_dir}/nobody.sock", "ready"),
        SidecarStatus("failed-0", "failed", address, "failed", restarts=5, detail="It crashed five times."),
    ]


@pytest.fixture(scope="session")
def database(runtime_dir: Path) -> tuple[str, str]:
    """A migrated database file with one user, and the key of that user's session."""
    path = str(runtime_dir / "test.sqlite3")
    result = subprocess.run(
        [sys.executable, "-c", SIGN_IN],
        env={"DJANGO_SETTINGS_MODULE": "tests.gateway.settings", "TEST_DATABASE": path},
        cwd=workers.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return path, result.stdout.strip()


@pytest.fixture(scope="session")
def session_cookie(database: tuple[str, str]) -> tuple[bytes, bytes]:
    """The cookie of the signed-in user Ada."""
    return b"Cookie", f"sessionid={database[1]}".encode()


StartWorker = Callable[..., AbstractContextManager[Worker]]


@pytest.fixture(scope="session")
def start_worker(statuses: list[SidecarStatus], runtime_dir: Path, database: tuple[str, str]) -> StartWorker:
    """Starts a worker of one's own: `with start_worker("uvicorn", FLUXLIT_…="…") as worker`."""

    def start(server: str, *, host: str = "127.0.0.1", **env: str) -> AbstractContextManager[Worker]:
        env = {"TEST_DATABASE": database[0], "FLUXLIT_ASSETS_DIR": str(runtime_dir / "assets"), **env}
        return workers.running(server, statuses, env, host=host)

    return start


@pytest.fixture(scope="session")
def shared_workers(start_worker: StartWorker) -> Iterator[Callable[[str], Worker]]:
    """The session's workers by server, each started when first asked for."""
    started: dict[str, Worker] = {}
    with contextlib.ExitStack() as stack:

        def get(server: str) -> Worker:
            if server not in started:
                started[server] = stack.enter_context(start_worker(server))
            return started[server]

        yield get


@pytest.fixture(params=["uvicorn", "daphne"])
def worker(request: pytest.FixtureRequest, shared_workers: Callable[[str], Worker]) -> Worker:
    """A worker on each of the two servers."""
    return shared_workers(request.param)


@pytest.fixture
def uvicorn_worker(shared_workers: Callable[[str], Worker]) -> Worker:
    """A worker on uvicorn."""
    return shared_workers("uvicorn")


@pytest.fixture
def daphne_worker(shared_workers: Callable[[str], Worker]) -> Worker:
    """A worker on Daphne."""
    return shared_workers("daphne")


@pytest.fixture
def socket_path(runtime_dir: Path) -> Iterator[str]:
    """The path of the sidecars' socket, free to be bound."""
    path = runtime_dir / "stub.sock"
    path.unlink(missing_ok=True)
    yield str(path)
    path.unlink(missing_ok=True)


@pytest.fixture
async def sidecar(socket_path: str) -> AsyncIterator[StubSidecar]:
    """A stub in the place of every sidecar."""
    async with stub.listening(socket_path) as listening:
        yield listening


@pytest.fixture
async def sidecar_socket(socket_path: str) -> AsyncIterator[SocketSidecar]:
    """A sidecar that speaks WebSocket, in the place of every sidecar."""
    async with sockets.listening(socket_path) as listening:
        yield listening


@pytest.fixture(params=["uvicorn", "daphne"])
def server(request: pytest.FixtureRequest) -> str:
    """Each of the two servers."""
    return str(request.param)

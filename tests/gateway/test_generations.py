"""Two generations of a sidecar behind one gateway worker."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.server import ServerConnection, unix_serve

from fluxlit_django.control import SidecarStatus
from tests.gateway import sidecar as stub
from tests.gateway.browser import fetch
from tests.gateway.conftest import StartWorker
from tests.gateway.sidecar import Exchange, StubSidecar
from tests.gateway.sockets import RERUN, open_socket
from tests.gateway.worker import Worker

UPLOAD = "/open/_stcore/upload_file/session-1/file-1"
MEDIA = "/open/media/0123.png"
SIZE = 1_000_000


@dataclass
class Site:
    """A worker and the two sidecars it knows, of which the older one drains."""

    worker: Worker
    old: StubSidecar
    new: StubSidecar


def statuses(folder: Path, state: str = "draining") -> list[SidecarStatus]:
    """The open app's sidecar and its replacement."""
    return [
        SidecarStatus("open-0", "open", f"unix:{folder}/new.sock", "ready", generation=2),
        SidecarStatus("open-0", "open", f"unix:{folder}/old.sock", state, generation=1),
    ]


@pytest.fixture
async def site(start_worker: StartWorker, runtime_dir: Path) -> AsyncIterator[Site]:
    """A worker of its own, as what it is told differs from the others'."""
    old, new = runtime_dir / "old.sock", runtime_dir / "new.sock"
    async with contextlib.AsyncExitStack() as stack:
        sidecars = [await stack.enter_async_context(stub.listening(str(path))) for path in (old, new)]
        worker = stack.enter_context(start_worker("uvicorn"))
        worker.tell(statuses(runtime_dir))
        await fetch(worker.port, "/api/readyz")
        for sidecar in sidecars:
            sidecar.requests.clear()
        yield Site(worker, *sidecars)
    for path in (old, new):
        path.unlink(missing_ok=True)


async def knows_nothing(exchange: Exchange) -> None:
    """Refuse as Streamlit does for a session it does not have: before the body is read."""
    await exchange.reply("400 Bad Request", body=b"Invalid session_id")
    await exchange.closed()


async def not_found(exchange: Exchange) -> None:
    """Answer for a file of a session it does not have."""
    await exchange.reply("404 Not Found", body=b"")


async def take_upload(exchange: Exchange) -> None:
    """Take an upload as uvicorn does: the body is asked for when the application wants it."""
    if exchange.request.values("expect"):
        await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    await exchange.read_body()
    await exchange.reply("204 No Content", body=b"")


async def test_upload__to_the_generation_that_has_the_session(site: Site) -> None:
    """The newer one does not know the session; the body goes, whole and once, to the older one."""
    site.new.answer, site.old.answer = knows_nothing, take_upload

    response = await fetch(site.worker.port, UPLOAD, method="PUT", body=b"x" * SIZE)

    assert response.status == 204
    assert site.new.request.size == 0
    assert (site.old.request.size, site.old.request.is_complete) == (SIZE, True)


async def test_upload__nobody_knows_the_session(site: Site) -> None:
    """Each is asked once, and the browser gets the last answer."""
    site.new.answer = site.old.answer = knows_nothing

    response = await fetch(site.worker.port, UPLOAD, method="PUT", body=b"x" * 1000)

    assert (response.status, response.body) == (400, b"Invalid session_id")
    assert (len(site.new.requests), len(site.old.requests)) == (1, 1)


async def test_upload__first_one_takes_it(site: Site) -> None:
    """Where the session is found at once, nobody else is asked."""
    site.new.answer = take_upload

    response = await fetch(site.worker.port, UPLOAD, method="PUT", body=b"x" * SIZE)

    assert response.status == 204
    assert site.new.request.size == SIZE
    assert site.old.requests == []


async def test_upload__deleted_wherever_it_is(site: Site) -> None:
    """Streamlit says yes to deleting what it does not have, so every generation is told."""
    site.new.answer = site.old.answer = take_upload

    response = await fetch(site.worker.port, UPLOAD, method="DELETE")

    assert response.status == 204
    assert (len(site.new.requests), len(site.old.requests)) == (1, 1)


async def test_media__of_the_other_generation(site: Site) -> None:
    """A media file that one does not have is looked for at the other."""
    site.new.answer = not_found

    response = await fetch(site.worker.port, MEDIA)

    assert (response.status, response.body) == (200, b"ok")
    assert (len(site.new.requests), len(site.old.requests)) == (1, 1)


async def test_media__first_one_is_down(site: Site, runtime_dir: Path) -> None:
    """One that cannot be reached is no reason not to ask the other."""
    (runtime_dir / "new.sock").unlink()

    response = await fetch(site.worker.port, MEDIA)

    assert response.status == 200


async def test_other_paths__are_asked_for_once(site: Site) -> None:
    """Only a session's files are looked for twice."""
    site.new.answer = not_found

    response = await fetch(site.worker.port, "/open/component/none/index.html")

    assert response.status == 404
    assert site.old.requests == []


async def test_document__tells_the_generation(site: Site, runtime_dir: Path) -> None:
    """A browser that loaded its page before a replacement stays with the old one; a new page changes that."""
    site.worker.tell(statuses(runtime_dir, "ready")[1:])
    await fetch(site.worker.port, "/api/readyz")
    before = await page_cookie(site)
    site.worker.tell(statuses(runtime_dir))
    await fetch(site.worker.port, "/api/readyz?")
    for sidecar in (site.old, site.new):
        sidecar.requests.clear()

    await fetch(site.worker.port, "/open/component/a/b", [(b"Cookie", before)])
    at_old = len(site.old.requests)
    after = await page_cookie(site, before)
    await fetch(site.worker.port, "/open/component/a/b", [(b"Cookie", after)])

    assert (at_old, len(site.old.requests), len(site.new.requests)) == (1, 1, 1)
    assert after.split(b".")[0] == before.split(b".")[0]
    assert await page_cookie(site, after) == b""


async def page_cookie(site: Site, cookie: bytes = b"") -> bytes:
    """The affinity cookie that the document sets, "" for none."""
    response = await fetch(site.worker.port, "/open/", [(b"Cookie", cookie)] if cookie else [])
    assert response.status == 200
    found = [value for name, value in response.headers if name == b"set-cookie"]
    return next((value.split(b";")[0] for value in found if b"fluxlit_affinity" in value), b"")


async def test_session__found_again_without_a_cookie(start_worker: StartWorker, runtime_dir: Path) -> None:
    """A browser that blocks cookies comes back to the sidecar that has its session."""
    served = []

    def serve(name: str):
        async def handler(socket: ServerConnection) -> None:
            served.append(name)
            await socket.recv()
            message = ForwardMsg(hash="abc")
            message.new_session.initialize.session_id = f"session-of-{name}"
            await socket.send(message.SerializeToString())
            await socket.wait_closed()

        return unix_serve(handler, str(runtime_dir / f"{name}.sock"), subprotocols=["streamlit"])

    async with serve("old"), serve("new"):
        with start_worker("uvicorn") as worker:
            worker.tell(statuses(runtime_dir, "ready")[1:])
            await fetch(worker.port, "/api/readyz")
            async with open_socket(worker, "/open/_stcore/stream") as socket:
                await socket.send(RERUN)
                await socket.recv()
            worker.tell(statuses(runtime_dir))
            await fetch(worker.port, "/api/readyz?")
            again = ["streamlit", "PLACEHOLDER_AUTH_TOKEN", "session-of-old"]
            async with open_socket(worker, "/open/_stcore/stream", subprotocols=again) as socket:
                await socket.send(RERUN)
                await socket.recv()
            async with open_socket(worker, "/open/_stcore/stream") as socket:
                await socket.send(RERUN)
                await socket.recv()
    for name in ("old", "new"):
        (runtime_dir / f"{name}.sock").unlink(missing_ok=True)

    assert served == ["old", "old", "new"]

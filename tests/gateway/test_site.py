"""A real worker with a real Django in it: documents, redirects, the login, and prefixes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.gateway.browser import fetch
from tests.gateway.conftest import StartWorker
from tests.gateway.sidecar import Exchange, StubSidecar
from tests.gateway.sockets import TIMEOUT_S, accept, open_socket, shake_hands
from tests.gateway.worker import Worker

UPLOAD = "/_stcore/upload_file/session/file"


@pytest.mark.parametrize(
    "target",
    [
        "/open/",
        "/open/page",
        "/open/x.html",
        "/open/deep/",
        "/open/page?a=b",
        "/open/%E4%BD%A0",
    ],
)
async def test_document(worker: Worker, sidecar: StubSidecar, target: str) -> None:
    """Any page below a mount gives Streamlit's document, without a word to a sidecar."""
    response = await fetch(worker.port, target)

    assert 200 == response.status
    assert b'<div id="root">' in response.body
    assert b"no-cache" == response.header("cache-control")
    assert [] == sidecar.requests


async def test_document__of_10_000_characters(worker: Worker) -> None:
    """A long path is a path."""
    response = await fetch(worker.port, "/open/" + "x" * 10_000)

    assert 200 == response.status


async def test_document__head(worker: Worker) -> None:
    """HEAD tells the length of the document."""
    whole = await fetch(worker.port, "/open/")
    head = await fetch(worker.port, "/open/", method="HEAD")

    assert (200, b"%d" % len(whole.body)) == (head.status, head.header("content-length"))


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/open", "/open/"),
        ("/open?a=%2F&b", "/open/?a=%2F&b"),
        ("/open/page/", "/open/page"),
        ("/open/page//", "/open/page"),
        ("/open/page/?a=b", "/open/page?a=b"),
        ("/open/a%3Fb/", "/open/a%3Fb"),
        ("/open/%E4%BD%A0/", "/open/%E4%BD%A0"),
        ("/open/deep", "/open/deep/"),
        ("/api/echo", "/api/echo/"),
        ("/api/echo?a=b", "/api/echo/?a=b"),
    ],
)
async def test_slash__redirects(worker: Worker, target: str, location: str) -> None:
    """A mount has a slash at its end and a page has none, as Streamlit has it; Django adds its own."""
    response = await fetch(worker.port, target)

    assert response.status in {301, 302}
    assert location.encode() == response.header("location")


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "//evil.example/",
        "///evil.example/",
        "/%2Fevil.example/",
        "//open/",
        "/%5Cevil.example/",
    ],
)
async def test_slash__never_leads_elsewhere(worker: Worker, target: str) -> None:
    """No path makes a redirect to another site."""
    response = await fetch(worker.port, target)

    location = response.header("location") or b""
    assert not location.startswith((b"//", b"/\\"))
    assert 400 == response.status or b"%5C" in location


@pytest.mark.parametrize(
    "target",
    ["/api/nothing", "/api/nothing/", "/open/_stcore/metrics", "/page/_stcore/health", "/open/a/b", "/a/b/"],
)
async def test_not_found(worker: Worker, sidecar: StubSidecar, target: str) -> None:
    """The API has no pages, Streamlit's closed routes no answer, and a page nothing below it."""
    response = await fetch(worker.port, target)

    assert 404 == response.status
    assert [] == sidecar.requests


async def test_static_files__of_the_project(worker: Worker) -> None:
    """What the bundle has not is the project's, under the same prefix."""
    response = await fetch(worker.port, "/static/site.css")

    assert b"the project's site.css" == response.body


async def test_anonymous(worker: Worker, sidecar: StubSidecar) -> None:
    """The document leads to the login and back; everything below it is 401, and no sidecar is asked."""
    document = await fetch(worker.port, "/page?a=b&c=%2F")

    assert 302 == document.status
    assert f"/accounts/login/?next={quote('/page?a=b&c=%2F')}".encode() == document.header("location")
    for method, target in (
        ("GET", "/media/a"),
        ("PUT", UPLOAD),
        ("DELETE", UPLOAD),
        ("GET", "/component/a/b"),
    ):
        response = await fetch(worker.port, target, method=method, body=b"x" if method == "PUT" else b"")
        assert 401 == response.status
    assert [] == sidecar.requests


async def test_anonymous__probes_of_the_frontend(worker: Worker, sidecar: StubSidecar) -> None:
    """What the frontend asks before it opens its socket is open: the socket's close code tells the rest."""
    for target in ("/_stcore/health", "/_stcore/host-config"):
        assert 200 == (await fetch(worker.port, target)).status


async def test_viewer(worker: Worker, sidecar: StubSidecar, session_cookie: tuple[bytes, bytes]) -> None:
    """Who is signed in gets the document, and is named to the sidecar; nobody can claim to be another."""
    forged = [
        (b"X-Fluxlit-User-Id", b"99"),
        (b"X_Fluxlit_User_Id", b"98"),
        (b"x-fluxlit-user-is-staff", b"true"),
    ]
    document = await fetch(worker.port, "/page", [session_cookie, *forged])
    upload = await fetch(worker.port, UPLOAD, [session_cookie, *forged], method="PUT", body=b"x")

    assert (200, 200) == (document.status, upload.status)
    named = [(name, value) for name, value in sidecar.request.headers if b"fluxlit" in name]
    assert [
        (b"x-fluxlit-user-id", b"1"),
        (b"x-fluxlit-user-username", b"ada"),
        (b"x-fluxlit-user-email", b"ada@example.org"),
        (b"x-fluxlit-user-name", "Zoë Lovelace".encode()),
        (b"x-fluxlit-user-groups", b"admins, old,analysts"),
        (b"x-fluxlit-user-is-staff", b"false"),
    ] == named
    assert [] == sidecar.request.values("cookie")


async def test_viewer__without_the_right(
    worker: Worker, sidecar: StubSidecar, session_cookie: tuple[bytes, bytes]
) -> None:
    """Who is signed in and may not gets 403, on the document and below it."""
    for target in ("/staff/", "/staff/media/a"):
        assert 403 == (await fetch(worker.port, target, [session_cookie])).status
    assert [] == sidecar.requests


async def test_django__hears_nothing_forged(worker: Worker) -> None:
    """Django gets the request id, and no header that only the gateway may set."""
    fields = [(b"X-Fluxlit-User-Id", b"1"), (b"X_Fluxlit_User_Id", b"1"), (b"X-Request-ID", b"r-1")]
    response = await fetch(worker.port, "/api/echo/", fields)

    headers = json.loads(response.body)["headers"]
    assert "r-1" == headers["X-Request-Id"]
    assert not [name for name in headers if "fluxlit" in name.lower()]


async def test_django__path_beyond_latin_1(worker: Worker) -> None:
    """A path in any script arrives."""
    response = await fetch(worker.port, "/static/%E4%BD%A0.css")

    assert "the project's 你.css" == response.body.decode()


# Under a prefix


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def prefixed(request: pytest.FixtureRequest, start_worker: StartWorker) -> Iterator[Worker]:
    """A worker whose site is at /base of another one."""
    with start_worker(request.param, FLUXLIT_ROOT_PATH="/base") as worker:
        yield worker


@pytest.fixture(params=["", "/base"], ids=["stripping", "keeping"])
def left(request: pytest.FixtureRequest) -> str:
    """What each kind of proxy leaves of the prefix."""
    return str(request.param)


async def test_prefix__http(prefixed: Worker, sidecar: StubSidecar, left: str) -> None:
    """Documents, files, probes and Django's views are found, and the sidecar sees the public path."""
    assert 200 == (await fetch(prefixed.port, f"{left}/open/page")).status
    assert 200 == (await fetch(prefixed.port, f"{left}/open/favicon.png")).status
    assert 200 == (await fetch(prefixed.port, f"{left}/api/healthz")).status
    assert 200 == (await fetch(prefixed.port, f"{left}/open/media/a%2Fb?c")).status
    echo = json.loads((await fetch(prefixed.port, f"{left}/api/echo/")).body)

    assert b"/base/open/media/a%2Fb?c" == sidecar.request.target
    assert ("/base/api/echo/", "http://testserver/base/api/echo/") == (echo["path"], echo["uri"])


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/open", "/base/open/"),
        ("/open/page/?a", "/base/open/page?a"),
        ("/api/echo", "/base/api/echo/"),
        ("/page", "/accounts/login/?next=/base/page"),
    ],
)
async def test_prefix__redirects(prefixed: Worker, left: str, target: str, location: str) -> None:
    """Redirects carry the prefix, whichever half of it came here."""
    response = await fetch(prefixed.port, left + target)

    assert location.encode() == response.header("location")


async def test_prefix__socket(prefixed: Worker, sidecar: StubSidecar, left: str) -> None:
    """The socket is found, and dialled under the public path."""

    async def answer(exchange: Exchange) -> None:
        await accept(exchange)
        await exchange.closed()

    sidecar.answer = answer
    response = await shake_hands(prefixed, path=f"{left}/open/_stcore/stream?q=%2F")

    assert 101 == response.status
    assert b"/base/open/_stcore/stream?q=%2F" == sidecar.request.target


async def test_prefix__anonymous_socket(prefixed: Worker, left: str) -> None:
    """The app at the root has its door there, too."""
    async with open_socket(prefixed, f"{left}/_stcore/stream") as socket:
        await asyncio.wait_for(socket.wait_closed(), TIMEOUT_S)

    assert 4401 == socket.close_code

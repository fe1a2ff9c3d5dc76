"""Streamlit's frontend from disk: its own files, through a real worker and by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fluxlit_django.gateway import assets
from tests.gateway.browser import fetch
from tests.gateway.scopes import call, http_scope
from tests.gateway.sidecar import StubSidecar
from tests.gateway.worker import Worker

SCRIPT = b"console.log('hello')\n" * 100


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of three files, with secrets beside it."""
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "bundle"
    (folder / "static" / "js").mkdir(parents=True)
    (folder / "index.html").write_text("<html></html>")
    (folder / "favicon.png").write_bytes(b"png")
    (folder / "static" / "js" / "main.1a2b.js").write_bytes(SCRIPT)
    return folder


@pytest.fixture
def frontend(bundle: Path, tmp_path: Path) -> assets.Assets:
    """The bundle, not compressed yet."""
    return assets.Assets(bundle, tmp_path / "compressed")


async def get(frontend: assets.Assets, name: str, *, method: str = "GET", **fields: str):
    """The answer to a request for a file of the bundle."""
    headers = [(key.replace("_", "-").encode(), value.encode()) for key, value in fields.items()]

    async def application(scope, receive, send):
        await frontend(scope, receive, send, name=name)

    return await call(application, http_scope(f"/{name}", method=method, headers=headers))


async def test_file(frontend: assets.Assets) -> None:
    """A file of the bundle, for ever when its name has a hash in it."""
    response = await get(frontend, "static/js/main.1a2b.js")

    assert (200, SCRIPT) == (response.status, response.body)
    assert b"public, immutable, max-age=31536000" == response.header("cache-control")
    assert (response.header("content-type") or b"").startswith(b"text/javascript")


async def test_file__outside_static(frontend: assets.Assets) -> None:
    """What has no hash in its name is kept for an hour, the manifest not at all."""
    response = await get(frontend, "favicon.png")

    assert (200, b"png") == (response.status, response.body)
    assert b"public, max-age=3600" == response.header("cache-control")
    assert "no-cache" == assets.cache_control("manifest.json")


async def test_file__not_modified(frontend: assets.Assets) -> None:
    """Who has the file already gets no body."""
    etag = (await get(frontend, "favicon.png")).header("etag") or b""

    response = await get(frontend, "favicon.png", if_none_match=etag.decode())

    assert (304, b"") == (response.status, response.body)


async def test_file__head(frontend: assets.Assets) -> None:
    """HEAD tells the length and brings nothing."""
    response = await get(frontend, "static/js/main.1a2b.js", method="HEAD")

    assert (200, b"%d" % len(SCRIPT), b"") == (
        response.status,
        response.header("content-length"),
        response.body,
    )


async def test_file__range(frontend: assets.Assets) -> None:
    """A part of a file."""
    response = await get(frontend, "static/js/main.1a2b.js", range="bytes=8-11", accept_encoding="br, gzip")

    assert (206, SCRIPT[8:12]) == (response.status, response.body)
    assert b"bytes 8-11/%d" % len(SCRIPT) == response.header("content-range")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
async def test_file__other_methods(frontend: assets.Assets, method: str) -> None:
    """A file can be read, and that is all."""
    response = await get(frontend, "favicon.png", method=method)

    assert (405, b"GET, HEAD") == (response.status, response.header("allow"))


@pytest.mark.parametrize(
    "name",
    [
        "index.html",
        "",
        "static",
        "static/",
        "static/js",
        "static/js/",
        "../secret.txt",
        "static/../../secret.txt",
        "static/../favicon.png",
        "./favicon.png",
        "/favicon.png",
        "static//js/main.1a2b.js",
        "static\\js\\main.1a2b.js",
        "..\\secret.txt",
        "favicon.png\x00",
        "favicon.png\x00.js",
        "FAVICON.PNG",
        "favicon.png ",
        "/etc/passwd",
        "%2e%2e/secret.txt",
    ],
)
def test_contains__only_what_is_in_the_bundle(frontend: assets.Assets, name: str) -> None:
    """Only the exact names of the bundle's files are its files; the document is Django's to serve."""
    assert name not in frontend


@pytest.mark.parametrize(
    "path",
    [
        b"/open/static/../../../../etc/passwd",
        b"/open/static/..%2f..%2f..%2fetc%2fpasswd",
        b"/open/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        b"/open/static/..%5c..%5c..%5cetc%5cpasswd",
        b"/open/static/..\\..\\etc\\passwd",
        b"/open/static/%00",
        b"/open/favicon.png%00",
        b"/open//etc/passwd",
        b"/open/static/....//....//etc/passwd",
    ],
)
async def test_traversal(worker: Worker, sidecar: StubSidecar, path: bytes) -> None:
    """No spelling of a path leads out of the bundle."""
    response = await fetch(worker.port, path)

    assert b"root:" not in response.body
    assert b"no-cache" == response.header("cache-control") or response.status in {400, 404}
    assert [] == sidecar.requests


async def test_bundle__of_the_installed_streamlit(worker: Worker, sidecar: StubSidecar) -> None:
    """The document's own links work, with no session, and no sidecar is asked for them."""
    document = (await fetch(worker.port, "/open/")).body.decode()
    links = [link for link in re.findall(r'(?:src|href)="\./([^"]+)"', document) if "_stcore" not in link]

    assert links
    for mount in ("/", "/open/"):
        for link in links:
            assert 200 == (await fetch(worker.port, f"{mount}{link}")).status
    assert [] == sidecar.requests


def test_document() -> None:
    """The document is Streamlit's, with our script in its head."""
    plain = (assets.bundle_directory() / "index.html").read_bytes()

    assert plain.count(b"<script") + 1 == assets.document().count(b"<script")
    assert assets.document().index(b"<script>") < assets.document().index(b"</head>")

"""Behind nginx, Caddy and HAProxy, with the very files of `deploy/`: at the root and below a prefix."""

from __future__ import annotations

import json
import re

import pytest

from tests.edge import edges
from tests.edge.conftest import CAP, CLIENT

pytestmark = pytest.mark.parametrize(
    "edge",
    [pytest.param((kind, layout), id=f"{kind}-{layout}") for kind in edges.KINDS for layout in edges.LAYOUTS],
    indirect=True,
)

LIES = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": "/evil",
    "X-Real-IP": "6.6.6.6",
    "Forwarded": "for=6.6.6.6;host=evil.example;proto=http",
    "X-Fluxlit-User-Id": "666",
}
"""What a browser may claim of itself."""


async def shown(client) -> dict:
    """What the script saw of its viewer."""
    return json.loads((await client.rerun()).texts()[0])


async def test_http__leads_to_https(edge, new_viewer):
    """Plain HTTP leads to the same path over HTTPS."""
    viewer = new_viewer(edge.http_url)

    async with viewer.get("/some/page") as response:
        location = response.headers["Location"]

    assert response.status in {301, 308}
    assert re.fullmatch(r"https://127\.0\.0\.1(:\d+)?" + viewer.prefix + "/some/page", location), location


async def test_prefix__without_slash(edge, new_viewer):
    """The prefix alone leads to the start page."""
    viewer = new_viewer()
    if not viewer.prefix:
        async with viewer.http.get("") as response:
            assert response.status == 200
        return

    async with viewer.get("") as response:
        location = response.headers["Location"]

    assert response.status in {301, 308}
    assert location in {f"{viewer.prefix}/", f"{viewer.origin}{viewer.prefix}/"}


async def test_page__anonymous_comes_back_after_the_login(edge, new_viewer):
    """An anonymous viewer is sent to the login page under the prefix, and from there back to the page."""
    viewer = new_viewer()
    async with viewer.get("/figures?a=1") as response:
        login = response.headers["Location"]
    prefix = viewer.prefix

    back = await viewer.sign_in(next_path=f"{prefix}/figures%3Fa%3D1")

    assert login == f"{prefix}/accounts/login/?next={prefix}/figures%3Fa%3D1"
    assert back == f"{prefix}/figures?a=1"


async def test_cookies__are_secure(edge, viewer):
    """Session, CSRF and affinity cookies go over HTTPS only."""
    async with viewer.get("/") as response:
        assert response.status == 200

    cookies = {cookie.key: cookie for cookie in viewer.http.cookie_jar}

    for name in ("sessionid", "csrftoken", "fluxlit_affinity"):
        assert cookies[name]["secure"], name


async def test_document_and_files(edge, viewer):
    """The document, Streamlit's bundle and Django's own static files come through the edge."""
    async with viewer.get("/") as response:
        bundle = re.findall(r'src="\./(static/js/[^"]+\.js)"', await response.text())
    async with viewer.get("/admin/") as response:
        style = re.findall(r'href="([^"]+\.css)"', await response.text())

    async with viewer.get(f"/{bundle[0]}") as script, viewer.http.get(style[0]) as css:
        statuses = script.status, css.status

    assert statuses == (200, 200)
    assert style[0].startswith(f"{viewer.prefix}/static/")
    assert "immutable" in script.headers["Cache-Control"]


async def test_socket__session_and_reruns(edge, viewer):
    """The WebSocket opens with its subprotocol, runs the script, and resumes its session when reopened."""
    async with viewer.streamlit() as client:
        protocol = client.socket.protocol or client.socket._response.headers["Sec-WebSocket-Protocol"]
        first = await client.rerun()
        second = await client.rerun()
        session = client.session_id
    async with viewer.streamlit(session_id=session) as client:
        resumed = await client.rerun()

    assert protocol == "streamlit"
    assert [run.finished for run in (first, second, resumed)] == ["FINISHED_SUCCESSFULLY"] * 3
    assert client.session_id == session


async def test_context__is_the_browsers(edge, viewer, new_viewer):
    """A script sees the browser's own address and host, whatever a browser claims; and no forwarded junk."""
    liar = new_viewer(headers=LIES)
    await liar.sign_in()

    async with viewer.streamlit() as client:
        honest = await shown(client)
    async with liar.streamlit() as client:
        lied = await shown(client)

    assert [honest["ip_address"], lied["ip_address"]] == [CLIENT, CLIENT]
    assert honest["user"] == lied["user"]
    for seen in (honest, lied):
        headers = {name.lower(): value for name, value in seen["headers"].items()}
        said = "\n".join([*headers, *headers.values()])
        assert headers["host"] == viewer.origin.removeprefix("https://")
        assert headers.get("x-forwarded-proto", "https") == "https"
        assert "6.6.6.6" not in said
        assert "evil" not in said
        assert not set(seen["cookies"]) & {"sessionid", "csrftoken", "fluxlit_affinity"}


async def test_lies__change_no_link(edge, new_viewer):
    """What a browser claims of host, scheme and prefix changes no redirect."""
    liar = new_viewer(headers=LIES)

    async with liar.get("/page") as response:
        location = response.headers["Location"]

    assert location == f"{liar.prefix}/accounts/login/?next={liar.prefix}/page"


async def test_upload__reaches_the_script(edge, viewer):
    """A file is uploaded with Streamlit's XSRF token, and not without it."""
    async with viewer.streamlit() as client:
        uploader = (await client.rerun()).widget("File")
        urls = await client.upload_url("data.bin")

        refused, _ = await viewer.upload(urls.upload_url, b"x", xsrf="")
        status, text = await viewer.upload(urls.upload_url, b"x" * 300_000)
        run = await client.rerun_with_file(uploader, urls, "data.bin", 300_000)

    assert refused == 403
    assert status == 204, text
    assert run.texts()[-1] == "300000 bytes"


@pytest.mark.parametrize("size", [CAP + 1, 8 * CAP], ids=["just over", "far over"])
async def test_upload__too_large(edge, viewer, size):
    """An upload over the cap is answered with the gateway's own 413, however much of it is on its way."""
    async with viewer.streamlit() as client:
        await client.rerun()
        urls = await client.upload_url("data.bin")

        status, text = await viewer.upload(urls.upload_url, b"x" * size)

    assert status == 413
    assert str(CAP) in text


async def test_upload__too_large_and_chunked(edge, viewer):
    """An upload of unknown length is cut off at the cap."""

    async def pieces():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="data.bin"\r\n\r\n'
        for _ in range(64):
            yield b"x" * (CAP // 16)

    async with viewer.streamlit() as client:
        await client.rerun()
        urls = await client.upload_url("data.bin")
        await viewer.load_xsrf()
        headers = {
            "X-Xsrftoken": viewer.cookie("_streamlit_xsrf"),
            "Content-Type": "multipart/form-data; boundary=x",
        }
        async with viewer.http.put(
            f"{viewer.prefix}{urls.upload_url}", data=pieces(), headers=headers
        ) as response:
            status = response.status

    assert status == 413

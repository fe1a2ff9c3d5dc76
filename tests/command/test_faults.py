"""What the whole command does when a part of it dies: real Streamlit, real gateway, real kills."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.site import ROOT, Site, manage, running_site, site_environment
from tests.streamlit_protocol import Closed, StreamlitClient

SCRIPT = """
import streamlit as st

st.session_state["runs"] = st.session_state.get("runs", 0) + 1
st.write(f"run {st.session_state['runs']}")
upload = st.file_uploader("File")
if upload is not None:
    st.write(f"{upload.name}: {len(upload.getvalue())} bytes")
"""
HOLDING = """
import re
from pathlib import Path

Path(__file__).with_name("holding").touch()
re.match("(a+)+$", 40 * "a" + "b")  # takes hours, and no other thread gets its turn meanwhile
"""
HOLDING_URLS = """
import importlib

from django.urls import path

urlpatterns = [path("hold/", lambda request: importlib.import_module("holding"))]
"""
HOLDING_SETTINGS = """
from project.settings import *

ROOT_URLCONF = "holding_urls"
"""
SESSIONS = 10  # of each app


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A site that is open to everybody, with a plain script as its default app."""
    folder = tmp_path_factory.mktemp("faults")
    script = folder / "plain.py"
    script.write_text(SCRIPT)
    environment = site_environment(folder, FLUXLIT_SCRIPT=str(script), FLUXLIT_ACCESS="public")
    manage(environment, "migrate", "-v0")
    return environment


@pytest.fixture(params=["uvicorn", "daphne"])
def server(request: pytest.FixtureRequest) -> str:
    """Both servers."""
    return request.param


@pytest.fixture
def site(environment: dict[str, str]) -> Iterator[Site]:
    """The command with its defaults."""
    with running_site(environment) as running:
        yield running


def tab(site: Site, **options) -> StreamlitClient:
    """A browser tab on the default app."""
    return StreamlitClient(site.url, headers={"Origin": site.url}, **options)


async def keep_rerunning(site: Site, stop: asyncio.Event) -> tuple[int, float]:
    """Rerun until told to stop, reconnecting as a browser does; the count and the longest pause."""
    count, longest, last = 0, 0.0, time.monotonic()
    while not stop.is_set():
        with contextlib.suppress(Closed, aiohttp.ClientError, ConnectionError):
            async with tab(site) as client:
                while not stop.is_set():
                    await client.rerun()
                    count, longest, last = count + 1, max(longest, time.monotonic() - last), time.monotonic()
    return count, longest


async def test_sidecar_killed__while_twenty_sessions_rerun(site):
    """All sessions rerun again by themselves, through the same gateway."""
    stop = asyncio.Event()
    gateway = site.child("fluxlit_django.gateway")
    sessions = [asyncio.create_task(keep_rerunning(site, stop)) for _ in range(2 * SESSIONS)]
    await asyncio.to_thread(site.wait_until_ready_again)

    os.kill(site.child("fluxlit_django.sidecar", "default"), signal.SIGKILL)
    await asyncio.to_thread(wait_for_line, site, "default-0 serves again")
    await asyncio.sleep(1)  # a while of normal work, in which every session has to come back
    stop.set()
    results = await asyncio.gather(*sessions)

    assert all(count > 0 for count, _ in results)
    assert max(longest for _, longest in results) < 10
    assert site.child("fluxlit_django.gateway") == gateway


async def test_sidecar_killed__other_apps_go_on(environment, tmp_path):
    """An app's sockets stay open while another app's sidecar dies."""
    async with _two_tabs(environment) as (site, default, explore):
        await explore.rerun()

        os.kill(site.child("fluxlit_django.sidecar", "default"), signal.SIGKILL)
        with pytest.raises(Closed) as closed:
            await default.collect()

        assert closed.value.code == 1011
        assert "Waves" in "".join((await explore.rerun()).texts())


@contextlib.asynccontextmanager
async def _two_tabs(environment):
    settings = {"FLUXLIT_ACCESS": "public"}
    with running_site(
        {**environment, **settings, "DJANGO_SETTINGS_MODULE": "tests.command.settings"}
    ) as site:
        async with tab(site) as default, tab(site, base_path="/explore") as explore:
            yield site, default, explore


async def test_gateway_worker_killed__others_serve(environment):
    """With two workers, killing one loses its own sockets only; it is started again."""
    with running_site(environment, "--workers", "2", "--streamlit-workers", "2") as site:
        os.kill(site.child("fluxlit_django.gateway"), signal.SIGKILL)
        await asyncio.to_thread(wait_for_line, site, re.compile(r"gateway-\d serves again"))

        async with tab(site) as client:
            run = await client.rerun()

        assert run.texts() == ["run 1"]


def test_supervisor_killed__no_child_survives(environment):
    """SIGKILL of the command takes gateway and sidecars with it."""
    with running_site(environment) as site:
        children = [site.child("fluxlit_django.gateway"), site.child("fluxlit_django.sidecar", "default")]

        site.process.kill()
        site.process.wait()

        assert is_so_within(2, lambda: not any(is_alive(pid) for pid in children))


async def test_supervisor_killed__while_a_script_holds_its_process(environment, tmp_path):
    """A sidecar that hears nothing, as a script keeps the interpreter to itself, goes as well."""
    script, holding = tmp_path / "holding.py", tmp_path / "holding"
    script.write_text(HOLDING)
    with running_site({**environment, "FLUXLIT_SCRIPT": str(script)}) as site:
        sidecar = site.child("fluxlit_django.sidecar", "default")
        with killed_at_last(sidecar):
            async with tab(site) as client:
                await client.send_rerun()
                assert await asyncio.to_thread(is_so_within, 30, holding.exists), site.log

                site.process.kill()
                site.process.wait()

                assert await asyncio.to_thread(is_so_within, 2, lambda: not is_alive(sidecar))


def test_supervisor_killed__while_a_view_holds_its_process(environment, tmp_path):
    """Nor does a gateway worker stay whose view keeps the interpreter to itself."""
    holding = tmp_path / "holding"
    modules = {"holding": HOLDING, "holding_urls": HOLDING_URLS, "holding_settings": HOLDING_SETTINGS}
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    variables = {"PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "holding_settings"}
    with running_site({**environment, **variables}) as site:
        worker, address = site.child("fluxlit_django.gateway"), ("127.0.0.1", urlsplit(site.url).port)
        with killed_at_last(worker), socket.create_connection(address) as browser:
            browser.sendall(b"GET /hold/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert is_so_within(30, holding.exists), site.log

            site.process.kill()
            site.process.wait()

            assert is_so_within(2, lambda: not is_alive(worker))


def test_sidecar_that_cannot_start__fails_the_command(environment, tmp_path):
    """A broken Streamlit configuration ends the command within seconds, with the sidecar's own words."""
    script = tmp_path / "app.py"
    script.write_text("import streamlit as st\n")
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text("[server\nport = ")
    started = time.monotonic()

    done = subprocess.run(
        [sys.executable, "manage.py", "fluxlit_run", "--port", "0"],
        cwd=ROOT,
        env={**environment, "FLUXLIT_SCRIPT": str(script)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert "default-0" in done.stderr
    assert "config.toml" in done.stderr
    assert "Traceback" not in done.stderr
    # The bar is 5 s on an idle machine.
    assert time.monotonic() - started < 20


async def test_both_servers__rerun_upload_and_stop(environment, server):
    """Rerun, upload and an orderly stop work the same on both servers, with several workers and sidecars."""
    with running_site(environment, "--server", server, "--workers", "2", "--streamlit-workers", "2") as site:
        async with tab(site) as client:
            await browse(client)
            uploader = (await client.rerun()).widget("File")

            text = await upload(client, site, uploader, b"x" * 300_000)

            assert text == "data.bin: 300000 bytes"
        assert site.stop() == 0


async def browse(client: StreamlitClient) -> None:
    """Load what a browser loads before it opens its socket; the cookies come with it."""
    await client.close()
    client._http = None
    async with client.http.get("/") as response:
        assert response.status == 200
    async with client.http.get("/_stcore/health") as response:
        assert response.status == 200
    await client.connect()


async def upload(client: StreamlitClient, site: Site, uploader, content: bytes) -> str:
    """Upload a file to a session and have it seen; what the script says of it."""
    from streamlit.proto.BackMsg_pb2 import BackMsg

    message = BackMsg()
    message.file_urls_request.request_id = "1"
    message.file_urls_request.session_id = client.session_id or ""
    message.file_urls_request.file_names.append("data.bin")
    await client.socket.send_bytes(message.SerializeToString())
    while True:
        answer = await client.receive()
        if answer.WhichOneof("type") == "file_urls_response":
            break
    urls = answer.file_urls_response.file_urls[0]
    token = next(cookie.value for cookie in client.http.cookie_jar if cookie.key == "_streamlit_xsrf")
    form = aiohttp.FormData()
    form.add_field("data.bin", content, filename="data.bin")
    async with client.http.put(urls.upload_url, data=form, headers={"X-Xsrftoken": token}) as response:
        assert response.status in {200, 204}, await response.text()
    state = BackMsg()
    widget = state.rerun_script.widget_states.widgets.add(id=uploader.id)
    info = widget.file_uploader_state_value.uploaded_file_info.add()
    info.file_id, info.name, info.size = urls.file_id, "data.bin", len(content)
    info.file_urls.CopyFrom(urls)
    await client.socket.send_bytes(state.SerializeToString())
    return (await client.collect()).texts()[-1]


def wait_for_line(site: Site, wanted: str | re.Pattern[str], limit_s: float = 30) -> None:
    """Wait until the command has printed something."""
    assert is_so_within(limit_s, lambda: re.search(wanted, site.log) is not None), site.log


def is_so_within(limit_s: float, condition: Callable[[], bool]) -> bool:
    """Wait for what nothing announces, such as the end of a process that is not our child."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextlib.contextmanager
def killed_at_last(pid: int) -> Iterator[None]:
    """Leave nothing behind that holds a core for hours, should it outlive the block."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False

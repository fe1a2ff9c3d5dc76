from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from tests.sidecar import process
from tests.sidecar.process import Sidecar
from tests.streamlit_protocol import Closed, StreamlitClient

# Settings that never finish importing; they say so on the control line.
STARTING = """
import os, sys, threading
import django
def setup():
    os.write(int(os.environ["FLUXLIT_CONTROL_FD"]), b"x")
    threading.Event().wait()
django.setup = setup
from fluxlit_django.sidecar.__main__ import main
main(sys.argv[1:])
"""

ENDS_WITHIN_S = 10  # generous: the point is that it ends at all, by itself


def test_sidecar__missing_script(tmp_path: Path) -> None:
    """One sentence that names the value and the remedy, no traceback, exit code 1."""
    script = tmp_path / "gone.py"

    code, output = process.ended(process.spawn(env={"FLUXLIT_SCRIPT": str(script)}), ENDS_WITHIN_S)

    expected = f"FLUXLIT_SCRIPT is '{script}': No such file or directory. Use the path of a Python file.\n"
    assert expected == output
    assert 1 == code


def test_sidecar__unknown_app() -> None:
    """An app that is not configured ends the process with the names of those that are."""
    code, output = process.ended(process.spawn("sales"), ENDS_WITHIN_S)

    assert "There is no Streamlit app named 'sales'; known are: default.\n" == output
    assert 1 == code


def test_sidecar__no_listening_socket() -> None:
    """Started by hand it says how it is started."""
    code, output = process.ended(process.spawn(env={"FLUXLIT_LISTEN_FD": ""}), ENDS_WITHIN_S)

    assert "manage.py fluxlit_run" in output
    assert 1 == code


def test_sidecar__broken_config_toml(tmp_path: Path) -> None:
    """A file that is not TOML is named."""
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text("[theme\n")

    code, output = process.ended(process.spawn(cwd=tmp_path), ENDS_WITHIN_S)

    assert str(tmp_path / ".streamlit" / "config.toml") in output
    assert "Traceback" not in output
    assert 1 == code


def test_sidecar__broken_variable() -> None:
    """A STREAMLIT_ variable of the wrong type is named."""
    env = {"STREAMLIT_SERVER_MAX_UPLOAD_SIZE": "huge"}

    code, output = process.ended(process.spawn(env=env), ENDS_WITHIN_S)

    assert "'huge' is not a valid integer" in output
    assert "STREAMLIT_SERVER_MAX_UPLOAD_SIZE" in output
    assert "Traceback" not in output
    assert 1 == code


def test_sidecar__ends_with_its_supervisor() -> None:
    """The end of the control line ends the process at once, whatever it is doing."""
    with process.running() as sidecar:
        sidecar.line.close()

        code = sidecar.process.wait(ENDS_WITHIN_S)

    assert 1 == code


def test_sidecar__sigterm_before_it_serves() -> None:
    """Told to stop while it starts, it stops at once and without an error."""
    sidecar = process.spawn(module=("-c", STARTING))
    try:
        sidecar.line.recv(1)

        code = sidecar.stop()
    finally:
        process.close(sidecar)

    assert 0 == code


async def test_sidecar__sigterm_lets_a_run_end(tmp_path: Path) -> None:
    """On SIGTERM a running script still finishes; then the socket closes with 1012 and the exit code is 0."""
    script = tmp_path / "slow.py"
    script.write_text("import time\nimport streamlit as st\nst.text('a')\ntime.sleep(1)\nst.text('b')\n")
    with process.running(env={"FLUXLIT_SCRIPT": str(script)}) as sidecar:
        async with StreamlitClient(sidecar.address) as client:
            await client.send_rerun()
            while (await client.receive()).WhichOneof("type") != "delta":
                """The script runs."""

            sidecar.process.terminate()
            rest = await client.collect()
            with pytest.raises(Closed) as closed:
                await client.collect()

        assert ["b"] == rest.texts()
        assert 1012 == closed.value.code
        assert 0 == sidecar.process.wait(ENDS_WITHIN_S)


async def test_script__own_asgi_app(tmp_path: Path) -> None:
    """A script with `app = st.App(…)` is served as `streamlit run` serves it, its own routes included."""
    (tmp_path / "main.py").write_text("import streamlit as st\nst.text('inner')\n")
    (tmp_path / "launcher.py").write_text(
        "import streamlit as st\n"
        "from starlette.responses import PlainTextResponse\n"
        "from starlette.routing import Route\n"
        "app = st.App('main.py', routes=[Route('/own', lambda request: PlainTextResponse('own'))])\n"
    )
    with process.running(env={"FLUXLIT_SCRIPT": str(tmp_path / "launcher.py")}) as sidecar:
        async with StreamlitClient(sidecar.address) as client:
            run = await client.rerun()
            own = await (await client.http.get("/own")).text()

    assert ["inner"] == run.texts()
    assert "own" == own


async def test_user__from_the_gateways_headers(script_sidecar: Sidecar) -> None:
    """`st.user` and the address of the viewer are what the gateway says."""
    headers = {
        "X-Fluxlit-User-Id": "7",
        "X-Fluxlit-User-Username": "ada",
        "X-Fluxlit-User-Groups": "sales,staff",
        "X-Fluxlit-User-Is-Staff": "true",
        "X-Forwarded-For": "203.0.113.9",
    }
    async with StreamlitClient(script_sidecar.address, headers=headers) as client:
        run = await client.rerun(query="way=user")
        body = next(element.json.body for element in run.elements() if element.HasField("json"))

    for expected in ('"id": "7"', '"username": "ada"', '"groups": "sales,staff"', '"is_staff": "true"'):
        assert expected in body
    assert "203.0.113.9" in run.texts()


async def test_http__no_server_header(script_sidecar: Sidecar) -> None:
    """Nobody needs to know what serves."""
    async with StreamlitClient(script_sidecar.address) as client:
        response = await client.http.get("/_stcore/health")

    assert 200 == response.status
    assert "server" not in response.headers


async def test_websocket__foreign_origin_refused(script_sidecar: Sidecar) -> None:
    """Streamlit's own Origin check stays on."""
    client = StreamlitClient(script_sidecar.address, headers={"Origin": "https://evil.example"})

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.connect()
    await client.close()

    assert 403 == refused.value.status


async def test_websocket__large_handshake(script_sidecar: Sidecar) -> None:
    """What the gateway lets through is answered: a few large cookies, many headers."""
    headers = {"Cookie": f"_streamlit_user={'x' * 50_000}", **{f"X-{number}": "x" for number in range(150)}}

    async with StreamlitClient(script_sidecar.address, headers=headers) as client:
        assert (await client.rerun()).finished == "FINISHED_SUCCESSFULLY"


async def test_websocket__no_compression(script_sidecar: Sidecar) -> None:
    """The local hop does not spend time on deflate."""
    async with StreamlitClient(script_sidecar.address) as client:
        assert 0 == client.socket.compress


async def test_session__resumes(script_sidecar: Sidecar) -> None:
    """The third entry of the subprotocol line brings a session back, with its state."""
    async with StreamlitClient(script_sidecar.address) as client:
        await client.rerun(query="way=rerun")
        session_id = client.session_id
    async with StreamlitClient(script_sidecar.address, session_id=session_id) as client:
        await client.rerun()

        assert session_id == client.session_id


async def test_message__25_megabytes_up(script_sidecar: Sidecar) -> None:
    """The largest message that Streamlit accepts gets through."""
    async with StreamlitClient(script_sidecar.address) as client:
        run = await client.rerun(query="way=success", widgets={"unknown": "x" * 24_000_000})

    assert ["queried"] == run.texts()


async def test_sub_path__everything_below_it(tmp_path: Path) -> None:
    """The root path and the mount are the base of all of Streamlit's paths."""
    script = tmp_path / "plain.py"
    script.write_text("import streamlit as st\nst.text('below')\n")
    env = {"FLUXLIT_SCRIPT": str(script), "FLUXLIT_ROOT_PATH": "/team", "FLUXLIT_MOUNT": "/explore"}
    with process.running(env=env) as sidecar:
        async with StreamlitClient(sidecar.address, base_path="/team/explore") as client:
            run = await client.rerun()
            inside = (await client.http.get("/team/explore/_stcore/health")).status
            outside = (await client.http.get("/_stcore/health")).status

    assert ["below"] == run.texts()
    assert (200, 404) == (inside, outside)

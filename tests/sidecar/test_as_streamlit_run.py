"""What a script sees in a sidecar is what it sees under a real `streamlit run`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sidecar import process
from tests.streamlit_protocol import Run, StreamlitClient

SCRIPT = '''
"""Magic shows this."""
import json, os, sys
import streamlit as st
from streamlit import config
import helper

"magic:", helper.NAME
names = ["theme.primaryColor", "theme.font", "client.toolbarMode", "server.maxUploadSize",
         "runner.fastReruns", "server.enableStaticServing", "server.enableXsrfProtection",
         "global.disableWidgetStateDuplicationWarning", "server.disconnectedSessionTTL"]
seen = {
    "cwd": os.getcwd(), "argv": sys.argv, "path": sys.path[0], "name": __name__, "file": __file__,
    "main": sys.modules["__main__"].__file__, "relative": open("beside.txt").read(),
    "secrets": st.secrets.to_dict(), "environ": os.environ.get("top"),
    "options": {name: config.get_option(name) for name in names},
}
st.code(json.dumps(seen))
'''

BESIDE_CONFIG = """
[theme]
primaryColor = "#111111"
[client]
toolbarMode = "minimal"
[server]
enableStaticServing = true
maxUploadSize = 33
[runner]
fastReruns = false
"""

CWD_CONFIG = """
[theme]
primaryColor = "#222222"
font = "serif"
"""

ENVIRONMENT = {
    "STREAMLIT_THEME_FONT": "monospace",
    "STREAMLIT_GLOBAL_DISABLE_WIDGET_STATE_DUPLICATION_WARNING": "true",
    "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "77",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a script in a folder below it, each with its own `.streamlit`."""
    root = tmp_path_factory.mktemp("project")
    files = {
        "beside.txt": "from the working directory",
        ".streamlit/config.toml": CWD_CONFIG,
        ".streamlit/secrets.toml": 'top = "cwd"\n[db]\npassword = "p"\n',
        "app/.streamlit/config.toml": BESIDE_CONFIG,
        "app/.streamlit/secrets.toml": 'top = "beside"\n',
        "app/dash.py": SCRIPT,
        "app/helper.py": 'NAME = "helper"\n',
        "app/pages/2_Second_page.py": 'import streamlit as st\n"second magic"\nst.text(__file__)\n',
        "app/static/file.txt": "static file",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def sidecar_address(project: Path) -> Iterator[str]:
    env = {"FLUXLIT_SCRIPT": "app/dash.py", **ENVIRONMENT}
    with process.running(env=env, cwd=project) as sidecar:
        yield sidecar.address


@pytest.fixture(scope="module")
def streamlit_address(project: Path) -> Iterator[str]:
    arguments = ["--server.port=0", "--server.address=127.0.0.1", "--server.headless=true"]
    with subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app/dash.py", *arguments],
        cwd=project,
        env={**os.environ, **ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as streamlit:
        try:
            assert streamlit.stdout is not None
            found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in streamlit.stdout)
            yield next(match.group() for match in found if match)
        finally:
            streamlit.kill()


@contextlib.asynccontextmanager
async def visit(address: str, page: str = "") -> AsyncIterator[tuple[StreamlitClient, Run]]:
    async with StreamlitClient(address) as client:
        yield client, await client.rerun(page=page)


async def test_script__sees_the_same(sidecar_address: str, streamlit_address: str) -> None:
    """Magic, options, secrets, directories, arguments and names: all equal."""
    async with visit(streamlit_address) as (_, theirs), visit(sidecar_address) as (_, ours):
        expected, actual = theirs.texts(), ours.texts()

    assert "magic:" in expected[0]
    assert expected == actual


async def test_script__sees_what_the_files_say(sidecar_address: str, project: Path) -> None:
    """The comparison above compares something: nearer files win over farther ones, variables over files."""
    async with visit(sidecar_address) as (_, run):
        seen: dict[str, Any] = json.loads(run.texts()[-1])

    assert str(project) == seen["cwd"]
    assert [str(project / "app" / "dash.py")] == seen["argv"]
    assert "monospace" == seen["options"]["theme.font"]
    assert 33 == seen["options"]["server.maxUploadSize"]
    assert 77 == seen["options"]["server.disconnectedSessionTTL"]


async def test_browser__is_told_the_same(sidecar_address: str, streamlit_address: str) -> None:
    """The theme and the settings in the first message are equal, the default for statistics apart."""
    async with visit(streamlit_address) as (_, theirs), visit(sidecar_address) as (_, ours):
        expected, actual = theirs.new_session, ours.new_session

    assert expected.custom_theme == actual.custom_theme
    for name in ("max_cached_message_age", "allow_run_on_save", "hide_top_bar", "toolbar_mode"):
        assert getattr(expected.config, name) == getattr(actual.config, name)


async def test_pages_folder__same_pages(sidecar_address: str, streamlit_address: str) -> None:
    """The `pages/` folder beside the script makes the navigation."""
    async with (
        visit(streamlit_address, "Second_page") as (_, theirs),
        visit(sidecar_address, "Second_page") as (_, ours),
    ):
        expected, actual = theirs, ours

    assert "second magic" == expected.texts()[0]
    assert expected.texts() == actual.texts()
    assert [page.page_name for page in expected.navigation.app_pages] == [
        page.page_name for page in actual.navigation.app_pages
    ]


async def test_static_serving__same_file(sidecar_address: str, streamlit_address: str) -> None:
    """`server.enableStaticServing` serves the folder `static` beside the script."""
    answers = []
    for address in (streamlit_address, sidecar_address):
        async with visit(address) as (client, _):
            response = await client.http.get("/app/static/file.txt")
            answers.append((response.status, await response.text()))

    assert [(200, "static file")] * 2 == answers

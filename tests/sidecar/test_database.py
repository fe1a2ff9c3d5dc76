from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

from fluxlit_django.sidecar import runs
from tests.sidecar.process import Sidecar
from tests.streamlit_protocol import StreamlitClient

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts open files in /proc")


@pytest.mark.parametrize("way", ["success", "error", "atomic-error", "stop", "rerun", "fragment", "parallel"])
async def test_connection__closed_when_the_run_ends(
    script_sidecar: Sidecar, database: Path, way: str
) -> None:
    """Once the browser hears that a run is over, its connection is closed, however it ended."""
    async with StreamlitClient(script_sidecar.address) as client:
        run = await client.rerun(query=f"way={way}")

    assert "FINISHED_SUCCESSFULLY" == run.finished
    assert 0 == script_sidecar.open_files(database)


async def test_connection__closed_after_an_interrupted_run(script_sidecar: Sidecar, database: Path) -> None:
    """A run that gives way to a newer one closes its connection."""
    async with StreamlitClient(script_sidecar.address) as client:
        await client.send_rerun(query="way=interrupted")
        while (await client.receive()).WhichOneof("type") != "delta":
            """Its first element tells that the query is done."""
        during = script_sidecar.open_files(database)
        await client.send_rerun(query="")
        # Streamlit starts the newer run in a thread of its own; the older one ends at its next element.
        await client.collect()
        await _until(lambda: script_sidecar.open_files(database) == 0)

    assert 1 == during


async def test_connection__closed_after_system_exit(script_sidecar: Sidecar, database: Path) -> None:
    """A script that calls sys.exit() ends its thread without a word to the browser."""
    async with StreamlitClient(script_sidecar.address) as client:
        await client.send_rerun(query="way=exit")
        while (await client.receive()).WhichOneof("type") != "delta":
            """Its first element tells that the query is done."""
        await _until(lambda: script_sidecar.open_files(database) == 0)
        run = await client.rerun(query="way=success")

    assert ["queried"] == run.texts()


async def test_connection__closed_after_a_callback(script_sidecar: Sidecar, database: Path) -> None:
    """A connection that a widget's callback opened ends with its run."""
    async with StreamlitClient(script_sidecar.address) as client:
        run = await client.rerun(query="way=callback")
        button = run.widget("Query")
        await client.rerun(query="way=callback", widgets={button.id: True})

    assert 0 == script_sidecar.open_files(database)


async def test_connection__closed_after_a_deferred_download(script_sidecar: Sidecar, database: Path) -> None:
    """A download that is made when it is asked for is made outside any run."""
    async with StreamlitClient(script_sidecar.address) as client:
        button = (await client.rerun(query="way=download")).widget("Get it")
        url = await client.generate_download(button.deferred_file_id)
        body = await (await client.http.get(url)).text()

    assert "downloaded" == body
    assert 0 == script_sidecar.open_files(database)


async def _until(condition: object, timeout: float = 5.0) -> None:
    assert callable(condition)
    deadline = asyncio.get_running_loop().time() + timeout
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.01)


def test_script_runner__has_the_methods_that_are_wrapped() -> None:
    """Read in Streamlit 1.57 and 1.67: when one of these is gone, `sidecar.runs` needs a new look."""
    from streamlit.runtime.media_file_manager import MediaFileManager

    wrapped = [
        (ScriptRunner, "_run_script"),
        (ScriptRunner, "_on_script_finished"),
        (MediaFileManager, "execute_deferred"),
    ]
    if find_spec(runs.PARALLEL_MODULE):
        wrapped.append((import_module(runs.PARALLEL_MODULE).ParallelFragmentCoordinator, "submit"))
    for owner, name in wrapped:
        assert callable(getattr(owner, name, None)), f"{owner.__name__}.{name} is gone"

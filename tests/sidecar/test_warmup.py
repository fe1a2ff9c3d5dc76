"""What a sidecar does before it takes visitors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fluxlit_django.exceptions import ConfigError
from fluxlit_django.sidecar import warmup
from tests.sidecar import process
from tests.streamlit_protocol import StreamlitClient

COUNTS = """
import sys
import streamlit as st

@st.cache_resource
def runs():
    return []

runs().append(st.context.ip_address)
st.session_state["mine"] = st.session_state.get("mine", 0) + 1
st.text(f"run {len(runs())}, mine {st.session_state['mine']}")
st.text("wave" in sys.modules)
"""


def write(tmp_path: Path, text: str) -> str:
    """A script."""
    script = tmp_path / "script.py"
    script.write_text(text)
    return str(script)


async def test_warm_up__before_the_first_visitor(tmp_path: Path) -> None:
    """The script has run once, what it cached is there, and its session is nobody's and gone."""
    env = {"FLUXLIT_SCRIPT": write(tmp_path, COUNTS), "FLUXLIT_STREAMLIT_WARM_UP": "1"}
    with process.running(env={**env, "FLUXLIT_STREAMLIT_MAX_SESSIONS": "1"}) as sidecar:
        async with StreamlitClient(sidecar.address) as client:
            run = await client.rerun()

    assert "run 2, mine 1" in run.texts()


async def test_warm_up__off_by_default(tmp_path: Path) -> None:
    """Unless asked for, a script runs for visitors only."""
    with process.running(env={"FLUXLIT_SCRIPT": write(tmp_path, COUNTS)}) as sidecar:
        async with StreamlitClient(sidecar.address) as client:
            run = await client.rerun()

    assert "run 1, mine 1" in run.texts()


async def test_warm_up__script_that_raises(tmp_path: Path) -> None:
    """A script that raises, as for want of a signed-in viewer, keeps nobody out."""
    script = write(tmp_path, "import streamlit as st\nst.text('in')\nraise RuntimeError('no viewer')\n")
    with process.running(env={"FLUXLIT_SCRIPT": script, "FLUXLIT_STREAMLIT_WARM_UP": "1"}) as sidecar:
        async with StreamlitClient(sidecar.address) as client:
            run = await client.rerun()

    assert ["in"] == run.texts()


async def test_warm_up__pages() -> None:
    """An app that is made of pages is warmed up as well."""
    with process.running(env={"FLUXLIT_STREAMLIT_WARM_UP": "1"}) as sidecar:
        async with StreamlitClient(sidecar.address) as client:
            run = await client.rerun()

    assert "FINISHED_SUCCESSFULLY" == run.finished


async def test_preimport__before_the_script(tmp_path: Path) -> None:
    """A listed module is there before a script asks for it."""
    env = {"FLUXLIT_SCRIPT": write(tmp_path, COUNTS), "FLUXLIT_STREAMLIT_PREIMPORT": "wave,colorsys"}
    with process.running(env=env) as sidecar:
        async with StreamlitClient(sidecar.address) as client:
            run = await client.rerun()

    assert "True" in run.texts()


def test_preimport__of_nothing() -> None:
    """A module that is not there is named, with the setting."""
    with pytest.raises(ConfigError, match=r"FLUXLIT_STREAMLIT_PREIMPORT names 'no_such_module'"):
        warmup.preimport(["no_such_module"])

    assert "no_such_module" not in sys.modules

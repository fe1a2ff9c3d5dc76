"""What Streamlit logs in a sidecar."""

from __future__ import annotations

import json
from pathlib import Path

from tests.sidecar import process
from tests.sidecar.process import Sidecar
from tests.streamlit_protocol import StreamlitClient


async def test_error__names_the_request(script_sidecar: Sidecar) -> None:
    """The error of a script is logged under the id of the socket whose session it is of."""
    async with StreamlitClient(script_sidecar.address, headers={"X-Request-ID": "socket-17"}) as client:
        await client.rerun(query="way=error")
    async with StreamlitClient(script_sidecar.address, headers={"X-Request-ID": "socket-18"}) as client:
        await client.rerun()

    lines = [line for line in script_sidecar.log.read_text().splitlines() if "request_id=socket-1" in line]
    assert ["Uncaught app execution request_id=socket-17"] == [line.split(": ")[-1] for line in lines]


async def test_error__json(tmp_path: Path) -> None:
    """In JSON, an error with its traceback is one line, without the secrets in it."""
    script = tmp_path / "fails.py"
    script.write_text("raise ValueError('http://h/?token=abc')")
    with process.running(env={"FLUXLIT_SCRIPT": str(script), "FLUXLIT_LOG_FORMAT": "json"}) as sidecar:
        async with StreamlitClient(sidecar.address, headers={"X-Request-ID": "socket-17"}) as client:
            await client.rerun()
        # What Streamlit prints before it has a logger is made JSON by fluxlit_run, which is not here.
        lines = [json.loads(line) for line in sidecar.log.read_text().splitlines() if line[:1] == "{"]

    line = next(line for line in lines if line["message"] == "Uncaught app execution")
    assert "socket-17" == line["request_id"]
    assert line["exception"].endswith("ValueError: http://h/?token=[REDACTED]")

"""A real Prometheus on a free port of this machine, with the configuration in `deploy/prometheus`."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.site import ROOT

FILES = ROOT / "deploy" / "prometheus"
LIMIT_S = 60


def find_program(name: str) -> str:
    """The path of `prometheus` or `promtool`; without it the test is skipped."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"there is no {name} on this machine (Debian: apt install prometheus)")
    return path


class Prometheus:
    """A running server."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API.

        Raises:
            urllib.error.HTTPError: it does not understand the question.
        """
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}?{query}", timeout=10) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The value of each series of an expression, by its labels."""
        found = self.get("query", query=expression)["result"]
        return {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in found}

    def wait_for(self, expression: str, holds: Callable[[list[float]], bool]) -> list[float]:
        """The values of an expression, once they are as wanted."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            values = list(self.query(expression).values())
            if holds(values):
                return values
            assert time.monotonic() < deadline, (expression, values)
            # A scrape has nothing to wait on but the next one.
            threading.Event().wait(0.2)


@contextlib.contextmanager
def running_prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """Run a server that scrapes a target every second, until the end of the block."""
    program = find_program("prometheus")
    config = (FILES / "prometheus.yml").read_text()
    config = config.replace("127.0.0.1:8000", target).replace("15s", "1s")
    (folder / "prometheus.yml").write_text(config)
    shutil.copy(FILES / "rules.yml", folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        server = Prometheus(port)
        _wait_until_ready(server, process, folder / "prometheus.log")
        yield server
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_ready(server: Prometheus, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            server.get("status/buildinfo")
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            threading.Event().wait(0.1)
        else:
            return

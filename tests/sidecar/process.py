"""A real sidecar process, started as the supervisor starts it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass
class Sidecar:
    """A running sidecar and the test's end of its control line."""

    process: subprocess.Popen[str]
    line: socket.socket
    path: str
    log: Path
    _told: bytes = b""

    @property
    def address(self) -> str:
        """Its address, as in `SidecarStatus`."""
        return f"unix:{self.path}"

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait for its `ready` message; fail with its log when it ends first."""
        assert self.next_message(timeout) == {"type": "ready"}

    def next_message(self, timeout: float = 30.0) -> dict[str, Any]:
        """The next message on its line, in the order in which they were told."""
        self.line.settimeout(timeout)
        while b"\n" not in self._told:
            chunk = self.line.recv(4096)
            assert chunk, f"the sidecar ended: {self.process.wait()}\n{self.log.read_text()}"
            self._told += chunk
        message, _, self._told = self._told.partition(b"\n")
        return json.loads(message)

    def open_files(self, path: Path) -> int:
        """How many descriptors it has open on a file (Linux)."""
        count = 0
        for descriptor in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                count += descriptor.readlink() == path
        return count

    def stop(self, timeout: float = 15.0) -> int:
        """SIGTERM, and its exit code."""
        self.process.terminate()
        return self.process.wait(timeout)


def spawn(
    app: str = "default",
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    module: tuple[str, ...] = ("-m", "fluxlit_django.sidecar"),
) -> Sidecar:
    """Start a sidecar on a fresh Unix socket; call `close` of it at the end, or use `running`."""
    directory = tempfile.mkdtemp(prefix="fluxlit-")
    path = f"{directory}/s.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(128)
    ours, theirs = socket.socketpair()
    log = Path(directory) / "log"
    ours_alone = ("FLUXLIT_", "STREAMLIT_", "TEST_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours_alone)}
    environment |= {
        "DJANGO_SETTINGS_MODULE": "tests.sidecar.settings",
        "PYTHONPATH": str(ROOT),
        "FLUXLIT_LISTEN_FD": str(listener.fileno()),
        "FLUXLIT_CONTROL_FD": str(theirs.fileno()),
        **(env or {}),
    }
    with listener, theirs, log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *module, app],
            env=environment,
            cwd=cwd or ROOT,
            pass_fds=(listener.fileno(), theirs.fileno()),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    return Sidecar(process, ours, path, log)


def ended(sidecar: Sidecar, timeout: float = 15.0) -> tuple[int, str]:
    """Wait for a sidecar that should end by itself; its exit code and what it printed."""
    try:
        return sidecar.process.wait(timeout), sidecar.log.read_text()
    finally:
        close(sidecar)


@contextlib.contextmanager
def running(
    app: str = "default", *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Sidecar]:
    """A sidecar that serves; killed at the end when it is still there."""
    sidecar = spawn(app, env=env, cwd=cwd)
    try:
        sidecar.wait_ready()
        yield sidecar
    finally:
        close(sidecar)


def close(sidecar: Sidecar) -> None:
    """End it and take its line and its directory away."""
    if sidecar.process.poll() is None:
        sidecar.process.kill()
    sidecar.process.wait()
    sidecar.line.close()
    shutil.rmtree(sidecar.log.parent)

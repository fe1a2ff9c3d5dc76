"""A real gateway worker, started and told of its sidecars as the supervisor does it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fluxlit_django.control import SidecarStatus, encode_sidecars

ROOT = Path(__file__).parents[2]
STOP_TIMEOUT_S = 20


@dataclasses.dataclass
class Worker:
    """A running worker and the test's end of its control line."""

    server: str
    process: subprocess.Popen[bytes]
    line: socket.socket
    port: int
    log: Path

    @property
    def origin(self) -> str:
        """The origin of its pages."""
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self) -> None:
        """Wait for its `ready` message; fail with its log when it ends first."""
        self.line.settimeout(30)
        received = b""
        while not received.endswith(b"\n"):
            chunk = self.line.recv(4096)
            assert chunk, f"the worker ended: {self.process.wait()}\n{self.log.read_text()}"
            received += chunk
        assert json.loads(received) == {"type": "ready"}

    def tell(self, sidecars: Sequence[SidecarStatus]) -> None:
        """Tell it of all sidecars."""
        self.line.sendall(json.dumps(encode_sidecars(list(sidecars))).encode() + b"\n")

    def terminate(self) -> None:
        """Ask it to stop."""
        self.process.send_signal(signal.SIGTERM)

    def forget_peak(self) -> int:
        """Start measuring its memory anew, and give what it has now, in bytes."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self._memory("VmRSS")

    def peak(self) -> int:
        """The most memory it had since `forget_peak`, in bytes."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise LookupError(name)


def spawn(server: str, env: Mapping[str, str], host: str) -> Worker:
    """Start a worker on a free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family, backlog=128)
    ours, theirs = socket.socketpair()
    descriptor, log = tempfile.mkstemp(prefix="gateway-", suffix=".log")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FLUXLIT_")}
    environment |= {
        "DJANGO_SETTINGS_MODULE": "tests.gateway.settings",
        "PYTHONPATH": os.pathsep.join(filter(None, (env.get("PYTHONPATH"), str(ROOT)))),
        "FLUXLIT_LISTEN_FD": str(listener.fileno()),
        "FLUXLIT_CONTROL_FD": str(theirs.fileno()),
        "FLUXLIT_SERVER": server,
        **{name: value for name, value in env.items() if name != "PYTHONPATH"},
    }
    with listener, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "fluxlit_django.gateway"],
            env=environment,
            cwd=ROOT,
            pass_fds=(listener.fileno(), theirs.fileno()),
            stdout=descriptor,
            stderr=subprocess.STDOUT,
        )
        os.close(descriptor)
        return Worker(server, process, ours, listener.getsockname()[1], Path(log))


@contextlib.contextmanager
def running(
    server: str,
    sidecars: Sequence[SidecarStatus],
    env: Mapping[str, str] | None = None,
    *,
    host: str = "127.0.0.1",
) -> Iterator[Worker]:
    """A worker that serves and knows its sidecars; killed at the end when it is still there."""
    worker = spawn(server, env or {}, host)
    try:
        worker.wait_ready()
        worker.tell(sidecars)
        yield worker
    finally:
        if worker.process.poll() is None:
            worker.process.kill()
        worker.process.wait()
        worker.line.close()
        worker.log.unlink()

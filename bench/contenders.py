"""The servers that are compared, each started in processes of its own on 127.0.0.1 and stopped by pid."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench import commands, processes
from bench.commands import BenchError
from bench.processes import ProcessId

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "bench" / "scripts"
PEERS = ROOT / "bench" / "peers"

HEALTH = "/_stcore/health"
_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 20.0
_POLL_S = 0.02
_LINES_SHOWN = 20


class Kind(enum.Enum):
    """What a contender is."""

    STREAMLIT = "streamlit"
    SIDECAR = "sidecar"
    OURS = "ours"
    NGINX = "nginx"
    FLUXLIT = "fluxlit"


@dataclass(frozen=True)
class Contender:
    """One way to serve a Streamlit script."""

    name: str
    label: str
    """For people."""
    kind: Kind
    sidecars: int = 1
    server: str = "uvicorn"
    """Of the gateway."""


STREAMLIT = Contender("streamlit", "streamlit run", Kind.STREAMLIT)
SIDECAR = Contender("sidecar", "tuned sidecar alone", Kind.SIDECAR)
OURS = Contender("ours", "fluxlit_run", Kind.OURS)
OURS_2 = Contender("ours-2", "fluxlit_run, 2 sidecars", Kind.OURS, sidecars=2)
DAPHNE = Contender("daphne", "fluxlit_run, daphne", Kind.OURS, server="daphne")
NGINX = Contender("nginx", "nginx + streamlit run", Kind.NGINX)
FLUXLIT = Contender("fluxlit", "FluxLit 0.13.2", Kind.FLUXLIT)
DIRECT = Contender("direct", "upstream direct", Kind.STREAMLIT)
"""The stub itself, where the hop is measured."""


@dataclass(frozen=True)
class Server:
    """A contender that serves."""

    address: str
    """`http://127.0.0.1:<port>`, or `unix:<path>` for a sidecar alone."""
    roots: tuple[ProcessId, ...]
    started_in_s: float

    def pids(self) -> list[int]:
        """All its processes."""
        return [process.pid for root in self.roots for process in processes.tree(root.pid)]

    def gateway_pids(self) -> list[int]:
        """Those of its processes that are our gateway workers."""
        return self.pids_running("fluxlit_django.gateway")

    def pids_running(self, module: str) -> list[int]:
        """Those of its processes that have this in their command line."""
        return [pid for pid in self.pids() if module in processes.command_line(pid)]


class Launcher:
    """Starts contenders. Everything they write goes to one folder.

    Args:
        folder: a private folder that the caller removes; its path must be short enough for a Unix socket.
        fluxlit: the Python of FluxLit's virtual environment; None when it is not to be started.
    """

    def __init__(self, folder: Path, *, fluxlit: Path | None = None) -> None:
        self._folder = folder
        self._fluxlit = fluxlit
        self._count = 0
        self.database = folder / "bench.sqlite3"
        self._common = _clean_environment() | {
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "BENCH_SECRET_KEY": secrets.token_urlsafe(48),
            "BENCH_DATABASE": str(self.database),
            "PYTHONUNBUFFERED": "1",
        }

    async def prepare(self) -> None:
        """Make the database, and compress the frontend as an image does, ahead of what is timed."""
        for command in (["migrate", "--verbosity", "0"], ["fluxlit_assets"]):
            manage = [sys.executable, str(ROOT / "manage.py")]
            await commands.run(*manage, *command, folder=self._folder, environment=self._common)

    @contextlib.asynccontextmanager
    async def running(
        self, contender: Contender, *, script: str = "", upstream: str = ""
    ) -> AsyncIterator[Server]:
        """Run a contender until the block ends.

        Args:
            script: file name of the script in `bench/scripts`.
            upstream: address of a running server to stand in front of, instead of a script.
        """
        starts = {
            Kind.STREAMLIT: self._streamlit,
            Kind.SIDECAR: self._sidecar,
            Kind.OURS: self._ours,
            Kind.NGINX: self._nginx,
            Kind.FLUXLIT: self._fluxlit_server,
        }
        if contender == DIRECT:
            yield Server(upstream, (), 0.0)
            return
        async with starts[contender.kind](contender, script, upstream) as server:
            yield server

    @contextlib.asynccontextmanager
    async def stub(self) -> AsyncIterator[Server]:
        """Run the stand-in for a Streamlit server."""
        port = free_port()
        command = [sys.executable, "-m", "bench.stub", str(port)]
        environment = {"PYTHONPATH": str(ROOT)}
        async with self._serving("stub", command, environment, port, HEALTH) as server:
            yield server

    @contextlib.asynccontextmanager
    async def _streamlit(self, contender: Contender, script: str, upstream: str) -> AsyncIterator[Server]:
        port = free_port()
        command = [sys.executable, "-m", "streamlit", "run", str(SCRIPTS / script), "--server.headless=true"]
        # Everything else is its default; an answer from outside is not waited for.
        command += [f"--server.port={port}", "--server.address=127.0.0.1", "--browser.gatherUsageStats=false"]
        async with self._serving(contender.name, command, {}, port, HEALTH) as server:
            yield server

    @contextlib.asynccontextmanager
    async def _sidecar(self, contender: Contender, script: str, upstream: str) -> AsyncIterator[Server]:
        self._count += 1
        path = self._folder / f"s{self._count}.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen(1024)
            environment = {
                "PYTHONPATH": str(ROOT),
                "FLUXLIT_SCRIPT": str(SCRIPTS / script),
                "FLUXLIT_LISTEN_FD": str(listener.fileno()),
            }
            command = [sys.executable, "-m", "fluxlit_django.sidecar", "default"]
            started = time.perf_counter()
            running = self._process(contender.name, command, environment, pass_fds=(listener.fileno(),))
            async with running as (process, log):
                started_in_s = await _wait_ready(f"unix:{path}", HEALTH, process, log, started)
                yield Server(f"unix:{path}", (process,), started_in_s)

    @contextlib.asynccontextmanager
    async def _ours(self, contender: Contender, script: str, upstream: str) -> AsyncIterator[Server]:
        port = free_port()
        environment = (
            {"FLUXLIT_STREAMLIT_UPSTREAM": upstream}
            if upstream
            else {"FLUXLIT_SCRIPT": str(SCRIPTS / script)}
        )
        command = [sys.executable, str(ROOT / "manage.py"), "fluxlit_run", "--port", str(port)]
        command += ["--streamlit-workers", str(contender.sidecars), "--server", contender.server]
        async with self._serving(contender.name, command, environment, port, "/api/readyz") as server:
            yield server

    @contextlib.asynccontextmanager
    async def _nginx(self, contender: Contender, script: str, upstream: str) -> AsyncIterator[Server]:
        async with contextlib.AsyncExitStack() as stack:
            roots: tuple[ProcessId, ...] = ()
            if not upstream:
                behind = await stack.enter_async_context(self._streamlit(STREAMLIT, script, ""))
                upstream, roots = behind.address, behind.roots
            port = free_port()
            folder = self._folder / f"nginx-{port}"
            folder.mkdir()
            (folder / "nginx.conf").write_text(_nginx_configuration(port, upstream))
            command = [nginx_program() or "nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
            server = await stack.enter_async_context(self._serving(contender.name, command, {}, port, HEALTH))
            yield Server(server.address, (*server.roots, *roots), server.started_in_s)

    @contextlib.asynccontextmanager
    async def _fluxlit_server(
        self, contender: Contender, script: str, upstream: str
    ) -> AsyncIterator[Server]:
        if self._fluxlit is None:
            msg = "FluxLit's virtual environment is missing."
            raise BenchError(msg)
        port = free_port()
        environment = {
            "PYTHONPATH": str(PEERS),
            "BENCH_SCRIPT": str(SCRIPTS / (script or "small.py")),
            "FLUXLIT_NO_PIDFILE": "1",
        }
        if upstream:
            # `fluxlit run` always starts Streamlit; this factory of its own makes the same gateway without.
            environment |= {"FLUXLIT_APP": "fluxlit_app:app", "FLUXLIT_STREAMLIT_UPSTREAM": upstream}
            command = [str(self._fluxlit), "-m", "uvicorn", "--factory", "--no-access-log"]
            command += ["--log-level=warning", "--port", str(port)]
            command += ["fluxlit.runtime.orchestrate:create_gateway_app"]
        else:
            fluxlit = self._fluxlit.with_name("fluxlit")
            command = [str(fluxlit), "run", "fluxlit_app:app", "--host=127.0.0.1", "--port", str(port)]
        async with self._serving(contender.name, command, environment, port, HEALTH) as server:
            yield server

    @contextlib.asynccontextmanager
    async def _serving(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], port: int, path: str
    ) -> AsyncIterator[Server]:
        """Run a command that serves on a port, and wait until this path answers 200."""
        address = f"http://127.0.0.1:{port}"
        started = time.perf_counter()
        async with self._process(name, command, environment) as (process, log):
            started_in_s = await _wait_ready(address, path, process, log, started)
            yield Server(address, (process,), started_in_s)

    @contextlib.asynccontextmanager
    async def _process(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> AsyncIterator[tuple[ProcessId, Path]]:
        self._count += 1
        log = self._folder / f"{self._count}-{name}.log"
        with log.open("wb") as output:
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Nothing of the project's own folder counts, such as `.streamlit/config.toml`.
                cwd=self._folder,
                env={**self._common, **environment},
                pass_fds=pass_fds,
                # Ctrl-C is for the harness, which then stops them in order.
                start_new_session=True,
            )
        try:
            root = next(iter(processes.tree(child.pid)), None)
            if root is None:
                raise BenchError(_failure(f"{name} ended at once", log))
            yield root, log
        finally:
            await asyncio.shield(_stop(child))


async def _stop(child: asyncio.subprocess.Process) -> None:
    """End a child and whatever it has started, also what left its process group."""
    family = processes.tree(child.pid)
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(child.wait(), _STOP_TIMEOUT_S)
    for process in family:
        process.send_signal(signal.SIGKILL)
    await child.wait()


async def _wait_ready(address: str, path: str, process: ProcessId, log: Path, started: float) -> float:
    """Ask until the answer is 200; the seconds since `started`.

    Raises:
        BenchError: the process ended, or took too long.
    """
    socket_path = address.removeprefix("unix:")
    connector = aiohttp.UnixConnector(socket_path) if socket_path != address else aiohttp.TCPConnector()
    url = f"http://localhost{path}" if socket_path != address else f"{address}{path}"
    async with aiohttp.ClientSession(connector=connector) as client:
        while True:
            with contextlib.suppress(aiohttp.ClientError, asyncio.TimeoutError):
                async with client.get(url, timeout=aiohttp.ClientTimeout(total=5)) as response:
                    if response.status == 200:
                        return time.perf_counter() - started
            if not process.is_alive():
                raise BenchError(_failure("it ended before it served", log))
            if time.perf_counter() - started > _START_TIMEOUT_S:
                raise BenchError(_failure(f"it did not serve within {_START_TIMEOUT_S:.0f} s", log))
            await asyncio.sleep(_POLL_S)


def _failure(what: str, log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:]
    return "\n".join([f"{log.stem}: {what}. Its last lines:", *lines])


def free_port() -> int:
    """A TCP port on which nobody listens now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def nginx_program() -> str | None:
    """Path of nginx, which may be in a folder that is not on everybody's PATH."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _clean_environment() -> dict[str, str]:
    own = ("FLUXLIT_", "STREAMLIT_", "DJANGO_", "BENCH_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


def _nginx_configuration(port: int, upstream: str) -> str:
    """One worker, as many as the others have, with gzip and WebSockets as guides for Streamlit have them."""
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "\n".join(
        f"    {kind}_temp_path {kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
{user}
daemon off;
worker_processes 1;
pid nginx.pid;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
{temporary}
    access_log off;
    types {{
        text/html html; text/css css; text/javascript js; application/json json;
        image/svg+xml svg; font/woff2 woff2; image/png png;
    }}
    gzip on;
    gzip_proxied any;
    gzip_types text/css text/javascript application/javascript application/json image/svg+xml;
    client_max_body_size 0;
    upstream streamlit {{ server {upstream.removeprefix("http://")}; keepalive 32; }}
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://streamlit;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout 3600s;
        }}
    }}
}}
"""

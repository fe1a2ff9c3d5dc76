"""A running demo, and an nginx in front of it that is set up right or wrong."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.edge import edges
from tests.site import Site, manage, prepare_demo, running_site, site_environment

CAP = 1 << 20
"""Most bytes that an upload may have."""

SERVER = """
map $http_upgrade $fluxlit_connection { default upgrade; "" ""; }
server {
    listen 127.0.0.1:%(port)s;
    client_max_body_size %(limit)s;
    %(server)s
    location / {
        proxy_pass http://%(upstream)s;
        proxy_http_version 1.1;
        %(location)s
    }
}
"""
RIGHT = """
proxy_set_header Host $http_host;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $fluxlit_connection;
proxy_set_header X-Forwarded-For $remote_addr;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_request_buffering off;
"""


@pytest.fixture(scope="package")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the demo, behind a proxy on this machine."""
    return site_environment(
        tmp_path_factory.mktemp("doctor"),
        FLUXLIT_FORWARDED_ALLOW_IPS="127.0.0.1",
        FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES=str(CAP),
    )


@pytest.fixture(scope="package")
def site(environment: dict[str, str]) -> Iterator[Site]:
    """The demo, running."""
    prepare_demo(environment)
    manage(environment, "fluxlit_assets")  # what is not compressed yet is a finding of the doctor
    with running_site(environment) as site:
        yield site


@pytest.fixture
def nginx(tmp_path: Path, site: Site) -> Iterator[Callable[..., str]]:
    """Starts an nginx in front of the demo; its URL."""
    program = edges.find_program("nginx")
    if program is None:
        pytest.skip("there is no nginx on this machine (Debian: apt install nginx)")
    with contextlib.ExitStack() as stack:

        def start(location: str = RIGHT, *, server: str = "", limit: str = "0", upstream: str = "") -> str:
            port, _ = edges.free_ports()
            upstream = upstream or site.url.removeprefix("http://")
            values = {
                "port": port,
                "server": server,
                "limit": limit,
                "location": location,
                "upstream": upstream,
            }
            (tmp_path / "site.conf").write_text(SERVER % values)
            (tmp_path / "nginx.conf").write_text(edges.NGINX_MAIN.format(folder=tmp_path))
            log = tmp_path / "log"
            process = subprocess.Popen(
                [str(program), "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")],
                stdout=stack.enter_context(log.open("wb")),
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
            edges.wait_for_port(port, process, log)
            return f"http://127.0.0.1:{port}"

        yield start

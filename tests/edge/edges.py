"""Real nginx, Caddy and HAProxy, run on loopback with the files of `deploy/` and private folders."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
PREFIX = "/apps/my-app"
LAYOUTS = {"root": "", "strip-prefix": PREFIX, "full-path": PREFIX}
"""The prefix of each layout that `deploy/` has files for."""

START_LIMIT_S = 20

NGINX_MAIN = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
"""What the distribution's own nginx.conf says, for one process in a private folder."""


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1, in PEM files."""

    certificate: Path
    key: Path
    both: Path


@dataclass(frozen=True)
class Setup:
    """What an edge is started with."""

    folder: Path
    layout: str
    http_port: int
    https_port: int
    upstream: str
    certificate: Certificate


@dataclass(frozen=True)
class Edge:
    """One running edge."""

    kind: str
    layout: str
    http_url: str
    url: str
    """The site's public URL, prefix included."""


def make_certificate(folder: Path) -> Certificate:
    """Make a certificate that counts for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.timezone.utc)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(addresses, critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate = signed.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = Certificate(folder / "certificate.pem", folder / "key.pem", folder / "both.pem")
    files.certificate.write_bytes(certificate)
    files.key.write_bytes(secret)
    files.both.write_bytes(certificate + secret)
    return files


def _nginx(setup: Setup) -> tuple[list[str], dict[str, str]]:
    text = (DEPLOY / "nginx" / f"{setup.layout}.conf").read_text()
    values = {
        "host": "127.0.0.1",
        "prefix": PREFIX,
        "http": f"127.0.0.1:{setup.http_port}",
        "https": f"127.0.0.1:{setup.https_port}",
        "upstream": setup.upstream,
        "certificate": str(setup.certificate.certificate),
        "certificate_key": str(setup.certificate.key),
    }
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    (setup.folder / "site.conf").write_text(text)
    main = setup.folder / "nginx.conf"
    main.write_text(NGINX_MAIN.format(folder=setup.folder))
    return ["nginx", "-p", str(setup.folder), "-e", "stderr", "-c", str(main)], {}


def _caddy(setup: Setup) -> tuple[list[str], dict[str, str]]:
    file = DEPLOY / "caddy" / f"{setup.layout}.Caddyfile"
    variables = {
        "FLUXLIT_SITE": "127.0.0.1",
        "FLUXLIT_LISTEN": "127.0.0.1",
        "FLUXLIT_ROOT_PATH": PREFIX,
        "FLUXLIT_UPSTREAM": setup.upstream,
        "FLUXLIT_CERTIFICATE": str(setup.certificate.certificate),
        "FLUXLIT_CERTIFICATE_KEY": str(setup.certificate.key),
        "FLUXLIT_HTTP_PORT": str(setup.http_port),
        "FLUXLIT_HTTPS_PORT": str(setup.https_port),
        "HOME": str(setup.folder),
        "XDG_DATA_HOME": str(setup.folder),
        "XDG_CONFIG_HOME": str(setup.folder),
    }
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)], variables


def _haproxy(setup: Setup) -> tuple[list[str], dict[str, str]]:
    variables = {
        "FLUXLIT_HTTP": f"127.0.0.1:{setup.http_port}",
        "FLUXLIT_HTTPS": f"127.0.0.1:{setup.https_port}",
        "FLUXLIT_ROOT_PATH": PREFIX,
        "FLUXLIT_UPSTREAM": setup.upstream,
        "FLUXLIT_CERTIFICATE": str(setup.certificate.both),
    }
    return ["haproxy", "-db", "-f", str(DEPLOY / "haproxy" / f"{setup.layout}.cfg")], variables


KINDS: Mapping[str, Callable[[Setup], tuple[list[str], dict[str, str]]]] = {
    "nginx": _nginx,
    "caddy": _caddy,
    "haproxy": _haproxy,
}


def find_program(kind: str) -> str | None:
    """The path of an edge's program; Debian keeps some of them out of a user's PATH."""
    return shutil.which(kind, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def running_edge(
    kind: str, layout: str, *, folder: Path, upstream: str, certificate: Certificate
) -> Iterator[Edge]:
    """Run an edge in front of an upstream, an address and port, until the end of the block."""
    http_port, https_port = free_ports()
    setup = Setup(folder, layout, http_port, https_port, upstream, certificate)
    command, variables = KINDS[kind](setup)
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [find_program(kind) or kind, *command[1:]],
            env={**os.environ, **variables},
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_for_port(https_port, process, log)
        prefix = LAYOUTS[layout]
        yield Edge(
            kind, layout, f"http://127.0.0.1:{http_port}{prefix}", f"https://127.0.0.1:{https_port}{prefix}"
        )
    finally:
        process.terminate()
        process.wait(10)


def free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on at the moment."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a process accepts connections."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        # A port that opens has nothing to wait on but its own next try.
        threading.Event().wait(0.05)
    raise AssertionError(log.read_text())

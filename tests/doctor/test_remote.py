"""What the doctor says of a running site, through an nginx that is set up right, or wrong in one way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from fluxlit_django.doctor import remote
from fluxlit_django.doctor.remote import Visit
from fluxlit_django.doctor.report import Row, Status
from fluxlit_django.visitor import Target, User
from tests.doctor.conftest import CAP, RIGHT
from tests.site import PASSWORD, ROOT

ADMIN = (User("admin", PASSWORD),)


def visit(url: str, *, users: tuple[User, ...] = ADMIN, quiet_s: float = 3.0, **options) -> Visit:
    """A visit of the demo."""
    return Visit(Target(url, users=users), cap=CAP, quiet_s=quiet_s, **options)


async def diagnose(visit: Visit) -> dict[str, Row]:
    """Every row by its name."""
    return {row.name: row async for row in remote.examine(visit)}


def wrong(rows: dict[str, Row]) -> dict[str, str]:
    """The names of what did not pass, and how."""
    return {name: row.status.value for name, row in rows.items() if row.status is not Status.PASS}


async def test_right__direct(site):
    """A site without anything in front passes every check, of somebody who is signed in."""
    assert {} == wrong(await diagnose(visit(site.url)))


async def test_right__nginx(nginx):
    """So does one behind a proxy that is set up as it should be, and of nobody in particular."""
    rows = await diagnose(visit(nginx(), users=()))

    assert {"ping": "SKIP"} == wrong(rows)


async def test_no_upgrade(nginx):
    """A proxy that does not upgrade WebSockets is found out by the answer of the gateway."""
    location = "\n".join(
        line for line in RIGHT.splitlines() if "pgrade" not in line and "Connection" not in line
    )

    rows = await diagnose(visit(nginx(location)))

    assert {"socket": "FAIL", "ping": "FAIL", "foreign_origin": "SKIP"} == wrong(rows)
    assert "passes it on as a plain request, without its Upgrade" in rows["socket"].detail
    assert "proxy_set_header Upgrade $http_upgrade" in rows["socket"].remedy


async def test_small_body_limit(nginx):
    """A proxy with a lower limit than the gateway's is named, with what it calls itself."""
    rows = await diagnose(visit(nginx(limit="100k")))

    assert {"largest_upload": "FAIL", "too_large_upload": "FAIL"} == wrong(rows)
    assert rows["largest_upload"].detail.startswith("the proxy in front (nginx/")
    assert f"refuses {CAP} bytes with 413: its limit is lower" in rows["largest_upload"].detail
    assert "client_max_body_size 0" in rows["largest_upload"].remedy


async def test_buffered_uploads(nginx):
    """A proxy that stores uploads first keeps the gateway from refusing them early."""
    row = await remote.judge(
        remote.too_large_upload, visit(nginx(RIGHT.replace("buffering off", "buffering on")))
    )

    assert Status.WARN is row.status
    assert "proxy_request_buffering off" in row.remedy


async def test_host_not_passed_on(nginx):
    """A proxy that keeps the browser's Host to itself makes the site take itself for another."""
    url = nginx(RIGHT.replace("proxy_set_header Host $http_host;", ""))

    rows = {
        check.__name__: await remote.judge(check, visit(url, users=()))
        for check in (remote.socket, remote.cookie)
    }

    assert {"socket": "FAIL", "cookie": "FAIL"} == wrong(rows)
    assert "the gateway takes the site's own page for another site's" == rows["socket"].detail
    assert all("proxy_set_header Host $http_host" in row.remedy for row in rows.values())


async def test_short_idle_timeout(nginx):
    """A proxy that closes a quiet socket before the next ping is found out by waiting."""
    row = await remote.judge(remote.ping, visit(nginx(f"{RIGHT}proxy_read_timeout 5s;"), quiet_s=18.0))

    assert Status.FAIL is row.status
    assert "a quiet socket is closed with 1006 after" in row.detail
    assert "proxy_read_timeout" in row.remedy


async def test_static_files_served_by_the_proxy(nginx):
    """A proxy that keeps /static/ to itself hides Streamlit's scripts."""
    row = await remote.judge(remote.asset, visit(nginx(server="location /static/ { return 404; }")))

    assert Status.FAIL is row.status
    assert "answers 404 for /static/js/" in row.detail


async def test_nothing_behind_the_proxy(nginx, unused_tcp_port):
    """A proxy with nothing behind it is told from a gateway with a broken sidecar."""
    row = await remote.judge(remote.liveness, visit(nginx(upstream=f"127.0.0.1:{unused_tcp_port}")))

    assert (Status.FAIL, True) == (row.status, "the proxy in front (nginx/" in row.detail)
    assert row.remedy.startswith("Start fluxlit_run")


async def test_nobody_there(unused_tcp_port):
    """An address where nobody answers is one row."""
    rows = await diagnose(visit(f"http://127.0.0.1:{unused_tcp_port}"))

    assert {"reach": "FAIL"} == wrong(rows)
    assert ["reach"] == list(rows)


# Answers that no site of ours gives here


@contextlib.asynccontextmanager
async def answering(head: str, body: str = "") -> AsyncIterator[str]:
    """A server with one answer for everything; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            text = head.replace("URL", url)
            lines = f"HTTP/1.1 {text}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
            writer.write(lines.encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield url


OURS = "X-Request-ID: 1"


@pytest.mark.parametrize(
    ("check", "head", "body", "detail", "remedy"),
    [
        ("document", f"301 x\r\n{OURS}\r\nLocation: URL/", "", "redirects to itself", "FORWARDED_ALLOW_IPS"),
        (
            "document",
            f"302 x\r\n{OURS}\r\nLocation: http://127.0.0.1:8000/login/",
            "",
            "instead of",
            "Name the proxy",
        ),
        ("document", f"302 x\r\n{OURS}\r\nLocation: https://login.example/", "", "", ""),
        ("document", f"400 x\r\n{OURS}", "", "the gateway answers 400", "ALLOWED_HOSTS"),
        (
            "document",
            "404 x\r\nServer: caddy",
            "",
            "the proxy in front (caddy) answers 404",
            "Let the proxy pass",
        ),
        ("document", f"502 x\r\n{OURS}", "", "the gateway answers 502", "what its sidecar says"),
        ("liveness", f"404 x\r\n{OURS}", "", "the gateway answers 404", "FLUXLIT_ROOT_PATH"),
        (
            "readiness",
            f"503 x\r\n{OURS}",
            '{"detail": "No sidecar answers for: a."}',
            "for: a.",
            "fluxlit_run",
        ),
        ("asset", f"404 x\r\n{OURS}", "", "another version of Streamlit", "own version"),
        ("asset", f"200 x\r\n{OURS}\r\nContent-Type: text/javascript", "x", "uncompressed", "fluxlit_assets"),
        ("asset", f"200 x\r\n{OURS}\r\nContent-Type: text/html", "x", "answers 200", "FLUXLIT_ROOT_PATH"),
        (
            "socket",
            f"503 x\r\n{OURS}",
            "Service Unavailable: too many open sockets.",
            "too many",
            "MAX_SOCKETS",
        ),
        ("socket", f"400 x\r\n{OURS}", "", "answers 400", "ALLOWED_HOSTS"),
        (
            "foreign_origin",
            f"101 x\r\n{OURS}",
            "",
            "a page of https://evil.example opens",
            "Origin on unchanged",
        ),
        ("largest_upload", f"413 x\r\n{OURS}", "", "its limit is lower than here", "MAX_PROXY_REQUEST_BODY"),
        ("too_large_upload", f"500 x\r\n{OURS}", "", "answers 500", "FLUXLIT_ROOT_PATH"),
    ],
)
async def test_answers(check, head, body, detail, remedy):
    """Each answer that is not the right one leads to who gave it, and to a remedy."""
    async with answering(head, body) as url:
        row = await remote.judge(getattr(remote, check), visit(url, users=()))

    assert (Status.PASS if not detail else row.status) is row.status
    assert bool(detail) is (row.status is not Status.PASS), row
    assert detail in row.detail
    assert remedy in row.remedy


# The command


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py fluxlit_doctor`."""
    return subprocess.run(
        [sys.executable, "manage.py", "fluxlit_doctor", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_command__url(site, environment):
    """The command asks a running site; its JSON is one line, and what passes is exit code 0."""
    done = run(environment, "--url", site.url, "--json", "--quiet-time", "1")

    assert (0, 1) == (done.returncode, len(done.stdout.splitlines())), done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert ("pass", site.url, False) == (report["status"], report["target"], report["warnings_only"])
    names = ["reach", *(check.__name__ for check in remote.CHECKS)]
    assert names == [check["name"] for check in report["checks"]]
    assert {"name", "status", "detail", "remedy"} == set(report["checks"][0])


def test_command__beside_the_running_site(site, environment):
    """On the machine of a running site nothing fails because the site itself holds the port."""
    port = site.url.rpartition(":")[2]

    done = run(environment | {"FLUXLIT_GATEWAY_PORT": port}, "--strict", "--quick")

    assert 0 == done.returncode, done.stdout + done.stderr
    assert f"held by our own fluxlit_run, process {site.process.pid}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--url", "shop"), "--url is 'shop': use an absolute URL"),
        (("--url", "http://ann:s3cret@h"), "--url is 'http://[REDACTED]@h': use the site's URL, and --user"),
        (("--url", "http://h", "--app", "x"), "no Streamlit app named 'x'"),
    ],
)
def test_command__wrong_argument(environment, arguments, said):
    """What cannot be asked is one line."""
    done = run(environment, *arguments)

    assert 1 == done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr

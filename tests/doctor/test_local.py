"""What the doctor finds on this machine, right and wrong."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.cache import caches
from django.test import override_settings

from fluxlit_django import conf
from fluxlit_django.doctor import local
from fluxlit_django.doctor.report import Row, Status, overall
from fluxlit_django.supervisor.operator_line import Identity
from tests.site import ROOT, site_environment


def config(**settings) -> conf.Config:
    """The configuration with these settings of ours."""
    with override_settings(FLUXLIT=settings):
        return conf.load_config()[0]


@pytest.fixture
def taken_port():
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_gateway_bind__taken(taken_port):
    """A port that somebody else has is a failure, with another one to choose."""
    row = local.gateway_bind(config(GATEWAY_PORT=taken_port), [])

    assert (Status.FAIL, f"Cannot listen on 127.0.0.1:{taken_port}: the port is in use.") == (
        row.status,
        row.detail,
    )
    assert "--port" in row.remedy


def test_gateway_bind__ours(taken_port):
    """A port that our own fluxlit_run has is as it should be."""
    row = local.gateway_bind(config(GATEWAY_PORT=taken_port), [Identity(7, taken_port, "x")])

    assert (Status.PASS, True) == (row.status, "our own fluxlit_run, process 7" in row.detail)


def test_gateway_bind__free():
    """A port that nobody has can be listened on."""
    assert Status.PASS is local.gateway_bind(config(GATEWAY_PORT=0), []).status


def test_runtime_directory(tmp_path):
    """A directory that is open to others is a failure with its remedy; ours in use is none."""
    (tmp_path / "open").mkdir(mode=0o755)
    chosen = config(RUNTIME_DIR=str(tmp_path / "open"))

    wrong = local.runtime_directory(chosen, [])

    assert (Status.FAIL, True) == (wrong.status, "chmod 700" in wrong.remedy)
    assert Status.PASS is local.runtime_directory(chosen, [Identity(7, 8000, "x")]).status
    assert Status.PASS is local.runtime_directory(config(RUNTIME_DIR=str(tmp_path / "new")), []).status
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("backend", "status"),
    [
        ("django.core.cache.backends.locmem.LocMemCache", Status.PASS),
        ("django.core.cache.backends.dummy.DummyCache", Status.WARN),
    ],
)
def test_cache(settings, backend, status):
    """A cache that keeps nothing is a warning."""
    settings.CACHES = {"default": {"BACKEND": backend}}
    with contextlib.suppress(AttributeError):
        del caches["default"]

    assert status is local.cache().status


def test_cache__does_not_answer(settings, unused_tcp_port):
    """A cache that cannot be reached is a failure, without its password."""
    location = f"redis://:s3cret@127.0.0.1:{unused_tcp_port}/0"
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": location}
    }

    row = local.cache()

    assert (Status.FAIL, True) == (row.status, "RedisCache does not answer" in row.detail)
    assert "s3cret" not in repr(row)


async def test_channel_layer(settings):
    """A message comes back from the layer in memory; without any layer it is a failure."""
    settings.CHANNEL_LAYERS = {}
    assert Status.FAIL is (await local.channel_layer()).status

    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    assert Status.PASS is (await local.channel_layer()).status


async def test_channel_layer__does_not_answer(settings, unused_tcp_port):
    """A layer whose server is not there is a failure."""
    hosts = [f"redis://:s3cret@127.0.0.1:{unused_tcp_port}/0"]
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": hosts}}
    }

    row = await local.channel_layer()

    assert (Status.FAIL, True) == (row.status, "RedisChannelLayer does not answer" in row.detail)
    assert "s3cret" not in repr(row)


def test_frontend(tmp_path):
    """Without the compressed files it is a warning that says how to make them."""
    row = local.frontend(config(ASSETS_DIR=str(tmp_path)))

    assert (Status.WARN, "Run: manage.py fluxlit_assets") == (row.status, row.remedy)


def test_upstream(taken_port, unused_tcp_port):
    """Somebody else's Streamlit is there, or is not."""
    there, gone = (
        config(STREAMLIT_UPSTREAM=f"http://ann:s3cret@127.0.0.1:{port}").apps[0]
        for port in (taken_port, unused_tcp_port)
    )

    assert Status.PASS is local.upstream(there).status
    assert Status.FAIL is local.upstream(gone).status
    assert "s3cret" not in repr(local.upstream(gone))


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], Status.PASS),
        ([Status.PASS, Status.SKIP], Status.PASS),
        ([Status.WARN, Status.PASS], Status.WARN),
        ([Status.WARN, Status.FAIL], Status.FAIL),
    ],
)
def test_overall(statuses, expected):
    """The worst counts; what was skipped does not."""
    assert expected is overall(Row("x", status, "") for status in statuses)


def run(environment: dict[str, str], *arguments: str) -> tuple[int, dict]:
    """The exit code and the JSON of `manage.py fluxlit_doctor`."""
    done = subprocess.run(
        [sys.executable, "manage.py", "fluxlit_doctor", "--json", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_command__everything_wrong(tmp_path: Path) -> None:
    """A database that is not there and a script that ends at once are named, each with what it said."""
    environment = site_environment(
        tmp_path,
        DATABASE_URL="sqlite:////no/such/folder/db.sqlite3",
        FLUXLIT_SCRIPT=str(tmp_path / "missing.py"),
        FLUXLIT_FORWARDED_ALLOW_IPS="0.0.0.0/0",
    )

    code, report = run(environment)

    rows = {row["name"]: row for row in report["checks"]}
    assert (1, "fail") == (code, report["status"])
    assert "unable to open database file" in rows["database"]["detail"]
    assert "missing.py': No such file or directory" in rows["sidecar.default"]["detail"]
    assert ("PASS", "WARN") == (
        rows["sidecar.explore"]["status"],
        rows["forwarded_allow_ips_broad"]["status"],
    )

    code, report = run(environment, "--quick", "--warnings-only", "--strict", "--verbose")

    rows = {row["name"]: row for row in report["checks"]}
    assert (0, "warn") == (code, report["status"])
    assert ("FAIL", False) == (rows["forwarded_allow_ips_broad"]["status"], "sidecar.default" in rows)
    assert "0.0.0.0/0" in report["verbose"]["settings_redacted"]["FLUXLIT_FORWARDED_ALLOW_IPS"]

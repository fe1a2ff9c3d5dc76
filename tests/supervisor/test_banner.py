"""What the command shows once everything serves."""

import re
from pathlib import Path

import pytest

from fluxlit_django import __version__
from fluxlit_django.conf import AppConfig, Config
from fluxlit_django.supervisor.banner import banner, public_url

CONFIG = Config(
    workers=2,
    apps=(
        AppConfig("default", "", sidecars=2),
        AppConfig("explore", "/explore", script=str(Path.cwd() / "explore.py"), access="public"),
        AppConfig("far", "/far", upstream="http://10.0.0.7:8501"),
        AppConfig("sales", "/sales", target="sales.pages:app"),
    ),
)


def test_banner():
    """Every address that a person needs, and no internal one."""
    text = banner(CONFIG, port=8000, admin_path="/admin/", started_in_s=1.84)

    expected = f"""
  FluxLit {__version__}   http://127.0.0.1:8000/

  default     http://127.0.0.1:8000/           pages, login
  explore     http://127.0.0.1:8000/explore/   explore.py, public
  far         http://127.0.0.1:8000/far/       elsewhere, login
  sales       http://127.0.0.1:8000/sales/     sales.pages:app, login

  Admin       http://127.0.0.1:8000/admin/
  Health      http://127.0.0.1:8000/api/healthz
  Readiness   http://127.0.0.1:8000/api/readyz

  2 uvicorn workers and 4 sidecars, ready in 1.8 s, Ctrl-C stops

"""
    assert expected == text


def test_banner__never_an_internal_address():
    """The address of a Streamlit that somebody else runs is nobody's business."""
    assert "10.0.0.7" not in banner(CONFIG, port=8000, started_in_s=1)


def test_banner__without_admin():
    """A project without an admin is not told of one."""
    assert "Admin" not in banner(CONFIG, port=8000, started_in_s=1)


def test_banner__colour():
    """Colours change nothing but colours."""
    plain = banner(CONFIG, port=8000, admin_path="/admin/", started_in_s=1)
    coloured = banner(CONFIG, port=8000, admin_path="/admin/", started_in_s=1, colour=True)

    assert coloured != plain
    assert plain == re.sub(r"\x1b\[\d+m", "", coloured)


def test_banner__script_elsewhere():
    """A script outside the working directory is shown with its whole path."""
    config = Config(apps=(AppConfig("default", "", script="/srv/reports/sales.py"),), reload=True)

    text = banner(config, port=8000, started_in_s=1)

    assert "/srv/reports/sales.py, login" in text
    assert "1 uvicorn worker and 1 sidecar, ready in 1.0 s, reloading on change, Ctrl-C stops" in text


@pytest.mark.parametrize(
    ("host", "root_path", "expected"),
    [
        ("127.0.0.1", "", "http://127.0.0.1:8000"),
        ("0.0.0.0", "", "http://localhost:8000"),
        ("::", "/apps/shop", "http://localhost:8000/apps/shop"),
        ("[::]", "", "http://localhost:8000"),
        ("::1", "", "http://[::1]:8000"),
        ("", "", "http://localhost:8000"),
        ("shop.test", "", "http://shop.test:8000"),
    ],
)
def test_public_url(host, root_path, expected):
    """An address that can be opened in a browser."""
    config = Config(gateway_host=host, root_path=root_path)

    assert expected == public_url(config, 8000)

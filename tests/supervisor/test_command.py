"""How children are started."""

import json
import sys

import pytest

from fluxlit_django.conf import FLAGS_VARIABLE, AppConfig, Config
from fluxlit_django.supervisor.command import Command, child_environment, commands, leading_import_path


def test_commands__several_apps():
    """Gateway workers first, then each app's sidecars; none for a Streamlit that somebody else runs."""
    config = Config(
        workers=2,
        apps=(
            AppConfig("default", "", sidecars=2),
            AppConfig("far", "/far", upstream="http://127.0.0.1:8501"),
            AppConfig("explore", "/explore"),
        ),
    )

    found = commands(config)

    gateway = (sys.executable, "-m", "fluxlit_django.gateway")
    sidecar = (sys.executable, "-m", "fluxlit_django.sidecar")
    assert [
        Command("gateway-0", "gateway", gateway),
        Command("gateway-1", "gateway", gateway),
        Command("default-0", "sidecar", (*sidecar, "default"), "default"),
        Command("default-1", "sidecar", (*sidecar, "default"), "default"),
        Command("explore-0", "sidecar", (*sidecar, "explore"), "explore"),
    ] == found


def test_child_environment__bound_port():
    """Children are told the port that was bound, beside the flags that were given."""
    inherited = {"HOME": "/home/me", FLAGS_VARIABLE: '{"gateway_port": "0", "workers": "2"}'}

    environment = child_environment(inherited, port=41234)

    assert json.loads(environment[FLAGS_VARIABLE]) == {"gateway_port": 41234, "workers": "2"}
    assert environment["HOME"] == "/home/me"
    assert "PYTHONPATH" not in environment


def test_child_environment__import_path():
    """A project is found from any working directory."""
    environment = child_environment({"PYTHONPATH": "/old"}, port=1, import_path=["/srv/site", "/old"])

    assert environment["PYTHONPATH"] == "/srv/site:/old"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            ["/srv/site", "/extra", "/usr/lib/python311.zip", "/usr/lib/python3.11", "/late"],
            ["/srv/site", "/extra"],
        ),
        (["", "/srv", "/usr/lib/python3.11"], ["/srv"]),
        (["/usr/lib/python3.11", "/srv"], []),
    ],
)
def test_leading_import_path(path, expected):
    """Only what stands in front of the standard library: the rest belongs to the interpreter."""
    assert expected == leading_import_path(path, "/usr/lib/python3.11")

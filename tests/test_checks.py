"""The system checks: what is wrong with the settings, before anything runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.core import checks

from fluxlit_django.checks import check_settings

ROOT = Path(__file__).parents[1]


def ids(found: list[checks.CheckMessage]) -> list[str | None]:
    """The ids of messages."""
    return [message.id for message in found]


def test_checks__nothing_wrong(settings) -> None:
    """A configuration without a fault brings no message."""
    settings.FLUXLIT = {"ACCESS": "public", "APPS": {"a": {"SCRIPT": "a.py"}}}

    assert [] == check_settings()


@pytest.mark.parametrize(
    ("fluxlit", "id", "said", "hint"),
    [
        ({"ACCESS": "everybody"}, "fluxlit.E001", "FLUXLIT[\"ACCESS\"] is 'everybody'", None),
        ({"WORKERS": 0}, "fluxlit.E001", 'FLUXLIT["WORKERS"] is 0: use a whole number from 1 to 64', None),
        ({"WORKER": 2}, "fluxlit.E002", 'FLUXLIT["WORKER"] is not a setting.', "Did you mean WORKERS?"),
        ({"APPS": {"a": {"MOUNTS": "/x"}}}, "fluxlit.E002", '["a"]["MOUNTS"]', "Did you mean MOUNT?"),
        ({"APPS": ["a"]}, "fluxlit.E003", 'FLUXLIT["APPS"] is not a dict.', "Use {name: {…}, …}."),
        ({"APPS": {"Bad Name": {}}}, "fluxlit.E003", "'Bad Name'", None),
        (
            {"APPS": {"a": {"MOUNT": "/x"}, "b": {"MOUNT": "x/"}}},
            "fluxlit.E004",
            "The apps 'a' and 'b' share the mount '/x/'.",
            "Give each its own MOUNT.",
        ),
        (
            {"GATEWAY_FORWARD_CLIENT_HEADERS_TO_STREAMLIT": ["traceparent", "Authorization"]},
            "fluxlit.W002",
            "The header 'authorization' never reaches a sidecar",
            "Take it out of FLUXLIT_GATEWAY_FORWARD_CLIENT_HEADERS_TO_STREAMLIT.",
        ),
    ],
)
def test_checks__problem(settings, fluxlit: dict, id: str, said: str, hint: str | None) -> None:
    """Each fault is one message with a stable id, which names the value and the remedy."""
    settings.FLUXLIT = fluxlit

    (message,) = check_settings()

    assert id == message.id
    assert said in message.msg
    assert hint is None or hint == message.hint
    assert isinstance(message, checks.Error if ".E" in id else checks.Warning)


def test_checks__are_registered(settings) -> None:
    """`manage.py check` reports them, under their own tag too."""
    settings.FLUXLIT = {"WORKERS": "many"}

    assert ["fluxlit.E001"] == ids(checks.run_checks(tags=["fluxlit"]))


@pytest.mark.parametrize(
    ("then", "unwanted"),
    [
        pytest.param("", ["aiohttp", "starlette", "streamlit"], id="manage.py"),
        pytest.param(
            "import fluxlit_django.management.commands.fluxlit_run",
            ["aiohttp", "starlette", "streamlit"],
            id="supervisor",
        ),
        pytest.param("import fluxlit_django.sidecar.launch", ["aiohttp", "streamlit.web.cli"], id="sidecar"),
    ],
)
def test_setup__imports_what_is_needed(then: str, unwanted: list[str]) -> None:
    """No process of a project waits for what only another one needs: aiohttp alone takes 0.2 s."""
    code = f"import django, sys\ndjango.setup()\n{then}\nprint([m for m in {unwanted} if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert "[]\n" == done.stdout

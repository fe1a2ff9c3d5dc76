"""Exit codes: what docs/commands.md says is what the commands do."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.site import ROOT, running_site, site_environment

PAGE = (ROOT / "docs" / "commands.md").read_text()
ROWS = set(re.findall(r"^\| `(\w+)` \| (\d) \|", PAGE.partition("<!-- exit codes")[2], re.MULTILINE))

BROAD = {"FLUXLIT_FORWARDED_ALLOW_IPS": "*"}
NOBODY = "http://127.0.0.1:1"

CASES = [
    ("fluxlit_run --port many", {}, 1),
    ("fluxlit_run --port TAKEN", {}, 1),
    ("fluxlit_run --port 0", {"FLUXLIT_WORKERS": "0"}, 1),
    ("fluxlit_run --port 0", {"FLUXLIT_SCRIPT": "missing.py"}, 1),
    ("fluxlit_run --port 0", {"FLUXLIT_STRICT_STARTUP": "1", **BROAD}, 1),
    ("fluxlit_reload", {}, 2),
    ("fluxlit_shutdown", {}, 2),
    ("fluxlit_config", {}, 0),
    ("fluxlit_config", BROAD, 0),
    ("fluxlit_config --strict", BROAD, 1),
    ("fluxlit_config", {"FLUXLIT_WORKERS": "0"}, 1),
    ("fluxlit_doctor --quick --warnings-only", {}, 0),
    ("fluxlit_doctor --quick", {"DATABASE_URL": "sqlite:////no/such/folder/db"}, 1),
    (f"fluxlit_doctor --url {NOBODY}", {}, 1),
    (f"fluxlit_audit --url {NOBODY}", {}, 1),
    ("fluxlit_pages manifest", {}, 0),
    ("fluxlit_pages validate", {}, 0),
    ("fluxlit_pages manifest --target no.such:app", {}, 1),
    ("fluxlit_clear_url_sessions", {}, 1),  # there are no tables yet
    ("fluxlit_prune --days 0", {}, 1),
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The demo with a runtime directory of its own, and no database."""
    return site_environment(tmp_path, FLUXLIT_RUNTIME_DIR=str(tmp_path / "run"), FLUXLIT_ACCESS="public")


def ended(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90)


def run(environment: dict[str, str], *arguments: str) -> int:
    """Run a command to its end; its exit code."""
    return ended(environment, *arguments).returncode


@pytest.mark.parametrize(("command", "variables", "expected"), CASES, ids=[case[0] for case in CASES])
def test_exit_code(environment, command, variables, expected):
    """What a command ends with is in the table."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        words = command.replace("TAKEN", str(other.getsockname()[1])).split()

        code = run(environment | variables, *words)

    assert expected == code
    assert (words[0], str(code)) in ROWS


@pytest.mark.parametrize("command", ["fluxlit_clear_url_sessions", "fluxlit_prune"])
def test_no_database__is_one_line(environment, command):
    """A database without tables, or one that is not there, is no traceback; nor is its password shown."""
    away = {"DATABASE_URL": "postgres://ada:s3cret@127.0.0.1:1/shop"}

    for more in ({}, away):
        done = ended(environment | more, command)

        assert 1 == done.returncode
        (line,) = done.stderr.splitlines()
        assert line.startswith("CommandError: The database refuses (")
        assert "s3cret" not in line


def commands() -> list[str]:
    """All commands of the package."""
    spec = find_spec("fluxlit_django.management.commands")
    assert spec is not None
    (folder,) = spec.submodule_search_locations or ()
    return sorted(file.stem for file in Path(folder).glob("fluxlit_*.py"))


def test_table__has_every_command():
    """Each command has its rows, and nothing else has any."""
    assert set(commands()) == {command for command, _ in ROWS}


@pytest.mark.parametrize("command", commands())
def test_unknown_option(environment, command):
    """An unknown option is 2 everywhere."""
    assert 2 == run(environment, command, "--no-such-option")
    assert "| every one | 2 |" in PAGE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run__stopped(environment, number):
    """A command that is stopped has done its work: 0."""
    with running_site(environment) as site:
        os.kill(site.process.pid, number)

        assert 0 == site.process.wait(30)
    assert ("fluxlit_run", "0") in ROWS

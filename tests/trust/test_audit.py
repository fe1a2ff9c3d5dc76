"""Every attack of the audit is fended off by the real command, and gets through to a careless server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from fluxlit_django import audit
from fluxlit_django.visitor import Target, User
from tests.site import PASSWORD, ROOT, site_environment
from tests.trust.conftest import PATIENCE_S, change
from tests.trust.gullible import running_gullible_server

by_name = pytest.mark.parametrize("attack", audit.ATTACKS, ids=lambda attack: attack.__name__)


@pytest.fixture
async def target(one_worker, new_viewer) -> Target:
    """The real command, with two accounts."""
    return await make_target(one_worker, new_viewer)


async def make_target(site, new_viewer) -> Target:
    """A site with two accounts."""
    users = []
    for name in ("mallory", "alice"):
        viewer = new_viewer(site)
        viewer.username = name
        users.append(User(name, PASSWORD, await change(viewer, "make")))
    return Target(site.url, users=tuple(users), patience_s=PATIENCE_S)


@by_name
async def test_attack__on_the_real_command(target, attack):
    """The attack is fended off."""
    row = await audit.judge(attack, target)

    assert ("held", "") == (row.verdict, row.detail)


ON_THE_SERVER = (
    audit.socket_without_session,
    audit.foreign_origin,
    audit.spoofed_identity,
    audit.socket_after_sign_out,
    audit.upload_to_another,
    audit.closed_routes,
    audit.request_smuggling,
    audit.header_injection,
    audit.path_traversal,
    audit.open_redirect,
    audit.host_poisoning,
    audit.told_too_much,
)
"""Attacks whose outcome may differ with the server and its parser."""


@pytest.mark.parametrize("attack", ON_THE_SERVER, ids=lambda attack: attack.__name__)
async def test_attack__on_another_server(other_server, new_viewer, attack):
    """The attack is fended off on the other servers too."""
    row = await audit.judge(attack, await make_target(other_server, new_viewer))

    assert ("held", "") == (row.verdict, row.detail)


@by_name
async def test_attack__on_a_gullible_server(attack, tmp_path):
    """The attack gets through, and the report says how."""
    shared = tmp_path / "fluxlit-open"
    shared.mkdir(mode=0o777)
    with socket.socket(socket.AF_UNIX) as sidecar:
        sidecar.bind(str(shared / "default-0.sock"))
        sidecar.listen()
        async with running_gullible_server() as url:
            target = Target(url, users=(User("a", "a", "1"), User("b", "b", "2")), patience_s=1.5)

            row = await audit.judge(attack, target)

    assert "broken" == row.verdict, row
    assert row.detail


@by_name
async def test_attack__nobody_there(attack):
    """An attack on a site that does not answer is no success: it failed, or had nothing to look at."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        target = Target(url, users=(User("a", "a", "1"), User("b", "b", "2")))

        row = await audit.judge(attack, target)

    if attack is not audit.sidecar_sockets:
        assert "failed" == row.verdict, row


def run_command(folder, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py fluxlit_audit`."""
    return subprocess.run(
        [sys.executable, "manage.py", "fluxlit_audit", *arguments],
        cwd=ROOT,
        env=site_environment(folder),
        capture_output=True,
        text=True,
    )


def test_command__reports_as_json(one_worker, tmp_path):
    """The command attacks the site, and its exit code and its JSON say how it went."""
    done = run_command(tmp_path, "--url", one_worker.url, "--patience", str(PATIENCE_S), "--json")

    assert 0 == done.returncode, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["ok"]
    assert {attack.__name__ for attack in audit.ATTACKS} == {row["attack"] for row in report["attacks"]}
    assert {"held", "skipped"} == {row["verdict"] for row in report["attacks"]}


def test_command__nobody_there(tmp_path):
    """A site that does not answer is exit code 1, and a line for each attack."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        done = run_command(tmp_path, "--url", f"http://127.0.0.1:{nobody.getsockname()[1]}")

    assert 1 == done.returncode
    assert len(audit.ATTACKS) + 1 == len(done.stdout.splitlines()), done.stdout + done.stderr


def test_command__user_without_password(tmp_path):
    """Each user needs a password."""
    done = run_command(tmp_path, "--user", "admin")

    assert 1 == done.returncode
    assert "--password" in done.stderr

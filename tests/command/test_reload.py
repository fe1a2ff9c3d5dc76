"""Replacing all processes of the running command: nobody loses a session, an upload or a page."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.request

import aiohttp
import pytest

from tests.command.test_faults import SCRIPT, browse, tab, upload, wait_for_line
from tests.site import ROOT, Site, manage, running_site, site_environment
from tests.streamlit_protocol import Closed, StreamlitClient

DRAIN_S = 120
REPLACED_WITHIN_S = 60  # two sidecars, then the worker, one after the other


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A site that is open to everybody, with a plain script as its default app."""
    folder = tmp_path_factory.mktemp("reload")
    script = folder / "plain.py"
    script.write_text(SCRIPT)
    environment = site_environment(
        folder,
        FLUXLIT_SCRIPT=str(script),
        FLUXLIT_ACCESS="public",
        FLUXLIT_GRACEFUL_SHUTDOWN_TIMEOUT_S="2",
        FLUXLIT_STREAMLIT_DRAIN_TIMEOUT_S=str(DRAIN_S),
    )
    manage(environment, "migrate", "-v0")
    return environment


def ready_report(site: Site) -> dict:
    """What the readiness probe says of the default app's sidecars."""
    with urllib.request.urlopen(f"{site.url}/api/readyz", timeout=5) as response:
        return json.load(response)["apps"]["default"]["sidecars"]


async def come_back(site: Site, client: StreamlitClient) -> None:
    """Wait for the gateway to close the socket, and reconnect as Streamlit's frontend does."""
    client.timeout = REPLACED_WITHIN_S
    with pytest.raises(Closed) as closed:
        await client.collect()
    assert closed.value.code == 1012
    await client.connect()


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_sighup__sessions_go_on(environment, server):
    """A session that was open goes on with its state and its uploads; a new one is at a new sidecar."""
    flags = ["--server", server, "--workers", "2", "--streamlit-workers", "2"]
    with running_site(environment, *flags) as site:
        gateway = site.child("fluxlit_django.gateway")
        async with tab(site) as old, tab(site) as new:
            await browse(old)
            await old.rerun()

            site.process.send_signal(signal.SIGHUP)
            await come_back(site, old)
            await asyncio.to_thread(wait_for_line, site, "Replaced everything in")
            await old.socket.close()  # the other gateway worker, if it came back there, is replaced as well
            await old.connect()
            resumed = await old.rerun()
            uploads = [await upload(old, site, resumed.widget("File"), b"x" * 900_000) for _ in range(4)]
            await browse(new)
            fresh = await new.rerun()
            fresh_upload = await upload(new, site, fresh.widget("File"), b"y" * 1000)
            # The cookie now says the new generation, as when the old tab's browser opens a second one.
            cookies = {cookie.key: cookie.value for cookie in new.http.cookie_jar}
            old.http.cookie_jar.update_cookies(cookies)
            in_old_tab = [await upload(old, site, resumed.widget("File"), b"z" * 500_000) for _ in range(4)]
            report = await asyncio.to_thread(ready_report, site)

        assert resumed.texts()[0] == "run 2"
        assert set(uploads) == {"data.bin: 900000 bytes"}
        assert fresh.texts()[0] == "run 1"
        assert fresh_upload == "data.bin: 1000 bytes"
        assert set(in_old_tab) == {"data.bin: 500000 bytes"}
        states = {name: each["state"] for name, each in report.items()}
        assert (states.pop("default-0"), states.pop("default-1")) == ("ready", "ready")
        # The one that had no session may have ended already.
        assert set(states.values()) == {"draining"}
        assert set(states) <= {"default-0.1", "default-1.1"}
        assert site.child("fluxlit_django.gateway") != gateway
        assert site.stop() == 0


async def test_reload__command(environment, tmp_path):
    """`fluxlit_reload` finds the supervisor, waits, and says how it went; requests go on all the while."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    variables = {**environment, "FLUXLIT_RUNTIME_DIR": str(folder)}
    with running_site(variables) as site:
        stop = asyncio.Event()
        asking = asyncio.create_task(keep_asking(site, stop))

        done = await asyncio.to_thread(reload, variables)
        stop.set()
        statuses = await asking
        await asyncio.to_thread(wait_until_drained, site)

        assert (done.returncode, done.stderr) == (0, "")
        assert "Every process is replaced" in done.stdout
        assert set(statuses) == {200}
        assert site.stop() == 0


async def test_reload__new_code_that_is_broken(environment, tmp_path):
    """When a new sidecar does not start, the command says why and fails; the old ones serve on."""
    config = tmp_path / ".streamlit" / "config.toml"
    script = tmp_path / "plain.py"
    script.write_text(SCRIPT)
    with running_site({**environment, "FLUXLIT_SCRIPT": str(script)}) as site:
        config.parent.mkdir()
        config.write_text("[server\n")
        port = site.url.rpartition(":")[2]

        done = await asyncio.to_thread(reload, environment, "--port", port)
        async with tab(site) as client:
            run = await client.rerun()

        assert done.returncode == 1
        assert "Not everything is replaced" in done.stderr
        assert "config.toml" in done.stderr
        assert run.texts()[0] == "run 1"


def test_reload__nobody_there(environment, tmp_path):
    """Without a running supervisor the command fails with the reason; a dead one's socket is nobody."""
    done = reload({**environment, "FLUXLIT_RUNTIME_DIR": str(tmp_path)})

    assert done.returncode == 2
    assert "No fluxlit_run of this project and this user is running." in done.stderr


def reload(environment, *flags) -> subprocess.CompletedProcess[str]:
    """Run `fluxlit_reload`."""
    command = [sys.executable, "manage.py", "fluxlit_reload", *flags]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)


def wait_until_drained(site: Site) -> None:
    """Wait until the sidecar without sessions has ended."""
    waiting = 200
    while list(ready_report(site)) != ["default-0"]:
        waiting -= 1
        assert waiting, site.log
        subprocess.run(["sleep", "0.1"], check=True)


async def keep_asking(site: Site, stop: asyncio.Event) -> list[int]:
    """Load a page again and again, each on a connection of its own; the statuses."""
    statuses = []
    while not stop.is_set():
        async with aiohttp.ClientSession() as session:
            for path in ("/", "/_stcore/health", "/api/readyz"):
                async with session.get(f"{site.url}{path}") as response:
                    statuses.append(response.status)
    return statuses

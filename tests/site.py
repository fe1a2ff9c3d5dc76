"""The real command, running: `manage.py fluxlit_run` on a free port, with a demo shop of its own."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from fluxlit_django.testing import LiveSite

ROOT = Path(__file__).parent.parent
PASSWORD = "correct-horse-battery"
URL = re.compile(r"http://127\.0\.0\.1:\d+/")
START_LIMIT_S = 120


class Site(LiveSite):
    """One running `fluxlit_run` of this repository."""

    @property
    def url(self) -> str:
        """Its origin, without the path prefix that it may have."""
        found = URL.search(self.log)
        assert found, self.log
        return found.group().rstrip("/")

    def wait_until_ready_again(self, limit_s: float = 30) -> None:
        """Wait until the readiness probe says so."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{self.url}/api/readyz", timeout=5).close()
                return
            # A probe has nothing to wait on but its own next try.
            threading.Event().wait(0.1)
        raise AssertionError(self.log)

    def child(self, module: str, *arguments: str) -> int:
        """The pid of the child that runs `python -m <module> <arguments>`."""
        wanted = ["-m", module, *arguments]
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().decode().split("\0")
                stat = (folder / "stat").read_text()
                parent = int(stat.rpartition(")")[2].split()[1])
                if parent == self.process.pid and wanted == words[1 : 1 + len(wanted)]:
                    return int(folder.name)
        raise AssertionError(f"no child runs {wanted}")


def site_environment(folder: Path, **variables: str) -> dict[str, str]:
    """The environment of a demo whose database and caches are in a folder of its own."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("FLUXLIT_", "DJANGO_"))
    }
    return {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "ENV_FILE": "",
        "SECRET_KEY": "a-key-for-tests-only-that-is-long-enough-to-please-the-checks",
        "DEBUG": "true",
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "FLUXLIT_DEMO_PASSWORD": PASSWORD,
        "PYTHONUNBUFFERED": "1",
        **variables,
    }


def manage(environment: Mapping[str, str], *arguments: str) -> None:
    """Run a management command to its end."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def prepare_demo(environment: Mapping[str, str]) -> None:
    """Make the database, its data and the administrator."""
    manage(environment, "prepare_demo")


@contextlib.contextmanager
def running_site(environment: Mapping[str, str], *arguments: str) -> Iterator[Site]:
    """Run the command on a free port until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "fluxlit_run", "--port", "0", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    site = Site(process)
    try:
        site.wait_ready(START_LIMIT_S)
        yield site
    finally:
        site.stop()

"""`manage.py fluxlit_run`, mostly as a process of its own with real children."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError

from fluxlit_django import conf
from tests.supervisor.children import is_alive

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
execute_from_command_line(sys.argv)
"""

SETTINGS = """
from pathlib import Path

BASE_DIR = Path(__file__).parent
SECRET_KEY = "a-key-for-tests-only-that-is-long-enough-to-please-the-checks"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "fluxlit_django",
    "notes",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "site_urls"
ASGI_APPLICATION = "fluxlit_django.asgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
FLUXLIT = {"SCRIPT": BASE_DIR / "dashboard.py", "ACCESS": "public", "GRACEFUL_SHUTDOWN_TIMEOUT_S": 1}
"""

URLS = """
from django.contrib import admin
from django.http import HttpResponse
from django.urls import path

from notes.text import TEXT

urlpatterns = [path("admin/", admin.site.urls), path("text/", lambda request: HttpResponse(TEXT))]
"""


@pytest.fixture
def site(tmp_path):
    """A small Django project with one script."""
    files = {
        "manage.py": MANAGE,
        "site_settings.py": SETTINGS,
        "site_urls.py": URLS,
        "notes/__init__.py": "",
        "notes/text.py": "TEXT = 'first'\n",
        "dashboard.py": "import streamlit as st\n\nst.write('hello')\n",
    }
    for name, text in files.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "site"


class Command:
    """A running `fluxlit_run`, and everything it has printed."""

    def __init__(self, site, *flags, cwd=None, **environment):
        self.output = ""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FLUXLIT_")}
        self.process = subprocess.Popen(
            [sys.executable, str(site / "manage.py"), "fluxlit_run", "--port", "0", *flags],
            cwd=cwd or site,
            env={**inherited, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.finish()

    def _read(self):
        for line in self.process.stdout:
            self.output += line

    def until(self, condition, timeout_s=20):
        """Wait until a condition holds; what it returned."""
        deadline = time.monotonic() + timeout_s
        while not (found := condition()):
            late = time.monotonic() > deadline or self.process.poll() is not None
            assert not late, f"waited in vain; the command printed:\n{self.output}"
            time.sleep(0.05)
        return found

    def serving(self):
        """Wait for the banner; the public URL."""
        self.until(lambda: "Ctrl-C stops" in self.output)
        return re.search(r"FluxLit \S+ +(http://\S+)/\n", self.output)[1]

    def finish(self):
        """Wait for its end: the exit code."""
        code = self.process.wait(20)
        self._reader.join(20)
        self.process.stdout.close()
        return code

    def children(self):
        """Process ids of its children, by the module they run."""
        found = {}
        for pid in self.pids():
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if len(words) > 2:
                found[words[2].rpartition(".")[2]] = pid
        return found

    def pids(self):
        """Process ids of its children."""
        main_thread = Path(f"/proc/{self.process.pid}/task/{self.process.pid}")
        return [int(pid) for pid in (main_thread / "children").read_text().split()]

    def children_are_new(self, old):
        """Whether all children of an earlier moment have been replaced, and are gone."""
        new = self.children()
        return new.keys() == old.keys() and not set(old.values()) & set(self.pids())


def readiness(url):
    """The state of the one sidecar, as the readiness probe tells it."""
    try:
        return httpx.get(f"{url}/api/readyz", timeout=5).status_code
    except httpx.TransportError:
        return 0


def test_fluxlit_run(site, tmp_path):
    """From another directory: the banner, both servers, a sidecar that is killed, a clean stop."""
    with Command(site, cwd=tmp_path) as command:
        url = command.serving()
        text = httpx.get(f"{url}/text/").text
        health = httpx.get(f"{url}/_stcore/health").text
        ready = readiness(url)
        old = command.children()
        os.kill(old["sidecar"], signal.SIGKILL)
        command.until(lambda: command.children().get("sidecar", old["sidecar"]) != old["sidecar"])
        command.until(lambda: readiness(url) == 200)
        new = command.children()
        command.process.terminate()
        code = command.finish()

    assert (text, health, ready) == ("first", "ok", 200)
    assert old["gateway"] == new["gateway"]
    assert code == 0
    assert not any(map(is_alive, new.values()))
    assert f"  default     {url}/   site/dashboard.py, public\n" in command.output
    assert f"  Admin       {url}/admin/\n" in command.output
    assert f"  Readiness   {url}/api/readyz\n" in command.output
    assert command.output.startswith("Starting gateway-0, default-0 ...\n")
    assert "supervisor | " in command.output
    assert "default-0 was killed by SIGKILL" in command.output
    assert ".sock" not in command.output


def test_fluxlit_run__reload(site):
    """With --reload a saved module is served soon; one that does not compile leaves the old one."""
    module = site / "notes" / "text.py"
    with Command(site, "--reload") as command:
        url = command.serving()
        before = command.children()
        (site / "dashboard.py").write_text("import streamlit as st\n\nst.write('changed')\n")
        module.write_text("TEXT = 'second'\n")
        command.until(lambda: "Restarted in" in command.output)
        command.until(lambda: command.children_are_new(before))
        changed = httpx.get(f"{url}/text/").text
        module.write_text("TEXT = 'third\n")
        command.until(lambda: "text.py, line 1: unterminated string literal" in command.output)
        kept = httpx.get(f"{url}/text/").text
        module.write_text("TEXT = 'fourth'\n")
        command.until(lambda: httpx.get(f"{url}/text/").text == "fourth")
        command.until(lambda: command.output.count("Restarted in") == 2)

    assert (changed, kept) == ("second", "second")
    assert "dashboard.py changed" not in command.output
    assert command.process.returncode == 0


def test_fluxlit_run__reload_of_broken_urls(site):
    """A URLconf that cannot be imported never starts a gateway worker: what ran before goes on."""
    urls = site / "site_urls.py"
    with Command(site, "--reload") as command:
        url = command.serving()
        urls.write_text("from notes import nothing_of_this_name\n" + URLS)
        command.until(lambda: "What ran before goes on" in command.output)
        kept = httpx.get(f"{url}/text/").text

    assert kept == "first"
    assert "The gateway worker gateway-0 ended with exit code 1 before it served." in command.output
    assert "cannot import name 'nothing_of_this_name'" in command.output


def test_fluxlit_run__broken_urls(site):
    """At the first start it ends the command, with the worker's own last lines."""
    (site / "site_urls.py").write_text("from notes import nothing_of_this_name\n" + URLS)
    with Command(site) as command:
        code = command.finish()

    assert code == 1
    assert "CommandError: The gateway worker gateway-0 ended with exit code 1 before it" in command.output
    assert "    ImportError: cannot import name 'nothing_of_this_name'" in command.output


def test_fluxlit_run__compresses_the_frontend(site, tmp_path):
    """Once everything serves, the frontend is compressed beside it; a folder that cannot is one line."""
    (tmp_path / "file").touch()
    with Command(site, FLUXLIT_ASSETS_DIR=str(tmp_path / "file" / "assets")) as command:
        url = command.serving()
        command.until(lambda: "assets ended with exit code 1; everything else goes on" in command.output)
        ready = readiness(url)

    assert ready == 200
    assert "cannot be written: Not a directory. Set FLUXLIT_ASSETS_DIR" in command.output
    assert "Traceback" not in command.output


def test_fluxlit_run__sidecar_never_starts(site):
    """A sidecar that cannot start ends the command soon, with its own last lines and exit code 1."""
    (site / "notes" / "apps.py").write_text(
        "import sys\n"
        "from django.apps import AppConfig\n\n\n"
        "class NotesConfig(AppConfig):\n"
        "    name = 'notes'\n\n"
        "    def ready(self):\n"
        "        if 'fluxlit_django.sidecar' in ' '.join(sys.orig_argv):\n"
        "            raise RuntimeError('no coffee')\n"
    )
    with Command(site) as command:
        code = command.finish()

    assert code == 1
    assert "CommandError: The sidecar default-0 ended with exit code 1 before it served." in command.output
    assert "    RuntimeError: no coffee" in command.output
    assert "Ctrl-C stops" not in command.output


# What fails before anything is started needs no process.


@pytest.fixture
def run(monkeypatch, settings, tmp_path):
    """Call the command in this process."""
    script = tmp_path / "dashboard.py"
    script.touch()
    settings.FLUXLIT = {"SCRIPT": str(script)}
    for name in [name for name in os.environ if name.startswith("FLUXLIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(conf.FLAGS_VARIABLE, "{}")
    conf.get_config.cache_clear()

    def call(*flags):
        stdout = io.StringIO()
        call_command("fluxlit_run", *flags, stdout=stdout)
        return stdout.getvalue()

    yield call
    conf.get_config.cache_clear()


@pytest.fixture
def taken_port():
    """A port that is in use: with it nothing is ever started, whatever was not noticed before."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield str(other.getsockname()[1])


@pytest.mark.django_db(transaction=True)  # the start is recorded
def test_fluxlit_run__port_in_use(run, taken_port):
    """The message names the address, the reason and the remedy."""
    problem = f"Cannot listen on 127.0.0.1:{taken_port}: the port is in use"

    with pytest.raises(CommandError, match=problem) as caught:
        run("--port", taken_port)

    assert caught.value.returncode == 1


@pytest.mark.django_db(transaction=True)  # the start is recorded
def test_fluxlit_run__missing_script(run, settings, tmp_path, taken_port):
    """A script that is not there is named, with its setting, before anything is started."""
    missing = tmp_path / "nothing.py"
    settings.FLUXLIT = {"APPS": {"explore": {"SCRIPT": str(missing)}}}

    with pytest.raises(CommandError) as caught:
        run("--port", taken_port)

    assert str(caught.value) == (
        f'FLUXLIT["APPS"]["explore"]["SCRIPT"] is {str(missing)!r}: No such file or directory. '
        "Use the path of a Python file."
    )


@pytest.mark.django_db(transaction=True)  # the start is recorded
def test_fluxlit_run__script_is_a_directory(run, settings, tmp_path, taken_port):
    """So is one that cannot be read."""
    (tmp_path / "folder.py").mkdir()
    settings.FLUXLIT = {"SCRIPT": str(tmp_path / "folder.py")}

    with pytest.raises(CommandError, match="Is a directory"):
        run("--port", taken_port)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--port", "http"], "--port is 'http': use a whole number from 0 to 65535"),
        (["--server", "gunicorn"], "--server is 'gunicorn': use uvicorn or daphne"),
        (["--workers", "0"], "--workers is '0': use a whole number from 1 to 64"),
    ],
)
def test_fluxlit_run__bad_flag(run, flags, problem):
    """A flag's value is checked as every setting's is; the message names the flag."""
    with pytest.raises(SystemCheckError, match=problem):
        run(*flags)


@pytest.mark.django_db(transaction=True)  # the start is recorded
def test_fluxlit_run__flags_reach_children(run, taken_port):
    """What was given on the command line is there for every process that reads the configuration."""
    with pytest.raises(CommandError):
        run("--port", taken_port, "--workers", "3", "--reload")

    config = conf.get_config()
    assert (config.workers, config.reload) == (3, True)
    assert json.loads(os.environ[conf.FLAGS_VARIABLE])["workers"] == "3"
    assert config.sources["server"] == "default"


@pytest.mark.django_db(transaction=True)  # the start is recorded
def test_fluxlit_run__bad_runtime_directory(run, settings, tmp_path):
    """A runtime directory that is open to others is refused with the command that closes it."""
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(0o755)
    settings.FLUXLIT = {**settings.FLUXLIT, "RUNTIME_DIR": str(directory)}

    with pytest.raises(CommandError, match=f"chmod 700 {directory}"):
        run("--port", "0")


def test_fluxlit_run__help():
    """Every setting with a flag is an option, with its default."""
    help_text = subprocess.run(
        [sys.executable, "-m", "django", "fluxlit_run", "--help"],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": os.getcwd(),
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    for field in conf.setting_fields():
        assert field.metadata["flag"] in help_text
    assert "Port to listen on. Default: 8000." in help_text

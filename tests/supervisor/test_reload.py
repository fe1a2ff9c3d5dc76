"""Which changed files restart the children."""

import asyncio
import os
from pathlib import Path

import pytest

from fluxlit_django.conf import AppConfig, Config
from fluxlit_django.supervisor.events import EventKind
from fluxlit_django.supervisor.recovery import RecoveryRules
from fluxlit_django.supervisor.reload import (
    Sources,
    Watcher,
    is_loaded,
    is_watched,
    needs_restart,
    outermost,
    syntax_problem,
    together,
)
from tests.supervisor.children import fake, is_alive, running, until, until_gone


@pytest.fixture
def site(tmp_path):
    """A project with an app, a script with pages beside its helpers, a virtual environment."""
    for name in (
        "manage.py",
        "helpers.py",
        "site/__init__.py",
        "site/settings.py",
        "shop/__init__.py",
        "shop/models.py",
        "shop/streamlit_pages.py",
        "shop/dashboards/report.py",
        "shop/dashboards/pages/1_orders.py",
        "shop/api/__init__.py",
        "shop/api/views.py",
        "explore/explore.py",
        "explore/charts.py",
        "explore/pages/2_more.py",
        "venv/pyvenv.cfg",
        "venv/lib/x.py",
        ".hidden/x.py",
        "shop/__pycache__/x.py",
        "node_modules/x/x.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def sources_of(site, *scripts):
    return Sources((site,), (site / "site", site / "shop"), tuple(site / script for script in scripts))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shop/models.py", True),
        ("helpers.py", True),
        ("explore/pages/2_more.py", True),
        ("shop/models.pyc", False),
        ("shop/notes.txt", False),
        ("shop/__pycache__/x.py", False),
        (".hidden/x.py", False),
        ("shop/.#models.py", False),
        ("venv/lib/x.py", False),
        ("node_modules/x/x.py", False),
        ("../elsewhere.py", False),
    ],
)
def test_is_watched(site, name, expected):
    """Only Python files of the project itself."""
    assert expected == is_watched(Path(os.path.normpath(site / name)), [site])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("explore/explore.py", False),
        ("explore/charts.py", False),
        ("explore/pages/2_more.py", False),
        ("explore/new.py", False),
        ("shop/dashboards/report.py", False),
        ("shop/dashboards/pages/1_orders.py", False),
        ("shop/models.py", True),
        ("shop/streamlit_pages.py", True),
        ("shop/api/views.py", True),
        ("site/settings.py", True),
        ("helpers.py", True),
    ],
)
def test_needs_restart(site, name, expected):
    """A module of Django restarts; a script and what lies beside or below it does not."""
    sources = sources_of(site, "explore/explore.py", "shop/dashboards/report.py")

    assert expected == needs_restart(site / name, sources, lambda path: False)


@pytest.mark.parametrize(("loaded", "expected"), [(True, True), (False, False)])
def test_needs_restart__script_at_the_top(site, loaded, expected):
    """Beside a script in the project's own directory, only what Django has imported restarts."""
    sources = sources_of(site, "dashboard.py")

    assert expected == needs_restart(site / "helpers.py", sources, lambda path: loaded)
    assert needs_restart(site / "shop/models.py", sources, lambda path: False)


def test_needs_restart__script_is_a_module(site):
    """A script inside a Django package is a script all the same."""
    sources = sources_of(site, "shop/api/views.py")

    assert not needs_restart(site / "shop/api/views.py", sources, lambda path: True)


def test_is_loaded():
    """A module that this process has imported is known by its file."""
    assert is_loaded(Path(__file__))
    assert not is_loaded(Path(__file__).with_name("nothing.py"))


def test_outermost():
    """A directory below another one is watched with that."""
    paths = [Path("/a/b"), Path("/a"), Path("/c"), Path("/ab")]

    assert [Path("/a"), Path("/ab"), Path("/c")] == list(outermost(paths))


def test_sources__of_project():
    """The project's own apps and settings, and none of an installed package."""
    script = str(Path(__file__))

    sources = Sources.of_project(Config(apps=(AppConfig("default", "", script=script),)))

    root = Path(__file__).parents[2]
    assert root / "fluxlit_django" in sources.packages
    assert root in sources.roots
    assert not any("site-packages" in str(path) for path in (*sources.packages, *sources.roots))
    assert sources.scripts == (Path(script).resolve(),)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (b"x = 1", ""),
        (b"def f(:\n  pass", "views.py, line 1: invalid syntax"),
        (b"\xff\xfe", "views.py, line "),
        (b"x = '\\d'", ""),
    ],
)
def test_syntax_problem(tmp_path, source, problem):
    """What keeps a file from being compiled, in one line; a warning does not."""
    path = tmp_path / "views.py"
    path.write_bytes(source)

    found = syntax_problem(path)

    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def test_syntax_problem__null_byte(tmp_path):
    """A file of null bytes, as a crash leaves behind, is a problem and not an exception."""
    path = tmp_path / "views.py"
    path.write_bytes(b"\0\0")

    assert "null bytes" in syntax_problem(path)


def test_syntax_problem__gone(tmp_path):
    """A file that was removed has nothing to compile."""
    assert syntax_problem(tmp_path / "views.py") == ""


async def test_together():
    """Changes that come in quick succession are one."""
    queue = asyncio.Queue()
    for name in ("/a.py", "/b.py", "/a.py"):
        queue.put_nowait(Path(name))
    groups = together(queue, 0.05)

    first = await anext(groups)
    queue.put_nowait(Path("/c.py"))
    second = await anext(groups)
    await groups.aclose()

    assert [{Path("/a.py"), Path("/b.py")}, {Path("/c.py")}] == [first, second]


async def test_watcher__changes(site):
    """A saved module is told, however it is saved; a script and a file that was only read are not."""
    watcher = Watcher(sources_of(site, "explore/explore.py"))
    told = []

    async def follow():
        async for paths in watcher.changes():
            told.append({path.name for path in paths})

    task = asyncio.create_task(follow())
    await asyncio.sleep(0.3)  # the watches are set when the generator first runs

    (site / "explore/explore.py").write_text("x = 1")
    (site / "shop/models.py").read_text()
    (site / "shop/models.py").write_text("x = 1")
    await until(lambda: len(told) == 1)
    (site / "shop/views.py.tmp").write_text("x = 1")
    os.replace(site / "shop/views.py.tmp", site / "shop/views.py")
    await until(lambda: len(told) == 2)
    (site / "shop/models.py").unlink()
    await until(lambda: len(told) == 3)
    (site / "blog").mkdir()
    await asyncio.sleep(0.3)  # nothing tells when the new folder is watched
    (site / "blog/models.py").write_text("x = 1")
    await until(lambda: len(told) == 4)
    task.cancel()

    assert [{"models.py"}, {"views.py"}, {"models.py"}, {"models.py"}] == told


class Changes:
    """Changes that a test makes."""

    def __init__(self):
        self.queue = asyncio.Queue()
        self.broken = ""

    async def changes(self):
        while True:
            yield await self.queue.get()

    def problem(self, paths):
        return self.broken

    def save(self, name="views.py"):
        self.queue.put_nowait(frozenset({Path(name)}))


def processes(run):
    return [child.process for child in run.supervisor.children]


async def replaced(run, old):
    """Wait until every child has another process that serves, and the old ones are gone."""
    await run.until(lambda: all(new is not before for new, before in zip(processes(run), old, strict=True)))
    await until_gone(*(process.pid for process in old))


async def test_reload__replaces_everything():
    """A changed module replaces every child; nobody counts it as a death, and no state but ready is told."""
    changes = Changes()
    async with running(
        fake("gateway-0", "ready"), fake("gateway-1", "ready"), fake("default-0", "ready"), watcher=changes
    ) as run:
        await run.until_event(EventKind.SERVING)
        old = processes(run)
        changes.save()
        await replaced(run, old)
        states = [(child.state.value, child.restarts) for child in run.supervisor.children]

    assert states == [("ready", 0)] * 3
    assert run.of_kind(EventKind.EXITED) == []


async def test_reload__replaced_child_is_kept_alive():
    """The new process of a child is started again when it dies, as the old one was."""
    changes = Changes()
    async with running(fake("default-0", "ready"), watcher=changes) as run:
        await run.until_event(EventKind.SERVING)
        old = processes(run)
        changes.save()
        await replaced(run, old)
        os.kill(processes(run)[0].pid, 9)
        await run.until_event(EventKind.EXITED, "default-0")
        await run.until_event(EventKind.RESTARTED, "default-0", times=2)

    assert run.supervisor.children[0].restarts == 1


async def test_reload__does_not_compile():
    """A file that does not compile restarts nothing; the next change does."""
    changes = Changes()
    async with running(fake("default-0", "ready"), watcher=changes) as run:
        await run.until_event(EventKind.SERVING)
        old = processes(run)
        changes.broken = "views.py, line 1: invalid syntax"
        changes.save()
        failed = await run.until_event(EventKind.RELOAD_FAILED)
        kept = processes(run) == old and is_alive(old[0].pid)
        changes.broken = ""
        changes.save()
        await replaced(run, old)

    assert failed.last_lines == ("views.py, line 1: invalid syntax",)
    assert kept


async def test_reload__does_not_start(tmp_path, caplog):
    """A change with which a child cannot start is said and leaves the old one at work; the next works."""
    changes, good = Changes(), tmp_path / "good"
    good.touch()
    async with running(fake("default-0", f"exit_unless:{good}", "ready"), watcher=changes) as run:
        await run.until_event(EventKind.SERVING)
        old = processes(run)
        good.unlink()
        changes.save()
        await run.until_event(EventKind.RELOAD_FAILED, "default-0")
        kept = processes(run) == old and is_alive(old[0].pid)
        good.touch()
        changes.save()
        await replaced(run, old)

    assert kept
    assert "The sidecar default-0 ended with exit code 1 before it served." in caplog.text
    assert not run.task.done() or run.task.cancelled()


async def test_reload__one_does_not_start(tmp_path):
    """Old and new code never serve together: when one child cannot start, none is replaced."""
    changes, good, log = Changes(), tmp_path / "good", tmp_path / "log"
    good.touch()
    async with running(
        fake("gateway-0", f"use_log:{log},gateway-0", "ready"),
        fake("default-0", f"exit_unless:{good}", "ready"),
        watcher=changes,
    ) as run:
        await run.until_event(EventKind.SERVING)
        old = processes(run)
        good.unlink()
        changes.save()
        await run.until_event(EventKind.RELOAD_FAILED)
        candidates = [int(line.split()[-1]) for line in log.read_text().splitlines() if "started" in line][1:]
        await until_gone(*candidates)

        assert processes(run) == old
        assert all(is_alive(process.pid) for process in old)


async def test_reload__newer_change_wins(tmp_path):
    """A restart that hangs is given up at the next change, and leaves no process behind."""
    changes, log, good = Changes(), tmp_path / "log", tmp_path / "good"
    good.touch()
    command = fake("default-0", f"use_log:{log},default-0", f"wait_for:{good}", "ready")
    async with running(command, watcher=changes) as run:
        await run.until_event(EventKind.SERVING)
        old = processes(run)
        good.unlink()
        changes.save()
        await run.until_event(EventKind.STARTED, "default-0", times=2)
        await until(lambda: log.read_text().count("started") == 2)
        changes.save()
        await run.until_event(EventKind.STARTED, "default-0", times=3)
        good.touch()
        await replaced(run, old)
        pids = [int(line.split()[-1]) for line in log.read_text().splitlines() if "started" in line]
        await until_gone(pids[1])
        alive = [is_alive(pid) for pid in pids]

    assert alive == [False, False, True]


async def test_reload__while_a_child_waits_for_its_next_try(tmp_path):
    """A change brings back a child in a crash loop without waiting for the breaker's next try."""
    changes, good = Changes(), tmp_path / "good"
    good.touch()
    command = fake("default-0", f"exit_unless:{good}", "ready")
    async with running(command, watcher=changes, rules=RecoveryRules(deaths=1, retry_s=600)) as run:
        await run.until_event(EventKind.SERVING)
        good.unlink()
        os.kill(processes(run)[0].pid, 9)
        await run.until_event(EventKind.BREAKER, "default-0")
        good.touch()
        changes.save()
        await run.until_event(EventKind.RESTARTED, "default-0")
        status = run.supervisor.statuses()[0]

    assert status.state == "ready"

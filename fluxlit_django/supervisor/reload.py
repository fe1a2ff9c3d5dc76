"""`--reload`: which changed files restart the children, for development."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.apps import apps
from django.conf import settings
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from fluxlit_django.conf import Config

logger = logging.getLogger(__name__)

QUIET_S = 0.1  # an editor writes a file in several steps, a checkout writes many files
POLL_S = 1.0  # where the system has no more watches to give

_SKIPPED_FOLDERS = {"__pycache__", "node_modules", "site-packages", "dist-packages"}
_CHANGES = {"created", "modified", "moved", "deleted"}  # a file that was only read is reported as well


@dataclass(frozen=True)
class Sources:
    """Where a project's code is. All paths are absolute, without symbolic links."""

    roots: tuple[Path, ...]
    """Directories to watch."""
    packages: tuple[Path, ...]
    """Directories of Django apps and of the settings: their modules are Django's."""
    scripts: tuple[Path, ...]
    """Streamlit scripts, which Streamlit's own watcher reruns."""

    @classmethod
    def of_project(cls, config: Config) -> Sources:
        """The sources of this project, as Django has loaded it."""
        packages = [Path(app.path).resolve() for app in apps.get_app_configs()]
        settings_file = getattr(sys.modules.get(settings.SETTINGS_MODULE), "__file__", None)
        if settings_file:
            packages.append(Path(settings_file).resolve().parent)
        packages = [path for path in packages if not _SKIPPED_FOLDERS.intersection(path.parts)]
        base_dir = getattr(settings, "BASE_DIR", None)
        roots = [*packages, *([Path(base_dir).resolve()] if base_dir else [])]
        scripts = tuple(Path(app.script).resolve() for app in config.apps if app.script)
        return cls(tuple(outermost(roots)), tuple(packages), scripts)


def outermost(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the paths that are not below another one."""
    unique = set(paths)
    return (path for path in sorted(unique) if not unique.intersection(path.parents))


def is_watched(path: Path, roots: Sequence[Path]) -> bool:
    """Whether this is source code of the project: no virtual environment, no cache, nothing hidden."""
    root = next((root for root in roots if path.is_relative_to(root)), None)
    if root is None or path.suffix != ".py":
        return False
    folders = path.relative_to(root).parts
    if any(part.startswith(".") or part in _SKIPPED_FOLDERS for part in folders):
        return False
    return not any((folder / "pyvenv.cfg").exists() for folder in path.parents if folder.is_relative_to(root))


def needs_restart(path: Path, sources: Sources, is_loaded: Callable[[Path], bool]) -> bool:
    """Whether a changed file is a module that children have imported, or may have.

    A script is not, nor is what lies beside or below one: Streamlit reruns those by itself. A module of a
    Django app is, wherever it lies, and so is anything that this process has imported.
    """
    if path in sources.scripts:
        return False
    if is_loaded(path) or is_module(path, sources.packages):
        return True
    return not any(path.is_relative_to(script.parent) for script in sources.scripts)


def is_module(path: Path, packages: Sequence[Path]) -> bool:
    """Whether a file can be imported as part of one of these packages."""
    for package in packages:
        if not path.is_relative_to(package):
            continue
        between = [folder for folder in path.parents if folder != package and folder.is_relative_to(package)]
        if path.stem.isidentifier() and all((folder / "__init__.py").exists() for folder in between):
            return True
    return False


def is_loaded(path: Path) -> bool:
    """Whether this process has imported the file."""
    name = str(path)
    return any(getattr(module, "__file__", None) == name for module in list(sys.modules.values()))


def syntax_problem(path: Path) -> str:
    """Why a file cannot be compiled, in one line; "" when it can, and when it is gone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except SyntaxError as exc:
        return f"{path.name}, line {exc.lineno}: {exc.msg}"
    except ValueError as exc:  # a null byte
        return f"{path.name}: {exc}"
    except OSError:
        return ""
    return ""


class Watcher:
    """Tells of changed modules, together when they change together."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def changes(self) -> AsyncIterator[frozenset[Path]]:
        """Yield the modules that changed, once none has for `QUIET_S`."""
        loop = asyncio.get_running_loop()
        changed: asyncio.Queue[Path] = asyncio.Queue()

        def report(path: Path) -> None:
            loop.call_soon_threadsafe(changed.put_nowait, path)

        observer = _observe(self._sources.roots, report)
        try:
            async for paths in together(changed, QUIET_S):
                if wanted := frozenset(path for path in paths if self._is_wanted(path)):
                    yield wanted
        finally:
            observer.stop()

    def problem(self, paths: frozenset[Path]) -> str:
        """Why a restart for these files is pointless: one of them does not compile."""
        return next(filter(None, map(syntax_problem, sorted(paths))), "")

    def _is_wanted(self, path: Path) -> bool:
        return is_watched(path, self._sources.roots) and needs_restart(path, self._sources, is_loaded)


async def together(queue: asyncio.Queue[Path], quiet_s: float) -> AsyncIterator[frozenset[Path]]:
    """Yield what was put into a queue, collected until nothing more came for some time."""
    while True:
        paths = {await queue.get()}
        while True:
            try:
                paths.add(await asyncio.wait_for(queue.get(), quiet_s))
            except asyncio.TimeoutError:
                break
        yield frozenset(paths)


class _Handler(FileSystemEventHandler):
    """Reports Python files, and watches new folders of a root. Called in the observer's thread."""

    def __init__(self, observer: BaseObserver, roots: Sequence[Path], report: Callable[[Path], None]) -> None:
        self._observer = observer
        self._roots = roots
        self._report = report

    def watch_roots(self) -> None:
        """Watch the roots, and each of their folders but those with thousands of files of others."""
        for root in self._roots:
            self._observer.schedule(self, str(root), recursive=False)
            for folder in sorted(root.iterdir()):
                self._watch_folder(folder)

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in _CHANGES:
            return
        for path in (Path(os.fsdecode(event.src_path)), Path(os.fsdecode(event.dest_path))):
            if path.suffix == ".py":
                self._report(path)
            elif event.is_directory and event.event_type == "created" and path.parent in self._roots:
                self._watch_folder(path)

    def _watch_folder(self, folder: Path) -> None:
        is_skipped = folder.name.startswith(".") or folder.name in _SKIPPED_FOLDERS
        if folder.is_dir() and not is_skipped and not (folder / "pyvenv.cfg").exists():
            self._observer.schedule(self, str(folder), recursive=True)


def _observe(roots: Sequence[Path], report: Callable[[Path], None]) -> BaseObserver:
    observer: BaseObserver = Observer()
    try:
        _Handler(observer, roots, report).watch_roots()
        observer.start()
    except OSError as exc:  # inotify: no watches or instances left
        logger.warning("Watching files by reading them every %g s: %s", POLL_S, exc)
        observer.unschedule_all()
        observer = PollingObserver(timeout=POLL_S)
        _Handler(observer, roots, report).watch_roots()
        observer.start()
    return observer

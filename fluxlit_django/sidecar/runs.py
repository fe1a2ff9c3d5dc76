"""What happens around every rerun: the one place that reaches into Streamlit's script runner.

Streamlit offers no hook for the end of a run, so some of its methods are wrapped in place.
`tests/sidecar/test_database.py` names the version they were read in and fails when one is gone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

from fluxlit_django import logs
from fluxlit_django.sidecar import charts, database, streamlit_logs
from fluxlit_django.sidecar.tuning import Activity

PARALLEL_MODULE = "streamlit.runtime.parallel_coordinator"
"""Parallel fragments; Streamlit 1.57 has none."""


def install(activity: Activity) -> None:
    """Have every rerun of this process counted and its database connections closed. Call once."""
    # Streamlit 1.67: `_run_script` covers every way out of a run, SystemExit included, and goes round
    # within itself on `st.rerun`; `_on_script_finished` comes after each of those rounds.
    ScriptRunner._run_script = _counted(ScriptRunner._run_script, activity)  # type: ignore[method-assign]
    ScriptRunner._on_script_finished = _closing_first(  # type: ignore[method-assign]
        ScriptRunner._on_script_finished, activity
    )
    # Deferred downloads and parallel fragments run user code in threads of their own.
    MediaFileManager.execute_deferred = closing_connections(  # type: ignore[method-assign]
        MediaFileManager.execute_deferred
    )
    if find_spec(PARALLEL_MODULE):
        coordinator = import_module(PARALLEL_MODULE).ParallelFragmentCoordinator
        coordinator.submit = _closing_argument(coordinator.submit)


def closing_connections(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, after which this thread holds no database connection."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            database.close_connections()

    return wrapper


def _counted(run_script: Callable[..., None], activity: Activity) -> Callable[..., None]:
    @functools.wraps(run_script)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        activity.begin()
        # The thread is the run's own, so that nobody after it finds the id.
        logs.request_id.set(streamlit_logs.request_id_of_session())
        charts.remember_valid()
        try:
            run_script(*args, **kwargs)
        finally:
            database.close_connections()
            activity.end()

    return wrapper


def _closing_first(on_script_finished: Callable[..., None], activity: Activity) -> Callable[..., None]:
    @functools.wraps(on_script_finished)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        database.close_connections()
        activity.count_run()
        on_script_finished(*args, **kwargs)

    return wrapper


def _closing_argument(submit: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(submit)
    def wrapper(self: Any, function: Callable[..., Any], *args: Any) -> None:
        submit(self, closing_connections(function), *args)

    return wrapper

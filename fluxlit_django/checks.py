"""System checks: the problems that `conf` finds, as Django shows them."""

from __future__ import annotations

from typing import Any

from django.core import checks

from fluxlit_django import conf


@checks.register("fluxlit")
def check_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report every setting with a value that cannot be used, and every unknown one."""
    _, problems = conf.load_config()
    return [_message(problem) for problem in problems]


def _message(problem: conf.Problem) -> checks.CheckMessage:
    kind = checks.Error if problem.is_error else checks.Warning
    return kind(problem.message, hint=problem.hint or None, id=problem.id)

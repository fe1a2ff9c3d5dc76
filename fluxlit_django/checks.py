"""System checks: the one list of `diagnostics`, as Django shows it.

Every process of a project registers the checks, and hardly one runs them: what they need is imported then.
"""

from __future__ import annotations

from typing import Any

from django.core import checks

from fluxlit_django.conf import Problem


@checks.register("fluxlit")
def check_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report values that cannot be used, that are unknown, or that do not go together."""
    return _messages("settings_problems")


@checks.register("fluxlit", deploy=True)
def check_deployment(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report what is usual in development and wrong in public."""
    return _messages("deployment_problems")


@checks.register("fluxlit_project")
def check_project(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report an application or a login page that is not there."""
    return _messages("project_problems")


@checks.register("fluxlit_pages")
def check_pages(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report pages that cannot be imported, and what is wrong with the others."""
    return _messages("page_problems")


def _messages(part: str) -> list[checks.CheckMessage]:
    from fluxlit_django import diagnostics

    return [_message(problem) for problem in getattr(diagnostics, part)()]


def _message(problem: Problem) -> checks.CheckMessage:
    kind = checks.Error if problem.is_error else checks.Warning
    return kind(problem.message, hint=problem.hint or None, id=problem.id)

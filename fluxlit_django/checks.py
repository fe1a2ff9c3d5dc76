"""System checks: the problems that `conf` finds, as Django shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core import checks

from fluxlit_django import conf
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.gateway import headers
from fluxlit_django.pages import discovery


@checks.register("fluxlit")
def check_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report every setting with a value that cannot be used, and every unknown one."""
    config, problems = conf.load_config()
    return [_message(problem) for problem in (*problems, *_header_problems(config))]


@checks.register("fluxlit_pages")
def check_pages(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report pages that cannot be imported, and what is wrong with the others."""
    config, problems = conf.load_config()
    if any(problem.is_error for problem in problems):
        return []  # said already, and there is no telling which pages are meant
    apps = {app.target: app for app in config.apps if not (app.script or app.upstream)}
    return [_message(problem) for app in apps.values() for problem in _page_problems(config, app)]


def _page_problems(config: conf.Config, app: conf.AppConfig) -> Iterator[conf.Problem]:
    try:
        found = discovery.load_app(app.target)
    except ConfigError as exc:
        yield conf.Problem("fluxlit.E020", str(exc))
        return
    except Exception as exc:  # whatever the user's module raises
        message = f"The pages of the app {app.name!r} cannot be imported: {type(exc).__name__}: {exc}"
        yield conf.Problem("fluxlit.E020", message)
        return
    for problem in found.problems(strict=config.strict_page_signatures):
        yield conf.Problem("fluxlit.E021", problem)


def _header_problems(config: conf.Config) -> Iterator[conf.Problem]:
    for name in headers.refused_names(config.gateway_forward_client_headers_to_streamlit):
        message = f"The header {name!r} never reaches a sidecar: it is a credential, of one hop, or ours."
        hint = "Take it out of FLUXLIT_GATEWAY_FORWARD_CLIENT_HEADERS_TO_STREAMLIT."
        yield conf.Problem("fluxlit.W002", message, hint)


def _message(problem: conf.Problem) -> checks.CheckMessage:
    kind = checks.Error if problem.is_error else checks.Warning
    return kind(problem.message, hint=problem.hint or None, id=problem.id)

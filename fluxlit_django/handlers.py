"""Django's handlers, which ask this package's URLs for what the project's URLconf does not know."""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.urls import (
    Resolver404,
    ResolverMatch,
    get_resolver,
    get_script_prefix,
    include,
    is_valid_path,
    path,
    set_script_prefix,
    set_urlconf,
)

_OUR_URLS = "fluxlit_django.urls"


class AsksUsLast(BaseHandler):
    """To be mixed into one of Django's handlers."""

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """The view of a request.

        Raises:
            Resolver404: neither URLconf knows the path, or only the slash at its end is missing, which
                CommonMiddleware then redirects.
        """
        try:
            return super().resolve_request(request)
        except Resolver404:
            asked = request.path_info
            if settings.APPEND_SLASH and not asked.endswith("/") and is_valid_path(f"{asked}/"):
                raise
            # From here on `reverse()` knows our names as well, such as those of an API's documentation.
            request.urlconf = both_urls(settings.ROOT_URLCONF)
            set_urlconf(request.urlconf)
            match = get_resolver(request.urlconf).resolve(asked)
            request.resolver_match = match
            return match


@functools.lru_cache(maxsize=8)
def both_urls(project_urls: str) -> Any:
    """A URLconf of the project's URLs and, behind them, ours."""
    return (path("", include(project_urls)), *import_module(_OUR_URLS).urlpatterns)


class InProcessHandler(AsksUsLast, WSGIHandler):
    """Answers requests that pages of this process send without a network."""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer one request; the page's own `reverse()` is not touched by it."""
        prefix = get_script_prefix()
        try:
            return super().__call__(environ, start_response)
        finally:
            set_script_prefix(prefix)
            set_urlconf(None)

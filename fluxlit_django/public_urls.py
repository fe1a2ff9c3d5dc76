"""The URLs under which viewers reach the site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from fluxlit_django.conf import get_config


class HasHost(Protocol):
    """A Django request, or the context of a page."""

    def get_host(self) -> str:
        """The host, which is one that the site accepts."""

    def is_secure(self) -> bool:
        """Whether it came by https."""


class FluxLitPublicUrls:
    """Makes absolute URLs. Every method takes the current request, or a page's context, first.

    `FLUXLIT_PUBLIC_BASE_URL` decides when it is set; else the host of the request counts, which Django checks
    against ALLOWED_HOSTS.

    Args:
        target: the app whose pages are meant, as in `FLUXLIT_APP`; "" for `site`.
        has_docs: whether the app has an API of its own with documentation.
    """

    def __init__(self, target: str = "", *, has_docs: bool = False) -> None:
        self._target = target
        self._has_docs = has_docs

    def app_base(self, request: HasHost) -> str:
        """The URL of the app, without a slash at its end.

        Raises:
            DisallowedHost: the request's host is not in ALLOWED_HOSTS.
        """
        return self._base(request) + self._mount()

    def api_base(self, request: HasHost) -> str:
        """The URL of the project's API, without a slash at its end."""
        return self._base(request) + get_config().api_mount_path

    def docs_url(self, request: HasHost) -> str | None:
        """The documentation of the app's API, or None when it has none."""
        return f"{self.api_base(request)}/docs" if self._has_docs else None

    def openapi_url(self, request: HasHost) -> str | None:
        """The OpenAPI schema of the app's API, or None when it has none."""
        return f"{self.api_base(request)}/openapi.json" if self._has_docs else None

    def redoc_url(self, request: HasHost) -> str | None:
        """None: the API's documentation comes in one form, at `docs_url`."""
        return None

    def health_url(self, request: HasHost) -> str:
        """The liveness probe."""
        return f"{self.api_base(request)}/healthz"

    def ready_url(self, request: HasHost) -> str:
        """The readiness probe."""
        return f"{self.api_base(request)}/readyz"

    def for_page(self, request: HasHost, path: str, *, query: Mapping[str, Any] | None = None) -> str:
        """The URL of a page, with query parameters; a list gives its parameter several times."""
        return self._base(request) + self.page_path(path, query=query)

    page_url = for_page

    def page_path(self, path: str, *, query: Mapping[str, Any] | None = None) -> str:
        """The same below the site's root, without its host; `FLUXLIT_ROOT_PATH` comes before it."""
        shown = f"{self._mount()}/{quote(path.strip('/'))}"
        return f"{shown}?{urlencode(query, doseq=True)}" if query else shown

    def _base(self, request: HasHost) -> str:
        config = get_config()
        if config.public_base_url:
            return config.public_base_url
        scheme = "https" if request.is_secure() else "http"
        return f"{scheme}://{request.get_host()}{config.root_path}"

    def _mount(self) -> str:
        apps = get_config().apps
        return next((app.mount for app in apps if not app.script and app.target == self._target), "")


def login_url(next_url: str) -> str:
    """The URL of the login page, which leads on to another; "" when there is nothing at LOGIN_URL."""
    # Models: not before Django is set up.
    from django.contrib.auth.views import redirect_to_login
    from django.urls import NoReverseMatch

    try:
        return redirect_to_login(next_url).url
    except NoReverseMatch:
        return ""

"""Streamlit inside Django: one port, one login, one command."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "ApiClient",
    "AsyncApiClient",
    "Cookie",
    "Depends",
    "FluxLit",
    "FluxLitPublicUrls",
    "FluxLitTestClient",
    "Header",
    "InMemorySessionStore",
    "NavigationModel",
    "Page",
    "PageContext",
    "PageMeta",
    "Query",
    "SessionModel",
    "SessionStore",
    "apptest_assert_no_errors",
    "apptest_select_page",
    "assert_no_streamlit_exception",
    "ensure_url_session",
    "hydrate_url_session",
    "hydrate_url_session_typed",
    "match_nav_page",
    "model_version",
    "new_session_id",
    "parse_query_params",
    "persist_url_session",
    "query_params",
    "queryset_key",
    "revoke_url_session",
    "rotate_url_session",
    "site",
    "streamlit_main_path",
]

if TYPE_CHECKING:
    from fluxlit_django.client import ApiClient, AsyncApiClient
    from fluxlit_django.pages.context import PageContext
    from fluxlit_django.pages.di import Cookie, Depends, Header, Query
    from fluxlit_django.pages.navigation import NavigationModel, match_nav_page
    from fluxlit_django.pages.page import PageMeta
    from fluxlit_django.pages.page import PageMeta as Page
    from fluxlit_django.pages.query import SessionModel, parse_query_params, query_params
    from fluxlit_django.pages.registry import FluxLit, site
    from fluxlit_django.public_urls import FluxLitPublicUrls
    from fluxlit_django.testing import (
        FluxLitTestClient,
        apptest_assert_no_errors,
        apptest_select_page,
        assert_no_streamlit_exception,
        streamlit_main_path,
    )
    from fluxlit_django.url_session import (
        InMemorySessionStore,
        SessionStore,
        ensure_url_session,
        hydrate_url_session,
        hydrate_url_session_typed,
        new_session_id,
        persist_url_session,
        revoke_url_session,
        rotate_url_session,
    )
    from fluxlit_django.versions import model_version, queryset_key

_HOMES = {
    "ApiClient": ("client", "ApiClient"),
    "AsyncApiClient": ("client", "AsyncApiClient"),
    "Cookie": ("pages.di", "Cookie"),
    "Depends": ("pages.di", "Depends"),
    "FluxLit": ("pages.registry", "FluxLit"),
    "FluxLitPublicUrls": ("public_urls", "FluxLitPublicUrls"),
    "FluxLitTestClient": ("testing", "FluxLitTestClient"),
    "Header": ("pages.di", "Header"),
    "InMemorySessionStore": ("url_session", "InMemorySessionStore"),
    "NavigationModel": ("pages.navigation", "NavigationModel"),
    "Page": ("pages.page", "PageMeta"),
    "PageContext": ("pages.context", "PageContext"),
    "PageMeta": ("pages.page", "PageMeta"),
    "Query": ("pages.di", "Query"),
    "SessionModel": ("pages.query", "SessionModel"),
    "SessionStore": ("url_session", "SessionStore"),
    "apptest_assert_no_errors": ("testing", "apptest_assert_no_errors"),
    "apptest_select_page": ("testing", "apptest_select_page"),
    "assert_no_streamlit_exception": ("testing", "assert_no_streamlit_exception"),
    "ensure_url_session": ("url_session", "ensure_url_session"),
    "hydrate_url_session": ("url_session", "hydrate_url_session"),
    "hydrate_url_session_typed": ("url_session", "hydrate_url_session_typed"),
    "match_nav_page": ("pages.navigation", "match_nav_page"),
    "model_version": ("versions", "model_version"),
    "new_session_id": ("url_session", "new_session_id"),
    "parse_query_params": ("pages.query", "parse_query_params"),
    "persist_url_session": ("url_session", "persist_url_session"),
    "query_params": ("pages.query", "query_params"),
    "queryset_key": ("versions", "queryset_key"),
    "revoke_url_session": ("url_session", "revoke_url_session"),
    "rotate_url_session": ("url_session", "rotate_url_session"),
    "site": ("pages.registry", "site"),
    "streamlit_main_path": ("testing", "streamlit_main_path"),
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: `INSTALLED_APPS` alone loads nothing else."""
    try:
        module, attribute = _HOMES[name]
    except KeyError:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg) from None
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

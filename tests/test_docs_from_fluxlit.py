"""docs/from-fluxlit.md: every name and setting of FluxLit 0.13 is on it, and what it names here is there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import fluxlit_django
from fluxlit_django import conf

TEXT = (Path(__file__).parent.parent / "docs" / "from-fluxlit.md").read_text()

EXPORTS = [
    "ApiClient",
    "Cookie",
    "Depends",
    "Header",
    "NavigationModel",
    "Page",
    "PageMeta",
    "Query",
    "SessionModel",
    "FluxLitTestClient",
    "apptest_assert_no_errors",
    "apptest_select_page",
    "assert_no_streamlit_exception",
    "streamlit_main_path",
    "FluxlitSettings",
    "FluxLit",
    "FluxLitPublicUrls",
    "JWTAuthConfig",
    "JWTBearer",
    "RequireRoles",
    "RequireScopes",
    "StandardClaims",
    "issue_hs256_access_token",
    "OIDCBFFConfig",
    "OIDCProvider",
    "OIDCBFFTokenStore",
    "InMemoryOIDCBFFTokenStore",
    "GenericOIDCClient",
    "GenericOIDCClientConfig",
    "pkce_pair",
    "register_oidc_bff_routes",
    "bearer_headers_from_session",
    "exchange_auth_code_from_query",
    "prepare_streamlit_api_client",
    "SessionStore",
    "InMemorySessionStore",
    "new_session_id",
    "ensure_url_session",
    "hydrate_url_session",
    "hydrate_url_session_typed",
    "persist_url_session",
    "match_nav_page",
    "query_params",
    "parse_query_params",
    "set_trace_hook",
    "reset_trace_hook",
    "trace_span",
    "__version__",
]

SETTINGS = [
    "title",
    "gateway_host",
    "gateway_port",
    "streamlit_host",
    "streamlit_port",
    "log_level",
    "api_mount_path",
    "root_path",
    "streamlit_public_path",
    "trust_proxy",
    "forwarded_allow_ips",
    "enable_request_logging",
    "enable_gateway_access_log",
    "debug",
    "url_session_query_param",
    "enable_gateway_prometheus_metrics",
    "gateway_prometheus_metrics_path",
    "gateway_upstream_connect_timeout_s",
    "gateway_upstream_read_timeout_s",
    "gateway_max_proxy_request_body_bytes",
    "gateway_max_concurrent_upstream_http",
    "gateway_httpx_max_connections",
    "gateway_httpx_max_keepalive_connections",
    "gateway_ws_open_timeout_s",
    "gateway_ws_ping_interval_s",
    "gateway_ws_ping_timeout_s",
    "gateway_ws_close_timeout_s",
    "gateway_ws_max_message_bytes",
    "gateway_forward_client_headers_to_streamlit",
    "uvicorn_graceful_shutdown_timeout_s",
    "enable_security_headers",
    "cors_allow_origins",
    "cors_allow_credentials",
    "cors_middleware_kwargs",
    "streamlit_run_cli_args",
    "streamlit_page_config",
    "public_base_url",
    "strict_public_base_url",
    "strict_page_signatures",
    "strict_startup",
    "experimental_yield_pages",
    "async_page_depends",
    "jwt_issuer",
    "jwt_audience",
    "jwt_hs256_secret",
    "jwt_jwks_url",
    "jwt_leeway_seconds",
    "oidc_bff_secret",
    "app",
    "api_prefix",
    "internal_api_base",
    "streamlit_upstream",
    "streamlit_upstream_file",
    "pidfile",
    "no_pidfile",
    "tests",
    "force_url_session_in_tests",
    "disable_url_session",
    "test_page_overrides",
    "allow_unified_uvicorn_multiworker",
]


def section(name: str) -> str:
    """What stands between the two comments of this name."""
    found = re.search(rf"<!-- {name}:.*?-->(.*?)<!-- /{name} -->", TEXT, flags=re.DOTALL)
    assert found
    return found[1]


def words(text: str) -> set[str]:
    return set(re.findall(r"`([^`\s]+)`", text))


def left_columns(text: str) -> set[str]:
    """The code in the first cells of a table."""
    return {word for line in text.splitlines() for word in words(line.split("|")[1] if "|" in line else "")}


def resolve(path: str) -> Any:
    """What a dotted path names."""
    module, _, rest = path.partition(".")
    found: Any = import_module(module)
    for name in filter(None, rest.split(".")):
        module = f"{module}.{name}"
        found = getattr(found, name, None) or import_module(module)
    return found


def test_names__all_of_them() -> None:
    """What FluxLit exports is importable here, or the page says what to use."""
    same, other = words(section("same")), left_columns(section("other"))

    assert set(EXPORTS) == (same | other) & set(EXPORTS)
    assert set() == same & other
    assert {name for name in EXPORTS if hasattr(fluxlit_django, name)} == same


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(fluxlit_django\.[\w.]+)", TEXT))))
def test_names__that_there_are(path: str) -> None:
    """Every dotted name on the page is there."""
    assert resolve(path)


def test_settings__all_of_them() -> None:
    """A variable of FluxLit is a setting here, or the page says what has taken its place."""
    known = {f"FLUXLIT_{field.name.upper()}" for field in conf.setting_fields()}
    gone = left_columns(section("settings"))

    wanted = {f"FLUXLIT_{name.upper()}" for name in SETTINGS}
    assert set() == wanted - known - gone
    assert set() == known & gone
    assert set() == {word for word in words(TEXT) if word.startswith("FLUXLIT_")} - known - gone - {
        "FLUXLIT_APP=app:app",
        "FLUXLIT_ACCESS=public",
    }

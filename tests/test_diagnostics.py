"""What is known to be wrong before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from channels.routing import ProtocolTypeRouter
from django.core.handlers.asgi import ASGIHandler

from fluxlit_django import conf, diagnostics
from fluxlit_django.diagnostics import is_broad, untested

only_django = ASGIHandler()
django_with_sockets = ProtocolTypeRouter({"http": ASGIHandler()})
something_else = object()

SUB_PATH = {
    "ROOT_PATH": "/apps/my-app",
    "PUBLIC_BASE_URL": "https://testserver/apps/my-app",
    "FORWARDED_ALLOW_IPS": ["10.0.0.0/8"],
}
REDIS_LAYER = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}
REDIS_CACHE = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache"}}
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
VIEWER_TOKEN = "fluxlit_django.middleware.ViewerTokenMiddleware"


@pytest.fixture
def project(settings):
    """Sets Django's settings, ours by their own names and in a dict."""

    def change(fluxlit: dict[str, Any] | None = None, **others: Any) -> None:
        settings.FLUXLIT = fluxlit or {}
        for name, value in others.items():
            setattr(settings, name, value)

    change()
    return change


def codes(problems: list[conf.Problem]) -> list[str]:
    """What is reported, in words."""
    return [problem.code for problem in problems]


@pytest.mark.parametrize(
    ("fluxlit", "others", "expected"),
    [
        ({}, {}, []),
        (SUB_PATH, {"STATIC_URL": "/apps/my-app/static/"}, []),
        ({"FORWARDED_ALLOW_IPS": ["*"]}, {}, ["forwarded_allow_ips_broad"]),
        ({"FORWARDED_ALLOW_IPS": "0.0.0.0/0"}, {}, ["forwarded_allow_ips_broad"]),
        ({"TRUST_PROXY": True}, {}, ["trust_proxy_without_addresses"]),
        (
            {"FORWARDED_ALLOW_IPS": "10.0.0.5", "GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES": 0},
            {},
            ["gateway_max_body_unlimited_trust_proxy"],
        ),
        ({"GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES": 0}, {}, []),
        (
            {"ROOT_PATH": "/apps/my-app"},
            {"STATIC_URL": "/apps/my-app/static/"},
            ["subpath_without_trust_proxy", "oauth_public_base_url"],
        ),
        ({"PUBLIC_BASE_URL": "https://testserver"}, {}, ["https_without_trust_proxy"]),
        ({"PUBLIC_BASE_URL": "http://testserver"}, {}, []),
        ({"PUBLIC_BASE_URL": "http://shop.example"}, {}, ["public_base_url_not_in_allowed_hosts"]),
        ({"PUBLIC_BASE_URL": "http://shop.example"}, {"ALLOWED_HOSTS": [".example"]}, []),
        ({"INTERNAL_API_BASE": "http://api.example/api"}, {}, []),
        ({"INTERNAL_API_BASE": "http://api.example"}, {}, ["internal_api_base_path"]),
        ({"INTERNAL_API_BASE": "http://127.0.0.1:9000/api"}, {}, ["internal_api_base_mismatch"]),
        ({"INTERNAL_API_BASE": "127.0.0.1:9000/api"}, {}, ["internal_api_base_invalid"]),
        ({}, {"MIDDLEWARE": [AUTHENTICATION, SESSION]}, ["middleware_order"]),
        ({}, {"MIDDLEWARE": [SESSION, VIEWER_TOKEN, AUTHENTICATION]}, ["middleware_order"]),
        ({}, {"MIDDLEWARE": [VIEWER_TOKEN]}, ["middleware_order"]),
        ({}, {"MIDDLEWARE": []}, []),
        (
            {},
            {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"},
            ["sessions_in_cookies"],
        ),
        ({"MOUNT": "/static"}, {"STATIC_URL": "/static/"}, ["static_url_over_mount"]),
        ({"MOUNT": "/static/shop"}, {"STATIC_URL": "/static/"}, ["static_url_over_mount"]),
        ({"MOUNT": "/stat"}, {"STATIC_URL": "/static/"}, []),
        ({}, {"STATIC_URL": "/"}, ["static_url_over_mount"]),
        ({}, {"STATIC_URL": "https://files.example/"}, []),
        (SUB_PATH, {"STATIC_URL": "/static/"}, ["static_url_outside_root_path"]),
        ({"WORKERS": 2}, {}, ["channel_layer_in_memory", "cache_in_memory"]),
        ({"WORKERS": 2}, {"CHANNEL_LAYERS": REDIS_LAYER, "CACHES": REDIS_CACHE}, []),
        ({"WORKERS": 2}, {"CHANNEL_LAYERS": REDIS_LAYER}, ["cache_in_memory"]),
        ({"STREAMLIT_WORKERS": 2}, {}, []),
        ({"STREAMLIT_WORKERS": 2, "URL_SESSION_STORE": "memory"}, {}, ["url_session_store_in_memory"]),
        ({"STREAMLIT_WORKERS": 2, "URL_SESSION_STORE": "cache"}, {}, ["url_session_store_in_memory"]),
        ({"STREAMLIT_WORKERS": 2, "URL_SESSION_STORE": "cache"}, {"CACHES": REDIS_CACHE}, []),
        ({"URL_SESSION_STORE": "memory"}, {}, []),
        ({"GATEWAY_WS_PING_INTERVAL_S": 60}, {}, ["ping_interval_over_edge_idle_timeout"]),
        ({"GATEWAY_WS_PING_INTERVAL_S": 60, "EDGE_IDLE_TIMEOUT_S": 120}, {}, []),
        ({"GATEWAY_UPSTREAM_READ_TIMEOUT_S": 4.9}, {}, ["gateway_upstream_timeouts"]),
        ({"GATEWAY_UPSTREAM_READ_TIMEOUT_S": 5}, {}, []),
        ({"PUBLIC_BASE_URL": "http://testserver/shop"}, {}, ["public_base_url_path_mismatch"]),
        (
            {"GATEWAY_FORWARD_CLIENT_HEADERS_TO_STREAMLIT": ["cookie", "traceparent"]},
            {},
            ["gateway_forward_blocked_names"],
        ),
    ],
)
def test_settings_problems(project, fluxlit, others, expected):
    """Settings that do not go together are reported, each with a word for it; others are not."""
    project(fluxlit, **others)

    assert expected == codes(diagnostics.settings_problems())


@pytest.mark.parametrize(
    ("fluxlit", "others", "expected"),
    [
        ({}, {}, []),
        ({}, {"ALLOWED_HOSTS": ["*"]}, ["allowed_hosts_any"]),
        ({}, {"ALLOWED_HOSTS": []}, ["allowed_hosts_empty"]),
        ({}, {"ALLOWED_HOSTS": [], "DEBUG": True}, []),
        ({"TESTS": True}, {}, ["tests_mode"]),
        ({"RELOAD": True}, {}, ["reload_outside_debug"]),
        ({"RELOAD": True}, {"DEBUG": True}, []),
    ],
)
def test_deployment_problems(project, fluxlit, others, expected):
    """What belongs to development is reported for a deployment."""
    project(fluxlit, **others)

    assert expected == codes(diagnostics.deployment_problems())


@pytest.mark.parametrize(
    ("django", "expected"),
    [
        ({}, []),
        ({"ASGI_APPLICATION": None}, ["asgi_application_missing"]),
        ({"ASGI_APPLICATION": "no.such.module"}, ["asgi_application_missing"]),
        ({"ASGI_APPLICATION": f"{__name__}.only_django"}, ["asgi_application_without_streamlit"]),
        ({"ASGI_APPLICATION": f"{__name__}.django_with_sockets"}, ["asgi_application_without_streamlit"]),
        ({"ASGI_APPLICATION": f"{__name__}.something_else"}, []),
        ({"LOGIN_URL": "/accounts/no-such-page/"}, ["login_url_unknown"]),
        ({"LOGIN_URL": "no-such-name"}, ["login_url_unknown"]),
        ({"LOGIN_URL": "https://login.example/"}, []),
    ],
)
def test_project_problems(project, django, expected):
    """An application without Streamlit, and a login page that nobody finds, are reported."""
    project({}, **django)

    assert expected == codes(diagnostics.project_problems())


def test_user_fields__that_nobody_has(project):
    """A field that is neither one of ours nor the user model's is named."""
    project({"USER_FIELDS": "email,is_superuser,get_short_name"})
    assert [] == codes(diagnostics.project_problems())

    project({"USER_FIELDS": "email,cost_centre"})
    assert ["user_field_unknown"] == codes(diagnostics.project_problems())


@pytest.mark.parametrize("fluxlit", [{"ACCESS": "public"}, {"WORKERS": 0}])
def test_project_problems__nobody_signs_in(project, fluxlit):
    """A login page that nobody is sent to need not be there, nor is it asked for when errors come first."""
    project(fluxlit, LOGIN_URL="/nowhere/")

    assert [] == codes(diagnostics.project_problems())


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("*", True),
        ("0.0.0.0/0", True),
        ("128.0.0.0/1", True),
        ("::/0", True),
        ("10.0.0.0/8", False),
        ("10.0.0.5", False),
        ("fd00::/16", False),
        ("2001:db8::1", False),
    ],
)
def test_is_broad(entry, expected):
    """Everybody is broad, and so is half of everybody."""
    assert expected is is_broad(entry)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"Python": "3.9.2"}, ["Python is 3.9.2; this package is tested with 3.10 to 3.13."]),
        ({"Django": "7.0a1"}, ["Django is 7.0a1; this package is tested with 5.2 to 6.1."]),
        ({"Streamlit": "1.56.0"}, ["Streamlit is 1.56.0; this package is tested with 1.57 to 1.67."]),
        ({"Streamlit": "1.67.1rc1"}, []),
    ],
)
def test_untested(changed, expected):
    """A version outside the support matrix is named with the versions that are in it."""
    installed = {"Python": "3.11.9", "Django": "5.2.1", "Streamlit": "1.60.0"}

    assert expected == [problem.message for problem in untested(installed | changed)]


def test_find__leaves_out_what_is_silenced(project):
    """A warning that the project silences is in no report; an error always is."""
    project({"FORWARDED_ALLOW_IPS": ["*"], "PUBLIC_BASE_URL": "http://shop.example"}, ALLOWED_HOSTS=["*"])
    assert ["forwarded_allow_ips_broad", "allowed_hosts_any"] == codes(diagnostics.find())

    project({"FORWARDED_ALLOW_IPS": ["*"]}, SILENCED_SYSTEM_CHECKS=["fluxlit.W031", "fluxlit.W011"])
    assert [] == codes(diagnostics.find())


def test_every_problem__has_a_remedy(project):
    """Whatever is reported says what to change."""
    project(
        {
            "ROOT_PATH": "/x",
            "WORKERS": 2,
            "FORWARDED_ALLOW_IPS": "*",
            "GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES": 0,
            "TESTS": True,
            "APP": "tests.no_such_module:app",
        },
        LOGIN_URL="/nowhere/",
        ALLOWED_HOSTS=["*"],
    )

    found = diagnostics.find()

    assert len(found) >= 7
    assert [] == [problem.code for problem in found if not problem.hint]

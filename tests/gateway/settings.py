"""A small site for gateway tests; a worker process reads it, so what varies comes from its environment."""

import os
from pathlib import Path

SECRET_KEY = "a-key-for-tests-only"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "fluxlit_django",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("TEST_DATABASE", ":memory:")}
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "tests.gateway.urls"
ASGI_APPLICATION = "fluxlit_django.asgi.application"
STATIC_URL = "static/"
LOGIN_URL = "/accounts/login/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

_SCRIPT = str(Path(__file__).with_name("page.py"))

FLUXLIT = {
    "SCRIPT": _SCRIPT,
    "GATEWAY_FORWARD_CLIENT_HEADERS_TO_STREAMLIT": ["traceparent"],
    "GATEWAY_FORWARD_COOKIES_TO_STREAMLIT": ["theme"],
    "GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES": 2 << 20,
    "APPS": {
        "open": {"SCRIPT": _SCRIPT, "ACCESS": "public"},
        "deep": {"SCRIPT": _SCRIPT, "MOUNT": "/open/deep", "ACCESS": "public"},
        "staff": {"SCRIPT": _SCRIPT, "ACCESS": "staff"},
        "away": {"SCRIPT": _SCRIPT, "ACCESS": "public"},
        "failed": {"SCRIPT": _SCRIPT, "ACCESS": "public"},
    },
}

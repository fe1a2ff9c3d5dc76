"""Django's settings of the benchmark: the smallest project, open to everybody, as the peers are."""

from __future__ import annotations

import os
import secrets

DEBUG = False
# Every worker and sidecar gets the harness's own key; a single process outside of it may have any.
SECRET_KEY = os.environ.get("BENCH_SECRET_KEY") or secrets.token_urlsafe(48)
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "fluxlit_django",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "bench.urls"
ASGI_APPLICATION = "fluxlit_django.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("BENCH_DATABASE", ":memory:"),
    }
}

FLUXLIT = {
    "ACCESS": "public",
    # The upload that is timed is larger than the cap.
    "GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES": 0,
    "MAX_REQUEST_BODY_BYTES": 0,
}

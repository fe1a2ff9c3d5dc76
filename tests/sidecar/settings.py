"""A small site for sidecar tests; a child process reads it, so what varies comes from its environment."""

import os

SECRET_KEY = "a-key-for-tests-only"
DEBUG = os.environ.get("TEST_DEBUG") == "1"
ALLOWED_HOSTS = ["testserver"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "fluxlit_django",
    *os.environ.get("TEST_APPS", "tests.sidecar.shop").split(","),
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("TEST_DATABASE", ":memory:")}
}
ROOT_URLCONF = "tests.sidecar.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
FLUXLIT = {"TITLE": "Corner shop"}

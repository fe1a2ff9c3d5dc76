"""The demo with one script under several access rules, and URLs that change what decides about access."""

from __future__ import annotations

from pathlib import Path

from project.settings import *  # noqa: F403

SCRIPT = str(Path(__file__).parent / "scripts" / "context.py")

ROOT_URLCONF = "tests.trust.urls"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
FLUXLIT = {
    "SCRIPT": SCRIPT,
    "APPS": {
        "editors": {"SCRIPT": SCRIPT, "ACCESS": "group:Editors"},
        "orders": {"SCRIPT": SCRIPT, "ACCESS": "perm:shop.view_order"},
    },
}

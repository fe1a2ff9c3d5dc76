"""The demo with one script under several access rules, and URLs that change what decides about access."""

from __future__ import annotations

import os
from pathlib import Path

from project.settings import *  # noqa: F403

SCRIPT = str(Path(__file__).parent / "scripts" / "context.py")

ROOT_URLCONF = "tests.trust.urls"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
if engine := os.environ.get("TEST_SESSION_ENGINE"):
    SESSION_ENGINE = engine
    SESSION_FILE_PATH = os.environ.get("TEST_SESSION_FILES")
FLUXLIT = {
    "SCRIPT": SCRIPT,
    "APPS": {
        "editors": {"SCRIPT": SCRIPT, "ACCESS": "group:Editors"},
        "orders": {"SCRIPT": SCRIPT, "ACCESS": "perm:shop.view_order"},
    },
}

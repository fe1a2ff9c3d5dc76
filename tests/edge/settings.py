"""The demo project in production, with one script that shows what it sees."""

from __future__ import annotations

import os
from pathlib import Path

from project.settings import *  # noqa: F403

SCRIPT = Path(__file__).parents[1] / "trust" / "scripts" / "context.py"

STATIC_ROOT = os.environ["STATIC_ROOT"]
# Compressing Django's own files takes half a minute, and no test here looks at them.
STORAGES = {
    **STORAGES,  # noqa: F405
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
FLUXLIT = {"SCRIPT": str(SCRIPT)}

"""The demo on PostgreSQL and Redis, with a script that uses the ORM, and URLs that change accounts."""

from __future__ import annotations

import os
from pathlib import Path

from tests.trust.settings import *  # noqa: F403

if engine := os.environ.get("TEST_SESSION_ENGINE"):
    SESSION_ENGINE = engine
FLUXLIT = {"SCRIPT": str(Path(__file__).parent / "scripts" / "orm.py")}

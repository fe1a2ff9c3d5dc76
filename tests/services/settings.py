"""The demo on PostgreSQL and Redis, with a script that uses the ORM, and URLs that change accounts."""

from __future__ import annotations

from pathlib import Path

from tests.trust.settings import *  # noqa: F403

FLUXLIT = {"SCRIPT": str(Path(__file__).parent / "scripts" / "orm.py")}

"""URL sessions in a real PostgreSQL and a real Redis, from 32 threads at once."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "statement",
    [
        "assert writes_and_reads_at_once(DatabaseSessionStore())",
        "assert writes_and_reads_at_once(CacheSessionStore())",
        "keeps_all_in_one_session()",
    ],
)
def test_store__from_32_threads(environment: dict[str, str], statement: str) -> None:
    """Every value is whole when it is read, and no id of a session is lost to another's."""
    code = f"import django; django.setup(); from tests.test_url_session import *; {statement}"

    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    assert 0 == done.returncode, done.stderr

"""Sidecars that several tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sidecar import process


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file of `script_sidecar`."""
    return tmp_path_factory.mktemp("database") / "test.sqlite3"


@pytest.fixture(scope="session")
def script_sidecar(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[process.Sidecar]:
    """A sidecar that runs `scripts/ways.py`, in an empty working directory."""
    script = Path(__file__).with_name("scripts") / "ways.py"
    env = {"FLUXLIT_SCRIPT": str(script), "TEST_DATABASE": str(database)}
    with process.running(env=env, cwd=tmp_path_factory.mktemp("cwd")) as sidecar:
        yield sidecar

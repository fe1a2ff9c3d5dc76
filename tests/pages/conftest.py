"""A real sidecar with the pages of `tests.pages.office`, behind what the gateway would send."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sidecar import process
from tests.sidecar.process import Sidecar

ANN = {"X-Fluxlit-User-Id": "1", "X-Fluxlit-User-Username": "ann", "X-Fluxlit-Viewer-Token": "secret"}
BOB = {"X-Fluxlit-User-Id": "2", "X-Fluxlit-User-Username": "bob"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sidecar's database."""
    return tmp_path_factory.mktemp("office") / "db.sqlite3"


@pytest.fixture(scope="module")
def sidecar(database: Path) -> Iterator[Sidecar]:
    """The sidecar, with ann of the staff (1) and bob (2) in its database."""
    environment = {
        "TEST_APPS": "tests.pages.office",
        "TEST_DATABASE": str(database),
        "DJANGO_SETTINGS_MODULE": "tests.sidecar.settings",
        "FLUXLIT_GATEWAY_FORWARD_CLIENT_HEADERS_TO_STREAMLIT": "traceparent",
    }
    code = (
        "import django; django.setup()\n"
        "from django.core.management import call_command\n"
        "from django.contrib.auth.models import User\n"
        "call_command('migrate', verbosity=0)\n"
        "User.objects.create_user('ann', is_staff=True); User.objects.create_user('bob')\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], env={**environment, "PYTHONPATH": str(process.ROOT)}, check=True
    )
    with process.running(env=environment) as running:
        yield running

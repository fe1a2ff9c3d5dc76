"""`manage.py fluxlit_assets`, and its run in the background of `fluxlit_run`."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from fluxlit_django import conf
from fluxlit_django.gateway import assets, precompress
from fluxlit_django.management.commands.fluxlit_run import assets_job


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small frontend in place of Streamlit's, which takes a minute to compress."""
    folder = tmp_path_factory.mktemp("streamlit") / "static"
    folder.mkdir()
    for number in range(8):
        (folder / f"part-{number}.js").write_text(f"console.log({number});" * 100)
    (folder / "index.html").write_text("<title></title>")
    return folder


@pytest.fixture
def target(bundle, tmp_path, monkeypatch) -> Path:
    """Where its compressed files go."""
    monkeypatch.setattr(assets, "bundle_directory", lambda: bundle)
    monkeypatch.setattr(assets, "cache_directory", lambda root: tmp_path / "made")
    return tmp_path / "made"


def run(*arguments: str) -> str:
    """Run the command here; what it printed."""
    output = io.StringIO()
    call_command("fluxlit_assets", *arguments, stdout=output)
    return output.getvalue()


def test_command__compresses_once(bundle, target):
    """The first run makes every copy, the next one says that it is done."""
    first, second = run(), run()

    assert precompress.is_complete(bundle, target)
    assert "is compressed, in" in first
    assert "is compressed already" in second


def test_command__folder_that_cannot_be_written(target):
    """The message names the folder, the reason and the remedy."""
    target.write_text("a file where the folder should be")

    with pytest.raises(CommandError, match=r"cannot be written: .*FLUXLIT_ASSETS_DIR"):
        run()


def test_assets_job__only_when_something_is_left(target):
    """`fluxlit_run` starts the job once, and never again for the same frontend."""
    config = conf.Config()

    before = [job.name for job in assets_job(config)]
    run()
    after = [job.name for job in assets_job(config)]

    assert (before, after) == (["assets"], [])


BACKGROUND = """
import os, sys
from pathlib import Path

import django
from django.core.management import call_command
from fluxlit_django.gateway import assets

django.setup()
assets.bundle_directory = lambda: Path(sys.argv[1])
assets.cache_directory = lambda root: Path(sys.argv[2])
call_command("fluxlit_assets", "--background")
print("nice", os.nice(0))
"""


def test_command__in_the_background(bundle, tmp_path):
    """It runs at the lowest priority and says now and then how far it is, a line at a time."""
    command = [sys.executable, "-c", BACKGROUND, str(bundle), str(tmp_path / "made")]

    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=60)

    first, *quarters, last, priority = done.stdout.splitlines()
    assert "once for this version" in first
    assert ["2", "4", "6"] == [re.match(r"(\d+) of 8 files", line)[1] for line in quarters]
    assert "is compressed, in" in last
    assert priority == "nice 19"

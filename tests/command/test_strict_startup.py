"""`fluxlit_run` with problems: what it says, and when it does not start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.site import ROOT, running_site, site_environment

WARNING = {"FLUXLIT_FORWARDED_ALLOW_IPS": "0.0.0.0/0"}


def refused(environment: dict[str, str]) -> str:
    """What the command says that does not start."""
    done = subprocess.run(
        [sys.executable, "manage.py", "fluxlit_run", "--port", "0"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (1, "") == (done.returncode, done.stdout)
    return done.stderr


def test_warning__is_printed_and_serves(tmp_path: Path) -> None:
    """Without strict start-up a warning is for reading."""
    environment = site_environment(tmp_path, **WARNING, FLUXLIT_ACCESS="public")

    with running_site(environment) as site:
        assert "fluxlit.W031" in site.log


def test_warning__refused_when_strict(tmp_path: Path) -> None:
    """With it, a warning about a setting is the end, and so is one for deployments."""
    environment = site_environment(tmp_path, FLUXLIT_STRICT_STARTUP="true")

    assert "fluxlit.W031" in refused(environment | WARNING)
    assert "fluxlit.W040" in refused(environment | {"FLUXLIT_TESTS": "1"})


def test_error__refused(tmp_path: Path) -> None:
    """An error is the end in any case; without a traceback, and with the remedy."""
    for name, said in {
        "FLUXLIT_WORKERS": "FLUXLIT_WORKERS is 'many': use a whole number from 1 to 64.",
        "FLUXLIT_FORWARDED_ALLOW_IPS": "use addresses and networks such as 10.0.0.5 or 10.0.0.0/8 (not many)",
    }.items():
        output = refused(site_environment(tmp_path, **{name: "many"}))
        assert said in output
        assert "Traceback" not in output


def test_wrong_app__refused_when_strict(tmp_path: Path) -> None:
    """A FLUXLIT_APP that cannot be imported is found before anything is started."""
    environment = site_environment(tmp_path, FLUXLIT_STRICT_STARTUP="true", FLUXLIT_APP="shop.pagez:app")

    output = refused(environment)

    assert "FLUXLIT_APP is 'shop.pagez:app', and there is no module 'shop'." in output
    assert "HINT: Name a FluxLit instance as module:attribute" in output

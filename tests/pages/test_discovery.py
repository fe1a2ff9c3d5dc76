from __future__ import annotations

from pathlib import Path

import pytest
from django.test import override_settings

from fluxlit_django import FluxLit
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.pages.discovery import load_app
from fluxlit_django.urls import api_patterns

app = FluxLit(title="Here")
not_an_app = "a string"


def test_load_app__target() -> None:
    """The instance that the target names."""
    assert app is load_app(f"{__name__}:app")


@pytest.mark.parametrize(
    ("attribute", "found"), [("not_an_app", "has a str of that name"), ("missing", "has no 'missing'")]
)
def test_load_app__not_an_app(attribute: str, found: str) -> None:
    """A target that names something else is refused with what it is."""
    target = f"{__name__}:{attribute}"

    with pytest.raises(ConfigError, match=f"'{target}', and the module '{__name__}' {found}. Name a FluxLit"):
        load_app(target)


def test_load_app__no_such_module() -> None:
    """So is one in a module that is not there, with the part of its name that is wrong."""
    with pytest.raises(ConfigError, match=r"there is no module 'tests\.no_such_module'"):
        load_app("tests.no_such_module.pages:app")


def test_load_app__module_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import error of the module itself stays the error it is."""
    (tmp_path / "module_with_an_error.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        load_app("module_with_an_error:app")


def test_urls__of_a_wrong_target() -> None:
    """Django's URLs do not load with it: `fluxlit_run` ends at once, and says why."""
    with (
        override_settings(FLUXLIT={"APP": f"{__name__}:missing"}),
        pytest.raises(ConfigError, match="has no 'missing'"),
    ):
        list(api_patterns())

from __future__ import annotations

import pytest

from fluxlit_django import FluxLit
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.pages.discovery import load_app

app = FluxLit(title="Here")
not_an_app = "a string"


def test_load_app__target() -> None:
    """The instance that the target names."""
    assert app is load_app(f"{__name__}:app")


@pytest.mark.parametrize(("attribute", "found"), [("not_an_app", "a str"), ("missing", "nothing")])
def test_load_app__not_an_app(attribute: str, found: str) -> None:
    """A target that names something else is refused with what it is."""
    target = f"{__name__}:{attribute}"

    with pytest.raises(ConfigError, match=f"'{target}', which is {found}. Name a FluxLit instance"):
        load_app(target)


def test_load_app__module_error() -> None:
    """An import error stays the error it is."""
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        load_app("tests.no_such_module:app")

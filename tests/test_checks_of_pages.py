"""Pages as Django's system checks see them."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import override_settings

from fluxlit_django import FluxLit
from fluxlit_django.checks import check_pages

fine = FluxLit()
fine.page("/")(lambda st: None)
loose = FluxLit()
loose.page("/")(lambda st, orders: None)


def test_check__of_the_demo() -> None:
    """The demo's pages are in order."""
    assert [] == check_pages()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("tests.no_such_module:app", "there is no module 'tests.no_such_module'"),
        ("no_such_package.pages:app", "there is no module 'no_such_package'"),
        (f"{__name__}:nothing", f"the module '{__name__}' has no 'nothing'"),
        (f"{__name__}:pytest", f"the module '{__name__}' has a module of that name"),
    ],
)
def test_check__target_that_is_none(target: str, reason: str) -> None:
    """A wrong `FLUXLIT_APP` is an error that says what is wrong, and what to write."""
    with override_settings(FLUXLIT={"APP": target}):
        [message] = check_pages()

    assert "fluxlit.E020" == message.id
    assert f"FLUXLIT_APP is {target!r}, and {reason}." == message.msg
    assert str(message.hint).startswith("Name a FluxLit instance")


def test_check__cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that fails is an error that names the app, and what it could not import."""
    (tmp_path / "failing_pages.py").write_text("import no_such_thing_anywhere")
    monkeypatch.syspath_prepend(tmp_path)
    with override_settings(FLUXLIT={"APP": "failing_pages:app"}):
        [message] = check_pages()

    assert "fluxlit.E020" == message.id
    assert "The pages of the app 'default' cannot be imported: ModuleNotFoundError" in message.msg
    assert "no_such_thing_anywhere" in message.msg


def test_check__loose_signatures() -> None:
    """A parameter that nothing fills is one when signatures are strict."""
    target = f"{__name__}:loose"
    with override_settings(FLUXLIT={"APP": target}):
        assert [] == check_pages()
    with override_settings(FLUXLIT={"APP": target, "STRICT_PAGE_SIGNATURES": True}):
        assert ["fluxlit.E021"] == [message.id for message in check_pages()]


def test_check__broken_settings() -> None:
    """With settings that cannot be used, pages are not asked about."""
    with override_settings(FLUXLIT={"GATEWAY_PORT": "many"}):
        assert [] == check_pages()

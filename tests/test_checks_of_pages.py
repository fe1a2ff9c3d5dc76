"""Pages as Django's system checks see them."""

from __future__ import annotations

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


def test_check__cannot_be_imported() -> None:
    """A module that fails is an error that names the app."""
    with override_settings(FLUXLIT={"APP": "tests.no_such_module:app"}):
        [message] = check_pages()

    assert "fluxlit.E020" == message.id
    assert "The pages of the app 'default' cannot be imported: ModuleNotFoundError" in message.msg


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

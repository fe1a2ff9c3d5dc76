from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from fluxlit_django import FluxLit
from fluxlit_django.pages.di import Provider, call_page
from fluxlit_django.pages.registry import PageRecord

if TYPE_CHECKING:
    from decimal import Decimal


class Client:
    """Stands for the API client."""


class OtherFluxLit(FluxLit):
    """A project's own kind of app."""


APP = OtherFluxLit()
CLIENT = Client()


def forbidden() -> Any:
    raise AssertionError("made although nobody asked for it")


def call(fn: Callable[..., Any], *more: Provider) -> Any:
    providers = [
        Provider(lambda: "streamlit", name="st"),
        Provider(lambda: CLIENT, name="client", type=Client),
        Provider(lambda: APP, type=FluxLit),
        *more,
    ]
    return call_page(PageRecord("/orders", "Orders", fn), providers)


def test_call_page__no_parameters() -> None:
    """A page may want nothing, and then nothing is made."""
    assert 1 == call(lambda: 1, Provider(forbidden, name="unused"))


def test_call_page__by_name() -> None:
    """Names are enough."""
    assert ("streamlit", CLIENT) == call(lambda st, client: (st, client))


def test_call_page__by_annotation() -> None:
    """Any name will do for an annotated parameter; subclasses and `Annotated` count."""

    def page(a: Client, b: OtherFluxLit, *, c: Annotated[FluxLit, "note"]) -> Any:
        return a, b, c

    assert (CLIENT, APP, APP) == call(page)


def test_call_page__positional_only() -> None:
    """Arguments before a slash are passed by position, defaults among them."""

    def page(st: Any, limit: int = 3, client: Any = None, /, *, other: int = 4) -> Any:
        return st, limit, client, other

    assert ("streamlit", 3, CLIENT, 4) == call(page)


def test_call_page__variadic() -> None:
    """`*args` and `**kwargs` get nothing."""
    assert ("streamlit", (), {}) == call(lambda st, *args, **kwargs: (st, args, kwargs))


def test_call_page__name_wins_over_type() -> None:
    """A parameter called `st` is Streamlit, whatever it is annotated with."""

    def page(st: Client) -> Any:
        return st

    assert "streamlit" == call(page)


def test_call_page__annotation_for_type_checkers() -> None:
    """An annotation that exists for type checkers alone does not matter to a name, nor to a default."""

    def page(st: Any, price: Decimal | None = None) -> Any:
        return st, price

    assert ("streamlit", None) == call(page)


def test_call_page__nothing_provides_it() -> None:
    """The error names the page, the function, the parameter and the choices."""

    def page(st: Any, orders: int) -> None:
        """Never called."""

    with pytest.raises(TypeError) as raised:
        call(page)

    message = str(raised.value)
    assert "'/orders'" in message
    assert "test_di.test_call_page__nothing_provides_it" in message
    assert "'orders'" in message
    assert "st, client (or a parameter annotated Client), a parameter annotated FluxLit" in message

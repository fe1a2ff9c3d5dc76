"""Query parameters and session state as models."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pydantic
import pytest
from hypothesis import given, strategies

from fluxlit_django.pages.query import (
    SessionModel,
    parse_query_params,
    parse_query_params_adapter,
    query_params,
)


@dataclasses.dataclass
class Filters:
    """A page's filters."""

    limit: int = 10
    tag: list[str] = dataclasses.field(default_factory=list)
    name: str | None = None


class PydanticFilters(pydantic.BaseModel):
    """The same for pydantic."""

    limit: int = 10
    tag: list[str] = []
    name: str | None = None


class Page:
    """A page's `st`."""

    def __init__(self, **params: Any) -> None:
        self.query_params = params
        self.session_state: dict[str, Any] = {}
        self.errors: list[str] = []

    def error(self, message: str) -> None:
        self.errors.append(message)


both = pytest.mark.parametrize("model", [Filters, PydanticFilters])


@both
def test_parse__fits(model: Any) -> None:
    """Values are coerced, lists collect, unknown names are left out."""
    page = Page(limit="5", tag=["a", "b"], other="x")

    assert model(limit=5, tag=["a", "b"]) == parse_query_params(page, model)
    assert model(tag=["a"]) == parse_query_params(Page(tag="a"), model)
    assert model() == parse_query_params(Page(), model)


@both
def test_parse__does_not_fit(model: Any) -> None:
    """The page says so and has the defaults; strict raises."""
    page = Page(limit="many")

    assert model() == parse_query_params(page, model)
    assert page.errors[0].startswith("Invalid query parameters: ")
    assert "limit" in page.errors[0]
    assert "\n" not in page.errors[0]
    with pytest.raises(ValueError, match="limit"):
        parse_query_params(page, model, strict=True)


def test_parse__several_for_one() -> None:
    """Where one value is wanted the last counts."""
    assert Filters(limit=2) == parse_query_params(Page(limit=["1", "2"]), Filters)
    assert PydanticFilters(limit=2) == parse_query_params(Page(limit=["1", "2"]), PydanticFilters)


def test_parse__no_model() -> None:
    """Something that is no model is named."""
    with pytest.raises(TypeError, match=r"is no model\. Use a dataclass or a pydantic model"):
        parse_query_params(Page(), dict)


def test_adapter() -> None:
    """A TypeAdapter validates the plain parameters, and raises."""
    adapter = pydantic.TypeAdapter(dict[str, int])

    assert {"a": 1} == parse_query_params_adapter(Page(a="1"), adapter)
    with pytest.raises(pydantic.ValidationError):
        parse_query_params_adapter(Page(a="x"), adapter, True)


def test_query_params__unreadable() -> None:
    """Without readable parameters there are none."""
    assert {} == query_params(SimpleNamespace())
    assert {"a": "2"} == query_params(Page(a=["1", "2"]))


VALUES = strategies.one_of(strategies.text(), strategies.lists(strategies.text()))


@given(strategies.dictionaries(strategies.text(), VALUES))
def test_parse__anything(params: dict[str, Any]) -> None:
    """No query raises."""
    page = Page()
    page.query_params = params

    assert isinstance(parse_query_params(page, Filters), Filters)
    assert isinstance(parse_query_params(page, PydanticFilters), PydanticFilters)


@both
def test_session_model__reads_and_writes(model: Any) -> None:
    """A key for each field; what is not there has its default."""
    page = Page()
    state = SessionModel(page)

    assert model() == state.read_into(model)
    state.write_from(model(limit=3))
    page.session_state["other"] = 1
    assert 3 == page.session_state["limit"]
    assert model(limit=3) == state.read_into(model)


def test_session_model__forbids() -> None:
    """Fields that were not declared are refused, or left out."""
    page = Page()

    SessionModel(page, fields=("limit",)).write_from(Filters(limit=3))
    assert {"limit": 3} == page.session_state
    with pytest.raises(ValueError, match="Filters has name, tag, not among limit"):
        SessionModel(page, extra="forbid", fields=("limit",)).write_from(Filters())
    with pytest.raises(ValueError, match="Use 'ignore' or 'forbid'"):
        SessionModel(page, extra="maybe")  # type: ignore[arg-type]

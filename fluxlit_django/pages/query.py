"""The query of a page's URL, and its session state, as models: dataclasses or pydantic's."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from fluxlit_django import page_errors, schema

Model = TypeVar("Model")


def query_params(st: Any) -> dict[str, str]:
    """The query parameters of the page, the last value of each; {} where there are none to be read."""
    found = getattr(st, "query_params", None)
    if not isinstance(found, Mapping):
        return {}
    return {str(name): _single(found, name) for name in found}


def parse_query_params(st: Any, model: type[Model], *, strict: bool = False) -> Model:
    """The query parameters as a model.

    When one does not fit, the page says so and goes on with the model's defaults.

    Args:
        st: Streamlit, or anything with its `query_params` and `error`.
        model: a dataclass or a pydantic model; a field that is a list gets all values of its parameter.
        strict: raise instead.

    Raises:
        ValueError: a parameter does not fit and `strict`, or a field without a default is missing.
        TypeError: the model is neither a dataclass nor a pydantic model.
    """
    schema.field_names(model)
    try:
        return schema.validate(model, _values(st, model))
    except ValueError as exc:
        if strict:
            raise
        st.error(f"Invalid query parameters: {page_errors.plain(schema.summary(exc))}")
        return schema.validate(model, {})


def parse_query_params_adapter(st: Any, adapter: Any, strict: bool = False) -> Any:
    """The query parameters as what a pydantic `TypeAdapter` makes of them; `strict` changes nothing.

    Raises:
        pydantic.ValidationError: they do not fit, `strict` or not.
    """
    return adapter.validate_python(query_params(st))


class SessionModel:
    """Reads models from the session state and writes them to it, a key for each field.

    Args:
        st: Streamlit, or anything with its `session_state`.
        extra: what to do with the fields of a model that `fields` does not name: ignore or forbid them.
        fields: the names that may be written; None for those of each model.
    """

    def __init__(
        self, st: Any, *, extra: Literal["ignore", "forbid"] = "ignore", fields: tuple[str, ...] | None = None
    ) -> None:
        if extra not in ("ignore", "forbid"):
            msg = f"extra is {extra!r}. Use 'ignore' or 'forbid'."
            raise ValueError(msg)
        self._state = st.session_state
        self._extra = extra
        self._fields = fields

    def read_into(self, model: type[Model]) -> Model:
        """A model of the keys that are there.

        Raises:
            ValueError: one does not fit, or a field without a default is missing.
        """
        names = schema.field_names(model)
        return schema.validate(model, {name: self._state[name] for name in names if name in self._state})

    def write_from(self, model: Any) -> None:
        """Write a key for each field.

        Raises:
            ValueError: extra keys are forbidden, and the model has one.
        """
        values = schema.dump(model)
        declared = set(self._fields if self._fields is not None else schema.field_names(type(model)))
        others = sorted(set(values) - declared)
        if others and self._extra == "forbid":
            msg = f"{type(model).__name__} has {', '.join(others)}, not among {', '.join(sorted(declared))}."
            raise ValueError(msg)
        for name, value in values.items():
            if name in declared:
                self._state[name] = value


def _values(st: Any, model: type[Any]) -> dict[str, Any]:
    """The parameters that the model has fields for: one value, or all where there are several."""
    found = getattr(st, "query_params", None)
    if not isinstance(found, Mapping):
        return {}
    values: dict[str, Any] = {}
    for name in found:
        given = _all(found, name)
        values[str(name)] = given[0] if len(given) == 1 else given
    if not schema.is_pydantic(model):
        return values
    return {name: _as_wanted(model, name, value) for name, value in values.items()}


def _as_wanted(model: Any, name: str, value: Any) -> Any:
    """One value in a list where pydantic wants a list; the last of several where it wants one."""
    field = model.model_fields.get(name)
    origin = typing.get_origin(field.annotation) if field is not None else None
    is_collection = origin in (list, tuple, set) or getattr(field, "annotation", None) in (list, tuple, set)
    if is_collection:
        return value if isinstance(value, list) else [value]
    return value[-1] if isinstance(value, list) and value else value


def _all(params: Any, name: Any) -> list[str]:
    if hasattr(params, "get_all"):
        return list(params.get_all(name))
    value = params[name]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _single(params: Any, name: Any) -> str:
    value = params[name]
    if isinstance(value, (list, tuple)):
        return str(value[-1]) if value else ""
    return str(value)

"""Checked objects from plain data: pydantic models where the user has pydantic, dataclasses without it."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from fluxlit_django import values
from fluxlit_django.exceptions import PageInputError

Model = TypeVar("Model")


def field_names(model: type[Any]) -> tuple[str, ...]:
    """The names of a model's fields.

    Raises:
        TypeError: it is neither a pydantic model nor a dataclass.
    """
    if is_pydantic(model):
        return tuple(model.model_fields)
    return tuple(field.name for field in dataclasses.fields(_require_dataclass(model)))


def validate(model: type[Model], data: Mapping[str, Any]) -> Model:
    """An instance made of these values; names that are no field are left out.

    Raises:
        ValueError: a value is missing or does not fit; pydantic's `ValidationError` is one too.
        TypeError: the model is neither a pydantic model nor a dataclass.
    """
    if is_pydantic(model):
        found: Model = model.model_validate(dict(data))  # type: ignore[attr-defined]
        return found
    instance: Model = _make(_require_dataclass(model), data)
    return instance


def validate_any(kind: Any, data: Any) -> Any:
    """A value of this type made of what JSON holds: a model, a dataclass, a list of these.

    Raises:
        ValueError: the data does not fit.
    """
    if dataclasses.is_dataclass(kind) or is_pydantic(kind):
        if not isinstance(data, Mapping):
            msg = f"{data!r} is no object, which {kind.__name__} is made of."
            raise PageInputError(msg)
        return validate(kind, data)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (list, tuple) and arguments and isinstance(data, list):
        return origin(validate_any(arguments[0], item) for item in data)
    return values.coerce([data], kind) if isinstance(data, str) else data


def summary(error: ValueError) -> str:
    """What `validate` raised, in a line for people; pydantic's own text is for developers."""
    if not hasattr(error, "errors"):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())


def dump(instance: Any) -> dict[str, Any]:
    """The values of an instance by field.

    Raises:
        TypeError: it is an instance of neither kind of model.
    """
    if is_pydantic(type(instance)):
        dumped: dict[str, Any] = instance.model_dump()
        return dumped
    _require_dataclass(type(instance))
    return {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance)}


def is_pydantic(model: Any) -> bool:
    """Whether it is a pydantic model, told without importing pydantic."""
    return isinstance(model, type) and hasattr(model, "model_validate") and hasattr(model, "model_fields")


def _make(model: type[Any], data: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(model)
    made = {}
    for field in dataclasses.fields(model):
        if not field.init:
            continue
        if field.name in data:
            made[field.name] = _fit(field.name, hints[field.name], data[field.name])
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            msg = f"The field {field.name!r} is missing."
            raise PageInputError(msg)
    return model(**made)


def _fit(name: str, annotation: Any, given: Any) -> Any:
    try:
        if isinstance(given, str):
            return values.coerce([given], annotation)
        if isinstance(given, list) and given and all(isinstance(item, str) for item in given):
            return values.coerce(given, annotation)
        return validate_any(annotation, given)
    except ValueError as exc:
        msg = f"The field {name!r} is {given!r}: {exc}."
        raise PageInputError(msg) from None


def _require_dataclass(model: type[Any]) -> type[Any]:
    if not (isinstance(model, type) and dataclasses.is_dataclass(model)):
        msg = f"{model!r} is no model. Use a dataclass or a pydantic model."
        raise TypeError(msg)
    return model

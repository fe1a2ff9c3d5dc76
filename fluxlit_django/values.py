"""Turns text that came with a request into the type that a page asks for."""

from __future__ import annotations

import datetime as dt
import enum
import math
import types
import typing
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from fluxlit_django.conf import parse_bool

_UNIONS = {typing.Union, types.UnionType}
_COLLECTIONS: dict[Any, Callable[[list[Any]], Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
}
_MOST_DIGITS = 400  # Longer numbers are refused: Python 3.11 raises for an int of more than 4300.


def coerce(texts: Sequence[str], annotation: Any) -> Any:
    """The value of the type `annotation` that the texts mean; of several, the last counts for a single value.

    Known are str, int, float, bool, Decimal, date, datetime, time, UUID, enums, literals, `X | None`, unions,
    and lists, tuples and sets of them. With any other annotation the text stays text.

    Raises:
        ValueError: the text does not mean such a value; the message says what does.
    """
    target = without_none(annotation)
    origin = typing.get_origin(target)
    if origin in _UNIONS:
        return _first_that_fits(texts, typing.get_args(target))
    if target in _COLLECTIONS or origin in _COLLECTIONS:
        item = next(iter(typing.get_args(target)), str)
        return _COLLECTIONS[origin or target]([coerce([text], item) for text in texts])
    text = texts[-1]
    if len(text) > _MOST_DIGITS and target in {int, float, Decimal}:
        msg = "use a shorter number"
        raise ValueError(msg)
    if origin is typing.Literal:
        return _literal(text, typing.get_args(target))
    if isinstance(target, type) and issubclass(target, enum.Enum):
        return _member(text, target)
    parse = _PARSERS.get(target)
    return text if parse is None else parse(text)


def is_optional(annotation: Any) -> bool:
    """Whether None is a value of this type, or nothing is known of it."""
    if annotation in {None, type(None), Any} or isinstance(annotation, str):
        return True
    return names_none(annotation)


def names_none(annotation: Any) -> bool:
    """Whether it is `X | None`."""
    return typing.get_origin(annotation) in _UNIONS and type(None) in typing.get_args(annotation)


def without_none(annotation: Any) -> Any:
    """The type without its `| None`."""
    if typing.get_origin(annotation) not in _UNIONS:
        return annotation
    others = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    return others[0] if len(others) == 1 else typing.Union[tuple(others)]  # noqa: UP007 - built at run time


def _first_that_fits(texts: Sequence[str], kinds: Sequence[Any]) -> Any:
    # Text fits everything, so it comes last.
    reasons = []
    for kind in sorted(kinds, key=lambda kind: kind is str):
        try:
            return coerce(texts, kind)
        except ValueError as exc:
            reasons.append(str(exc))
    raise ValueError(" or ".join(reasons))


def _literal(text: str, choices: Sequence[Any]) -> Any:
    for choice in choices:
        if text == str(choice):
            return choice
    msg = f"use {_or(choices)}"
    raise ValueError(msg)


def _member(text: str, kind: type[enum.Enum]) -> enum.Enum:
    for member in kind:
        if text in {str(member.value), member.name}:
            return member
    msg = f"use {_or([member.value for member in kind])}"
    raise ValueError(msg)


def _or(choices: Sequence[Any]) -> str:
    words = [str(choice) for choice in choices]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _parser(parse: Callable[[str], Any], remedy: str) -> Callable[[str], Any]:
    def checked(text: str) -> Any:
        try:
            return parse(text.strip())
        except (ValueError, InvalidOperation, OverflowError):
            raise ValueError(remedy) from None

    return checked


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _finite_decimal(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError
    return number


def _iso_datetime(text: str) -> dt.datetime:
    # Python 3.10 knows no Z.
    return dt.datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)


_PARSERS: dict[Any, Callable[[str], Any]] = {
    int: _parser(int, "use a whole number"),
    float: _parser(_finite, "use a number"),
    Decimal: _parser(_finite_decimal, "use a number"),
    bool: _parser(parse_bool, "use true or false"),
    dt.date: _parser(dt.date.fromisoformat, "use a date such as 2026-01-31"),
    dt.datetime: _parser(_iso_datetime, "use a time such as 2026-01-31T12:00:00"),
    dt.time: _parser(dt.time.fromisoformat, "use a time of day such as 12:30"),
    uuid.UUID: _parser(uuid.UUID, "use a UUID"),
}

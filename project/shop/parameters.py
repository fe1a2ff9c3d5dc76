"""Query parameters of the API, read by small parsers that say what is wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

from django.http import QueryDict

Parser = Callable[[str], Any]


class ParameterError(ValueError):
    """A parameter cannot be used; `parameter` is its name."""

    def __init__(self, parameter: str, remedy: str) -> None:
        super().__init__(f"{parameter}: {remedy}.")
        self.parameter = parameter


def read_parameters(query: QueryDict, parsers: dict[str, Parser]) -> dict[str, Any]:
    """The given parameters, parsed.

    Raises:
        ParameterError: one is unknown, given twice, or has a value that its parser refuses.
    """
    values = {}
    for name, given in query.lists():
        if name not in parsers:
            raise ParameterError(name[:80], f"not a parameter here; known are {', '.join(sorted(parsers))}")
        if len(given) > 1:
            raise ParameterError(name, "give it once")
        try:
            values[name] = parsers[name](given[0])
        except ValueError as exc:
            raise ParameterError(name, str(exc)) from None
    return values


def whole_number(low: int, high: int) -> Parser:
    """A parser for whole numbers between two bounds, both included."""

    def parse(raw: str) -> int:
        number = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 10 else low - 1
        if not low <= number <= high:
            msg = f"use a whole number from {low} to {high}"
            raise ValueError(msg)
        return number

    return parse


def one_of(words: Iterable[str]) -> Parser:
    """A parser that accepts just these words."""
    known = tuple(words)

    def parse(raw: str) -> str:
        if raw not in known:
            msg = f"use one of {', '.join(known)}"
            raise ValueError(msg)
        return raw

    return parse


def parse_day(raw: str) -> dt.date:
    """A date as YYYY-MM-DD."""
    try:
        return dt.datetime.strptime(raw, "%Y-%m-%d").date()
    except ValueError:
        msg = "use a date such as 2026-01-31"
        raise ValueError(msg) from None


def parse_words(raw: str) -> str:
    """A text of 1 to 80 printable characters."""
    text = raw.strip()
    if not 0 < len(text) <= 80 or not text.isprintable():
        msg = "use 1 to 80 printable characters"
        raise ValueError(msg)
    return text

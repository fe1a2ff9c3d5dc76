"""Calls a page with the arguments it names.

In order, for each parameter: a provider of its name, a provider of its annotation's type, its default.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fluxlit_django.pages.registry import PageRecord

_VARIADIC = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


@dataclass(frozen=True)
class Provider:
    """One thing that a page can ask for, made only when it does."""

    provide: Callable[[], Any]
    name: str = ""
    """The parameter name it answers to; "" for none."""
    type: type | None = None
    """The annotation it answers to, subclasses included; None for none."""

    @property
    def wanted_as(self) -> str:
        """How a page asks for it, for messages."""
        if not self.name or self.type is None:
            return self.name or f"a parameter annotated {getattr(self.type, '__name__', '')}"
        return f"{self.name} (or a parameter annotated {self.type.__name__})"


@dataclass(frozen=True)
class Wanted:
    """One parameter of a page."""

    name: str
    annotation: Any
    """The type, without what `Annotated` adds; a string where it cannot be resolved."""
    default: Any
    """`inspect.Parameter.empty` when there is none."""
    is_positional_only: bool


def call_page(record: PageRecord, providers: Sequence[Provider]) -> Any:
    """Call the page's function with what its parameters ask for, and return its result.

    Raises:
        TypeError: a parameter without a default asks for something that nothing provides.
    """
    arguments: list[Any] = []
    keywords: dict[str, Any] = {}
    for wanted in wanted_parameters(record.fn):
        provider = find_provider(wanted, providers)
        value = provider.provide() if provider else _default_or_raise(wanted, record, providers)
        if wanted.is_positional_only:
            arguments.append(value)
        else:
            keywords[wanted.name] = value
    return record.fn(*arguments, **keywords)


@functools.lru_cache(maxsize=1024)
def wanted_parameters(fn: Callable[..., Any]) -> tuple[Wanted, ...]:
    """The parameters of a page that can be filled one by one."""
    return tuple(_read_signature(fn))


def find_provider(wanted: Wanted, providers: Sequence[Provider]) -> Provider | None:
    """The provider of the parameter's name, else of its type, else None."""
    for provider in providers:
        if provider.name == wanted.name:
            return provider
    if isinstance(wanted.annotation, type):
        for provider in providers:
            if provider.type is not None and issubclass(wanted.annotation, provider.type):
                return provider
    return None


def _read_signature(fn: Callable[..., Any]) -> Iterator[Wanted]:
    hints = _hints(fn)
    for name, parameter in inspect.signature(fn).parameters.items():
        if parameter.kind in _VARIADIC:
            continue
        yield Wanted(
            name=name,
            annotation=_without_metadata(hints.get(name, parameter.annotation)),
            default=parameter.default,
            is_positional_only=parameter.kind is inspect.Parameter.POSITIONAL_ONLY,
        )


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(fn, include_extras=True)
    except (NameError, AttributeError, TypeError):
        # A name imported for type checkers only: parameters are then known by their names alone.
        return {}


def _without_metadata(annotation: Any) -> Any:
    return annotation.__origin__ if typing.get_origin(annotation) is typing.Annotated else annotation


def _default_or_raise(wanted: Wanted, record: PageRecord, providers: Sequence[Provider]) -> Any:
    if wanted.default is not inspect.Parameter.empty:
        return wanted.default
    choices = ", ".join(provider.wanted_as for provider in providers)
    msg = (
        f"The page {record.path!r} ({record.definition}) has a parameter {wanted.name!r} "
        f"that nothing provides. A page can ask for {choices}. "
        "Rename the parameter, annotate it, or give it a default."
    )
    raise TypeError(msg)

"""The pages of an app as plain data, and what is wrong with them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from django.conf import settings

from fluxlit_django.pages import di
from fluxlit_django.pages.di import Depends, Provider, Wanted
from fluxlit_django.pages.page import PageRecord

VERSION = 1


def build(title: str, records: Sequence[PageRecord], version: int = VERSION) -> dict[str, Any]:
    """The manifest of these pages.

    Raises:
        ValueError: there is no such version.
    """
    if version != VERSION:
        msg = f"There is no manifest version {version!r}. Use {VERSION}."
        raise ValueError(msg)
    return {
        "manifest_version": VERSION,
        "manifest_stability": "stable",
        "title": title,
        "pages": [_page(record) for record in records],
    }


def problems(records: Iterable[PageRecord], offers: Sequence[Provider] | None) -> Iterator[str]:
    """What is wrong with these pages, a sentence each.

    Args:
        offers: what parameters can ask for; None to leave signatures unchecked.
    """
    for record in records:
        if record.transaction and record.transaction not in settings.DATABASES:
            known = ", ".join(settings.DATABASES)
            yield f"{record.owner} has transaction={record.transaction!r}, which is no database. Use {known}."
        try:
            if offers is not None:
                di.check_signature(record.fn, record.owner, offers)
            json.dumps(_page(record))
        except (TypeError, ValueError) as exc:
            yield str(exc)


def asks_for(record: PageRecord, offers: Sequence[Provider], types: Collection[type]) -> bool:
    """Whether a page, or something it depends on, asks for something of these types."""
    unmarked = (each for each in _all_wanted(record.fn, record.owner) if each.marker is None)
    found = (di.find_provider(each, offers) for each in unmarked)
    return any(provider is not None and provider.type in types for provider in found)


def _page(record: PageRecord) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "path": record.path,
        "title": record.title,
        "tags": list(record.tags),
        "description": record.description,
        "icon": record.icon,
        "parameters": [
            {"name": each.name, "annotation": show_annotation(each.annotation)}
            for each in di.wanted_parameters(record.fn)
        ],
        "dependencies": sorted(
            {
                _name(di.dependency_of(each.marker, each, record.owner))
                for each in _all_wanted(record.fn, record.owner)
                if isinstance(each.marker, Depends)
            }
        ),
    }
    if record.page_meta and record.page_meta.children:
        shown["children"] = [dict(child) for child in record.page_meta.children]
    if record.rules:
        shown["access"] = [rule if isinstance(rule, str) else _name(rule) for rule in record.rules]
    return shown


def _all_wanted(
    function: Callable[..., Any], owner: str, above: tuple[Callable[..., Any], ...] = ()
) -> Iterator[Wanted]:
    """The parameters of a function, and of all that it depends on."""
    for wanted in di.wanted_parameters(function):
        yield wanted
        if isinstance(wanted.marker, Depends):
            dependency = di.dependency_of(wanted.marker, wanted, owner)
            if dependency not in above:
                yield from _all_wanted(dependency, owner, (*above, dependency))


def show_annotation(annotation: Any) -> str:
    """An annotation as its author wrote it, with no memory address in it."""
    if annotation is inspect.Parameter.empty:
        return ""
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not getattr(annotation, "__args__", ()):
        return annotation.__qualname__
    return di.without_addresses(inspect.formatannotation(annotation))


def _name(function: Callable[..., Any]) -> str:
    return di.definition_of(function)

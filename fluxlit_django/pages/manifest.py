"""The pages of an app as plain data, and what is wrong with them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from fluxlit_django.pages import di
from fluxlit_django.pages.di import Depends, Provider, Wanted
from fluxlit_django.pages.page import PageRecord

VERSION = 1


def build(title: str | None, records: Sequence[PageRecord], version: int = VERSION) -> dict[str, Any]:
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
        "title": title or "",
        "pages": [_page(record) for record in records],
    }


def problems(records: Iterable[PageRecord], offers: Sequence[Provider] | None) -> Iterator[str]:
    """What is wrong with these pages, a sentence each.

    Args:
        offers: what parameters can ask for; None to leave signatures unchecked.
    """
    for record in records:
        try:
            if offers is not None:
                di.check_signature(record.fn, record.owner, offers)
            json.dumps(_page(record))
        except (TypeError, ValueError) as exc:
            yield str(exc)


def _page(record: PageRecord) -> dict[str, Any]:
    wanted = di.wanted_parameters(record.fn)
    shown: dict[str, Any] = {
        "path": record.path,
        "title": record.title,
        "tags": list(record.tags),
        "description": record.description,
        "icon": record.icon,
        "parameters": [
            {"name": each.name, "annotation": show_annotation(each.annotation)} for each in wanted
        ],
        "dependencies": sorted(set(_dependencies(wanted, record.owner, ()))),
    }
    if record.page_meta and record.page_meta.children:
        shown["children"] = [dict(child) for child in record.page_meta.children]
    if record.rules:
        shown["access"] = [rule if isinstance(rule, str) else _name(rule) for rule in record.rules]
    return shown


def _dependencies(wanted: Sequence[Wanted], owner: str, above: tuple[Any, ...]) -> Iterator[str]:
    for each in wanted:
        if not isinstance(each.marker, Depends):
            continue
        function = di.dependency_of(each.marker, each, owner)
        yield _name(function)
        if function not in above:
            yield from _dependencies(di.wanted_parameters(function), owner, (*above, function))


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

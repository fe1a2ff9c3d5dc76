"""In which order pages are shown, and which page a query asks for."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fluxlit_django.pages.page import PageRecord, page_slug

PAGE_PARAMETER = "page"
"""The query parameter that names a page by its path, slug or title."""


@dataclass(frozen=True)
class NavigationModel:
    """The order of an app's pages in its navigation."""

    order: tuple[str, ...] = ()
    """Paths, first to last; pages that are not named follow."""

    def __post_init__(self) -> None:
        given: object = self.order
        if isinstance(given, str) or not all(isinstance(path, str) for path in self.order):
            msg = f"The order is {self.order!r}. Use a tuple of paths, such as ('/', '/orders')."
            raise TypeError(msg)
        object.__setattr__(self, "order", tuple(self.order))


def arrange(records: Iterable[PageRecord], model: NavigationModel | None) -> list[PageRecord]:
    """The pages in the order in which they are shown.

    First those that the model names, then by `PageMeta.order`, then as registered or, under a model, by their
    slugs. `PageMeta.children` then move behind their parent, with the title and icon given there.
    """
    records = list(records)
    named = {path.strip("/"): place for place, path in enumerate(model.order)} if model else {}

    def place(numbered: tuple[int, PageRecord]) -> tuple[Any, ...]:
        number, record = numbered
        order = record.page_meta.order if record.page_meta else None
        slug = record.path.strip("/")
        rest = record.slug if model else number
        return named.get(slug, math.inf), math.inf if order is None else order, rest

    arranged = [record for _, record in sorted(enumerate(records), key=place)]
    return _with_children(arranged)


def _with_children(records: list[PageRecord]) -> list[PageRecord]:
    parents: dict[str, str] = {}
    known = {record.slug: record for record in records}
    for parent in records:
        for child in parent.page_meta.children if parent.page_meta else ():
            slug = page_slug(str(child.get("path", child.get("url_path", ""))))
            if slug not in known:
                _warn(f"The page {parent.path!r} names a child {slug!r}, which is no page.")
            elif _is_above(slug, parent.slug, parents):
                _warn(f"The page {slug!r} is its own child, by {parent.path!r}.")
            else:
                parents[slug] = parent.slug
                shown = known[slug]
                known[slug] = replace(
                    shown, title=child.get("title") or shown.title, icon=child.get("icon") or shown.icon
                )
    roots = [record.slug for record in records if record.slug not in parents]
    ordered: list[PageRecord] = []

    def add(slug: str) -> None:
        ordered.append(known[slug])
        for child in records:
            if parents.get(child.slug) == slug:
                add(child.slug)

    for slug in roots:
        add(slug)
    return ordered


def _is_above(slug: str, of: str, parents: Mapping[str, str]) -> bool:
    while of != slug and of in parents:
        of = parents[of]
    return of == slug


def match_nav_page(
    params: Mapping[str, Any], pages: Sequence[Any], *, page_key: str = PAGE_PARAMETER
) -> tuple[str, str] | None:
    """The path and title of the first page that a query asks for, or None.

    Args:
        params: the query parameters; of a list the first value counts.
        pages: page records, or `(path, title, …)` tuples.
        page_key: the parameter in question: a page's title, path or slug.
    """
    given = params.get(page_key)
    if isinstance(given, (list, tuple)):
        given = next(iter(given), None)
    wanted = given.strip() if isinstance(given, str) else ""
    if not wanted:
        return None
    for page in pages:
        path, title = (page.path, page.title) if hasattr(page, "path") else (page[0], page[1])
        slug = page_slug(path)
        if wanted in {title, path, slug} or (wanted.strip("/") and wanted.strip("/") == path.strip("/")):
            return path, title
    return None


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=4)

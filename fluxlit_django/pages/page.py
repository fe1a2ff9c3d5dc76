"""What a page is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fluxlit_django.trust.rules import Rule

ROOT_SLUG = "home"
"""The slug of the page at `/`."""

_SLUG = re.compile(r"[\w.~-]+")
_RESERVED_SLUGS = {".", "..", "_stcore", "static"}


@dataclass(frozen=True)
class PageMeta:
    """How a page is shown; None leaves what there is without it.

    The first five are as for `st.set_page_config`.
    """

    page_title: str | None = None
    """Title of the browser's tab; by default the page's title and the app's."""
    page_icon: str | None = None
    """Icon of the browser's tab, and of the navigation where the page has no `icon`."""
    layout: Literal["centered", "wide"] | None = None
    initial_sidebar_state: Literal["auto", "expanded", "collapsed"] | None = None
    menu_items: Mapping[str, str | None] | None = None
    breadcrumb: str | None = None
    """A caption in the sidebar."""
    order: int | None = None
    """Place in the navigation; pages with lower numbers come first, pages without one last."""
    description: str | None = None
    """What the page is for, in the manifest; by default the first line of its docstring."""
    children: Sequence[Mapping[str, Any]] = ()
    """Pages shown behind this one: `{"path": …}` with another `title` or `icon` if wanted."""

    def __post_init__(self) -> None:
        _require_word("layout", self.layout, ("centered", "wide"))
        _require_word("initial_sidebar_state", self.initial_sidebar_state, ("auto", "expanded", "collapsed"))
        given: object = self.menu_items
        if given is not None and not isinstance(given, Mapping):
            msg = f"menu_items is {given!r}. Use a dict such as {{'Get help': 'https://example.com'}}."
            raise ValueError(msg)
        if self.order is not None and (isinstance(self.order, bool) or not isinstance(self.order, int)):
            msg = f"order is {self.order!r}. Use a whole number."
            raise ValueError(msg)
        for child in self.children:
            if not isinstance(child, Mapping) or not {"path", "url_path"} & set(child):
                msg = f"A child is {child!r}. Use a dict such as {{'path': '/orders'}}."
                raise ValueError(msg)


@dataclass(frozen=True)
class PageRecord:
    """One registered page."""

    path: str
    """`/` or `/orders`: a slash and at most one segment."""
    title: str
    fn: Callable[..., Any]
    tags: tuple[str, ...] = ()
    description: str = ""
    """`PageMeta.description`, or the first line of the function's docstring."""
    icon: str | None = None
    page_meta: PageMeta | None = None
    rules: tuple[Rule, ...] = ()
    """Who may open it: all of these have to pass."""
    transaction: str = ""
    """Alias of the database in whose transaction it runs; "" for none."""

    @property
    def slug(self) -> str:
        """The path without its slash; `home` for the root."""
        return self.path.strip("/") or ROOT_SLUG

    @property
    def definition(self) -> str:
        """Where the function is defined, for messages."""
        return f"{self.fn.__module__}.{getattr(self.fn, '__qualname__', repr(self.fn))}"

    @property
    def owner(self) -> str:
        """What the function is, for messages."""
        return f"The page {self.path!r} ({self.definition})"


def page_slug(path: str) -> str:
    """The slug of a page's path: `home` for the root."""
    return path.strip("/") or ROOT_SLUG


def check_path(path: object) -> str:
    """The path with one slash before it and none behind.

    Raises:
        ValueError: Streamlit cannot serve a page there.
    """
    if not isinstance(path, str):
        msg = f"A page's path is {path!r}. Use a string such as '/orders'."
        raise ValueError(msg)
    slug = path.strip("/")
    if not slug:
        return "/"
    if "/" in slug:
        # Streamlit 1.67 refuses a `url_path` with a slash inside, and then shows no page at all.
        msg = f"The page path {path!r} is nested. Use one segment, for example '/{slug.replace('/', '-')}'."
        raise ValueError(msg)
    if slug in _RESERVED_SLUGS or not _SLUG.fullmatch(slug):
        msg = (
            f"The page path {path!r} cannot be used. Use one segment of letters, digits and . _ ~ - "
            f"other than {', '.join(sorted(_RESERVED_SLUGS))}, for example '/orders'."
        )
        raise ValueError(msg)
    return f"/{slug}"


def _require_word(name: str, value: str | None, words: tuple[str, ...]) -> None:
    if value is not None and value not in words:
        msg = f"{name} is {value!r}. Use {', '.join(words[:-1])} or {words[-1]}."
        raise ValueError(msg)

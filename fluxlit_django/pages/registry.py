"""What a page is, and where pages are registered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

ROOT_SLUG = "home"
"""The slug of the page at `/`."""

_SLUG = re.compile(r"[\w.~-]+")
_RESERVED_SLUGS = {".", "..", "_stcore", "static"}

PageFunction = TypeVar("PageFunction", bound=Callable[..., Any])


@dataclass(frozen=True)
class PageMeta:
    """How the browser shows a page, as for `st.set_page_config`; None leaves Streamlit's default."""

    page_title: str | None = None
    """Title of the browser's tab; by default the page's title and the app's."""
    page_icon: str | None = None
    layout: Literal["centered", "wide"] | None = None
    initial_sidebar_state: Literal["auto", "expanded", "collapsed"] | None = None

    def __post_init__(self) -> None:
        _require_word("layout", self.layout, ("centered", "wide"))
        _require_word("initial_sidebar_state", self.initial_sidebar_state, ("auto", "expanded", "collapsed"))


@dataclass(frozen=True)
class PageRecord:
    """One registered page."""

    path: str
    """`/` or `/orders`: a slash and at most one segment."""
    title: str
    fn: Callable[..., Any]
    tags: tuple[str, ...] = ()
    description: str = ""
    """The first line of the function's docstring."""
    icon: str | None = None
    page_meta: PageMeta | None = None

    @property
    def slug(self) -> str:
        """The path without its slash; `home` for the root."""
        return self.path.strip("/") or ROOT_SLUG

    @property
    def definition(self) -> str:
        """Where the function is defined, for messages."""
        return f"{self.fn.__module__}.{getattr(self.fn, '__qualname__', repr(self.fn))}"


class FluxLit:
    """An app made of pages. `site` is the one that `streamlit_pages.py` modules share.

    Example:
        app = FluxLit(title="Shop")

        @app.page("/orders", title="Orders")
        def orders(st):
            st.write("Hello")
    """

    def __init__(self, *, title: str | None = None) -> None:
        self.title = title
        """Title of the app; None for the setting `FLUXLIT_TITLE`."""
        self._records: dict[str, PageRecord] = {}

    def __repr__(self) -> str:
        return f"<FluxLit {self.title!r}: {len(self._records)} pages>"

    @property
    def page_records(self) -> list[PageRecord]:
        """The registered pages, in the order of their registration."""
        return list(self._records.values())

    def page(
        self,
        path: str,
        *,
        title: str | None = None,
        icon: str | None = None,
        tags: Iterable[str] = (),
        page_meta: PageMeta | None = None,
    ) -> Callable[[PageFunction], PageFunction]:
        """Register the decorated function as the page at `path`, and return it unchanged.

        Raises:
            ValueError: the path cannot be a page's, or another page has it.
        """
        normal_path = check_path(path)

        def register(fn: PageFunction) -> PageFunction:
            self._add(
                PageRecord(
                    path=normal_path,
                    title=title or _title_from_name(fn),
                    fn=fn,
                    tags=tuple(tags),
                    description=_first_line(fn.__doc__),
                    icon=icon,
                    page_meta=page_meta,
                )
            )
            return fn

        return register

    def _add(self, record: PageRecord) -> None:
        other = self._records.get(record.slug)
        if other is not None and not _is_same_definition(other.fn, record.fn):
            reason = "that path" if other.path == record.path else f"the slug {record.slug!r}"
            msg = (
                f"The page {record.path!r} ({record.definition}) cannot be registered: "
                f"{other.path!r} ({other.definition}) has {reason} already. Give one of them another path."
            )
            raise ValueError(msg)
        self._records[record.slug] = record


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


def _title_from_name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", "page").strip("_").replace("_", " ").title() or "Page"


def _first_line(docstring: str | None) -> str:
    return next(iter((docstring or "").strip().splitlines()), "")


def _is_same_definition(fn: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether both come from the same lines: a module that failed half-way is imported again from its top."""
    code, other_code = getattr(fn, "__code__", None), getattr(other, "__code__", None)
    if code is None or other_code is None:
        return fn is other
    return (code.co_filename, code.co_firstlineno) == (other_code.co_filename, other_code.co_firstlineno)


site = FluxLit()
"""The default app: what `streamlit_pages.py` modules register their pages on."""

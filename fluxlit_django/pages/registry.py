"""Where pages are registered."""

from __future__ import annotations

import functools
import inspect
import itertools
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from django.apps import apps
from django.conf import settings

from fluxlit_django import conf
from fluxlit_django.pages import access as page_access
from fluxlit_django.pages import di, manifest, navigation
from fluxlit_django.pages.navigation import NavigationModel
from fluxlit_django.pages.page import PageMeta, PageRecord, check_path
from fluxlit_django.public_urls import FluxLitPublicUrls
from fluxlit_django.trust.rules import Rule
from fluxlit_django.url_session import ConfiguredSessionStore, SessionStore

if TYPE_CHECKING:
    from ninja import NinjaAPI

    from fluxlit_django.client import ApiClient

PageFunction = TypeVar("PageFunction", bound=Callable[..., Any])

_api_numbers = itertools.count(1)


class FluxLit:
    """An app made of pages. `site` is the one that `streamlit_pages.py` modules share.

    Example:
        app = FluxLit(title="Shop")

        @app.page("/orders", title="Orders")
        def orders(st):
            st.write("Hello")

    Args:
        title: title of the app; None for the setting `FLUXLIT_TITLE`.
        import_target: the app as `module:attribute`, as in `FLUXLIT_APP`; found out when it is loaded.
        session_store: where URL sessions are kept, for pages that ask for a `SessionStore`.
        api_options: arguments for the `NinjaAPI` behind `api`.
        page_meta: how pages are shown that do not say so themselves, as far as `st.set_page_config` knows.
            Of `site` it is set as an attribute: `site.page_meta = PageMeta(layout="wide")`.

    Raises:
        TypeError: `page_meta` is no `PageMeta`.
    """

    def __init__(
        self,
        *,
        title: str | None = None,
        import_target: str = "",
        session_store: SessionStore | None = None,
        api_options: Mapping[str, Any] | None = None,
        page_meta: PageMeta | None = None,
    ) -> None:
        self.title = title
        self.page_meta = PageMeta() if page_meta is None else page_meta
        self.import_target = import_target
        self.session_store = session_store
        self._api_options = dict(api_options or {})
        self._api: NinjaAPI | None = None
        self._navigation: NavigationModel | None = None
        self._records: dict[str, PageRecord] = {}

    def __repr__(self) -> str:
        return f"<FluxLit {self.title!r}: {len(self._records)} pages>"

    @property
    def page_meta(self) -> PageMeta:
        """How pages are shown that do not say so themselves.

        Raises:
            TypeError: it is set to what is no PageMeta.
        """
        return self._page_meta

    @page_meta.setter
    def page_meta(self, meta: PageMeta) -> None:
        _check_meta(meta)
        self._page_meta = meta

    @property
    def page_records(self) -> list[PageRecord]:
        """The registered pages, in the order of their registration."""
        return list(self._records.values())

    @property
    def pages(self) -> list[tuple[str, str, Callable[..., Any]]]:
        """Path, title and function of the registered pages, in the order of their registration."""
        return [(record.path, record.title, record.fn) for record in self._records.values()]

    @property
    def shown_records(self) -> list[PageRecord]:
        """The pages in the order of the navigation; see `navigation.arrange`."""
        return navigation.arrange(self._records.values(), self._navigation)

    @property
    def shown_title(self) -> str:
        """The app's own title, else the one in the settings."""
        return self.title or (conf.get_config().title if _is_set_up() else "FluxLit")

    @property
    def urls(self) -> FluxLitPublicUrls:
        """Makes absolute URLs of the app, its pages and its API."""
        return FluxLitPublicUrls(self.import_target, has_docs=self.has_api)

    @property
    def has_api(self) -> bool:
        """Whether `api` has been used."""
        return self._api is not None

    @property
    def api(self) -> NinjaAPI:
        """An API of the app's own, served below `FLUXLIT_API_MOUNT_PATH` with its documentation at `docs`.

        It answers what the project's URLconf does not know. `api_urls` gives it another place.

        Raises:
            ImportError: django-ninja is not installed.
        """
        if self._api is None:
            self._api = self._make_api()
        return self._api

    @functools.cached_property
    def api_urls(self) -> Any:
        """The URLs of `api`, to be put into a URLconf where it has to have a place of its own.

        Example:
            urlpatterns = [path("api/", site.api_urls), ...]
        """
        return self.api.urls

    def get_client(self) -> ApiClient:
        """A new client of the project's API; `client` in a page is one that calls it as the viewer."""
        from fluxlit_django.client import ApiClient  # loads Django's ORM

        return ApiClient(propagate_request_id=True)

    def page(
        self,
        path: str,
        *,
        title: str | None = None,
        icon: str | None = None,
        tags: Iterable[str] = (),
        page_meta: PageMeta | None = None,
        permission: str | None = None,
        login_required: bool = False,
        staff_only: bool = False,
        access: Rule | None = None,
        transaction: bool | str = False,
    ) -> Callable[[PageFunction], PageFunction]:
        """Register the decorated function as the page at `path`, and return it unchanged.

        Args:
            permission: as `app.codename`; who lacks it neither sees the page nor opens it.
            login_required: for viewers who are signed in.
            staff_only: for staff.
            access: a rule as in `FLUXLIT_ACCESS`, or a function of the user.
            transaction: run the page in a transaction of the default database, or of the one named: it is
                rolled back when the page raises, and when the viewer's next click interrupts it.

        Raises:
            ValueError: the path cannot be a page's, another page has it, or a rule is none.
            TypeError: `page_meta` is no PageMeta, the function cannot be a page, or, with
                `FLUXLIT_STRICT_PAGE_SIGNATURES`, has a parameter that nothing fills.
        """
        normal_path = check_path(path)
        rules = page_access.read_rules(
            permission=permission, login_required=login_required, staff_only=staff_only, access=access
        )
        _check_meta(page_meta)
        meta = page_meta or PageMeta()

        def register(fn: PageFunction) -> PageFunction:
            self._add(
                PageRecord(
                    path=normal_path,
                    title=title or _title_from_name(fn),
                    fn=fn,
                    tags=_as_tags(tags),
                    description=meta.description or _first_line(fn.__doc__),
                    icon=icon,
                    page_meta=page_meta,
                    rules=rules,
                    transaction="default" if transaction is True else transaction or "",
                )
            )
            return fn

        return register

    def navigation(self, model: NavigationModel) -> FluxLit:
        """Say in which order pages are shown; return the app.

        Raises:
            TypeError: it is not a NavigationModel.
        """
        given: object = model
        if not isinstance(given, NavigationModel):
            msg = f"navigation() was given {model!r}. Use NavigationModel(order=('/', '/orders'))."
            raise TypeError(msg)
        self._navigation = model
        return self

    def discover_pages(self, directory: str, *, package: str) -> FluxLit:
        """Import the modules of `package.directory` by name; call the `register(app)` of each that has one.

        Modules whose name starts with `_`, and packages, are left out. All pages are then in the order of
        their paths. When a module fails, no page of this call stays.

        Raises:
            TypeError: `package` is a module.
            ImportError: a module, or the package, cannot be imported.
        """
        parent = import_module(package)
        if not hasattr(parent, "__path__"):
            msg = f"discover_pages got package={package!r}, which is a module. Name the package it is in."
            raise TypeError(msg)
        folder = import_module(f"{package}.{directory}")
        before = dict(self._records)
        try:
            for name in _module_names(folder):
                register = getattr(import_module(f"{folder.__name__}.{name}"), "register", None)
                if callable(register):
                    register(self)
        except BaseException:
            self._records = before
            raise
        ordered = sorted(self._records.values(), key=lambda record: (record.path, record.title))
        self._records = {record.slug: record for record in ordered}
        return self

    def build_page_manifest(self, version: int = 1) -> dict[str, Any]:
        """The pages as plain data, the same for the same pages: what they are, ask for and depend on.

        Raises:
            ValueError: there is no such version.
        """
        return manifest.build(self.shown_title, self.shown_records, version)

    def offers(self) -> tuple[di.Provider, ...]:
        """What pages of this app can ask for, for checks of their signatures."""
        from fluxlit_django.pages import offers  # loads Django's ORM, which registering a page does not need

        return offers.offered(FluxLit, has_store=self.session_store is not None)

    def problems(self, *, strict: bool = False) -> list[str]:
        """What is wrong with the pages, a sentence each.

        Args:
            strict: also parameters that nothing fills, which otherwise fail when the page is opened.
        """
        return list(manifest.problems(self._records.values(), self.offers() if strict else None))

    def paths_with_client(self) -> list[str]:
        """The paths of the pages that call the API."""
        from fluxlit_django.pages import offers  # see `offers`

        found, clients = self.offers(), offers.API_CLIENTS
        return [each.path for each in self._records.values() if manifest.asks_for(each, found, clients)]

    def _add(self, record: PageRecord) -> None:
        _check_function(record)
        if self.session_store is None and _asks_for_store(record):
            msg = (
                f"{record.owner} asks for a SessionStore and the app has none. "
                "Give it one: FluxLit(session_store=InMemorySessionStore())."
            )
            raise ValueError(msg)
        if _is_strict():
            di.check_signature(record.fn, record.owner, self.offers())
        other = self._records.get(record.slug)
        if other is not None and not _is_same_definition(other.fn, record.fn):
            reason = "that path" if other.path == record.path else f"the slug {record.slug!r}"
            msg = (
                f"The page {record.path!r} ({record.definition}) cannot be registered: "
                f"{other.path!r} ({other.definition}) has {reason} already. Give one of them another path."
            )
            raise ValueError(msg)
        self._records[record.slug] = record

    def _make_api(self) -> NinjaAPI:
        try:
            from ninja import NinjaAPI
        except ModuleNotFoundError as exc:
            msg = "FluxLit.api needs django-ninja. Install it with: pip install 'fluxlit-django[api]'"
            raise ImportError(msg) from exc
        # Two apps may each have an API; Ninja tells them apart by their namespaces.
        defaults = {"title": self.shown_title, "urls_namespace": f"fluxlit-api-{next(_api_numbers)}"}
        return NinjaAPI(**(defaults | self._api_options))


def _is_strict() -> bool:
    # A module imported before Django is set up is looked at when its app is loaded.
    return _is_set_up() and conf.get_config().strict_page_signatures


def _is_set_up() -> bool:
    return settings.configured and apps.ready


def _check_function(record: PageRecord) -> None:
    fn: object = record.fn
    if not callable(fn):
        msg = f"The page {record.path!r} is {fn!r}. Decorate a function."
        raise TypeError(msg)
    if inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn):
        msg = f"{record.owner} is async. Write it with def, and put what is awaited into a Depends."
        raise TypeError(msg)
    if inspect.isgeneratorfunction(fn):
        msg = f"{record.owner} has a yield. Put what is opened and closed into a Depends."
        raise TypeError(msg)


def _asks_for_store(record: PageRecord) -> bool:
    return any(
        wanted.annotation is SessionStore
        and wanted.marker is None
        and wanted.default is inspect.Parameter.empty
        for wanted in di.wanted_parameters(record.fn)
    )


def _check_meta(given: object) -> None:
    if given is not None and not isinstance(given, PageMeta):
        msg = f"page_meta is {given!r}. Use PageMeta(layout='wide')."
        raise TypeError(msg)


def _as_tags(tags: Iterable[str]) -> tuple[str, ...]:
    return (tags,) if isinstance(tags, str) else tuple(tags)


def _module_names(folder: Any) -> list[str]:
    found = pkgutil.iter_modules(folder.__path__)
    return sorted(module.name for module in found if not module.ispkg and not module.name.startswith("_"))


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


site = FluxLit(session_store=ConfiguredSessionStore())
"""The default app: what `streamlit_pages.py` modules register their pages on."""

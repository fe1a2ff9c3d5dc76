"""Runs an app made of pages: everything that `st.navigation` needs, once per rerun."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import zoneinfo
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import streamlit as st
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone, translation
from streamlit.runtime.fragment import MemoryFragmentStorage
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state.session_state import SessionState

from fluxlit_django import client, conf, page_errors, url_session
from fluxlit_django.client import ApiClient
from fluxlit_django.pages import access, di, discovery, later, navigation, offers
from fluxlit_django.pages.access import Verdict
from fluxlit_django.pages.context import PageContext
from fluxlit_django.pages.credentials import ViewerCredentials
from fluxlit_django.pages.page import PageMeta, PageRecord
from fluxlit_django.pages.registry import FluxLit
from fluxlit_django.public_urls import login_url
from fluxlit_django.trust import sessions, viewer_token

logger = logging.getLogger(__name__)

_EXAMPLE = """\
from fluxlit_django import site

@site.page("/", title="Orders")
def orders(st):
    st.write("It works.")
"""

_TOAST_ICONS = {
    "debug": ":material/bug_report:",
    "info": ":material/info:",
    "success": ":material/task_alt:",
    "warning": ":material/warning:",
    "error": ":material/error:",
}
_TRACE_HEADERS = ("traceparent", "tracestate")
_MESSAGES_TAKEN = "_fluxlit_messages_taken"

later.install(SessionState, MemoryFragmentStorage, MediaFileManager)


@dataclass(frozen=True)
class Given:
    """What a test gives a run instead of what it would find."""

    identity: Mapping[str, Any] | None = None
    """What `st.user` has in production."""
    client: ApiClient | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] | None = None
    cookies: Mapping[str, str] | None = None
    around: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    """Entered around all that a page does, callbacks included."""


def run(app_name: str = conf.DEFAULT_APP) -> None:
    """Show the page that the viewer asked for. Call from the script that Streamlit runs."""
    config = conf.get_config()
    show(discovery.load_app(config.get_app(app_name).target), Given(overrides=configured_overrides(config)))


def configured_overrides(config: conf.Config) -> dict[str, Any]:
    """The overrides in `FLUXLIT_TEST_PAGE_OVERRIDES`, which count under `FLUXLIT_TESTS` alone."""
    if not (config.tests and config.test_page_overrides):
        return {}
    found: dict[str, Any] = json.loads(config.test_page_overrides)
    return found


def show(app: FluxLit, given: Given | None = None) -> None:
    """Show the page of an app that the viewer asked for."""
    if not app.page_records:
        _show_first_steps(app.shown_title)
        return
    visit = _Visit(app, given or Given())
    with visit.surroundings():
        _show_messages(visit.context)
        url_session.keep_in_url(st)
        pages = visit.streamlit_pages()
        _follow_deep_link(visit.records, pages)
        shown = list(pages.values())
        if "/" not in pages:
            shown.insert(0, _landing_page(shown[0]))
        # A page inside another page is one page: the way to the others is around it.
        is_embedded = getattr(st.context, "is_embedded", False)
        st.navigation(shown, position="hidden" if is_embedded else "sidebar").run()


def page_config(record: PageRecord, app: FluxLit) -> PageMeta:
    """What `st.set_page_config` is told of a page: what it says itself, else what the app says of all."""
    meta, default = record.page_meta or PageMeta(), app.page_meta
    return PageMeta(
        page_title=meta.page_title or default.page_title or f"{record.title} · {app.shown_title}",
        page_icon=meta.page_icon or record.icon or default.page_icon,
        layout=meta.layout or default.layout,
        initial_sidebar_state=meta.initial_sidebar_state or default.initial_sidebar_state,
        menu_items=default.menu_items if meta.menu_items is None else meta.menu_items,
    )


def _icon(record: PageRecord) -> str | None:
    """The page's icon in the navigation."""
    return record.icon or (record.page_meta.page_icon if record.page_meta is not None else None)


class _Visit:
    """One run of the script: the app, the viewer's request, and what its pages can ask for."""

    def __init__(self, app: FluxLit, given: Given, known_context: PageContext | None = None) -> None:
        self._app = app
        self._given = given
        self.records = app.shown_records
        self.context = known_context or _read_context(given)
        made: dict[str, Callable[[], Any]] = {
            "st": lambda: st,
            "client": lambda: given.client or _session_client(),
            "async_client": lambda: (given.client or _session_client()).as_async(),
            "user": lambda: self.context.user,
            "app": lambda: app,
            "config": conf.get_config,
            "urls": lambda: app.urls,
            "context": lambda: self.context,
        }
        if app.session_store is not None:
            made["session_store"] = lambda: app.session_store
        self._providers = offers.providers(made, FluxLit, is_anonymous=lambda: self.context.is_anonymous)

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[None]:
        """The viewer's language and time zone, and the headers that are trusted."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._given.around())
            stack.enter_context(translation.override(_language(self.context)))
            stack.enter_context(_time_zone(self.context.time_zone))
            if di.page_header_context() is None:
                token = di.set_page_header_context(self.context.trusted_headers)
                stack.callback(di.reset_page_header_context, token)
            request_id = client.set_request_id(self.context.headers.get("x-request-id"))
            stack.callback(client.reset_request_id, request_id)
            claim = self.context.claim
            if claim is not None:
                stack.callback(sessions.reset_current_key, sessions.set_current_key(claim.session_key))
            yield

    def streamlit_pages(self) -> dict[str, st.Page]:
        """Streamlit's pages by path; those that the viewer may not open are hidden, and say so."""
        return {record.path: self._streamlit_page(record) for record in self.records}

    def again(self) -> _Visit:
        """The same as of now, for what is called after the run: the viewer may have lost a right since."""
        is_in_script = get_script_run_ctx(suppress_warning=True) is not None
        # A thread of a download has no request of its own; a copy reads the viewer from the database again.
        context = None if is_in_script else replace(self.context, known_user=None)
        return _Visit(self._app, self._given, context)

    def decide(self, record: PageRecord) -> Verdict:
        """Whether the viewer may open a page. May read the database."""
        return access.decide(record.rules, self.context.user) if record.rules else Verdict.ALLOW

    def _streamlit_page(self, record: PageRecord) -> st.Page:
        is_default = record.path == "/"
        verdict = self.decide(record)
        is_open = verdict is Verdict.ALLOW
        return st.Page(
            functools.partial(self._show_page, record)
            if is_open
            else functools.partial(self._refuse, record, verdict),
            title=record.title,
            icon=_icon(record),
            url_path="" if is_default else record.slug,
            default=is_default,
            visibility="visible" if is_open else "hidden",
        )

    def _show_page(self, record: PageRecord) -> None:
        _apply_config(page_config(record, self._app))
        _show_breadcrumb(record.page_meta)
        self.context = self.context.at(record.path)
        request = di.Request(
            headers=self.context.headers, cookies=self.context.raw_cookies, query=self.context.query
        )
        try:
            with di.Run(
                self._providers,
                request=request,
                overrides=self._given.overrides,
                has_failed=_has_failed,
            ) as running:
                running.enter(later.owned_by(_Owner(self, record)))
                if record.transaction:
                    running.enter(transaction.atomic(using=record.transaction))
                result = running.call(record.fn, record.owner)
        except page_errors.MEANT_FOR_VIEWERS as exc:
            _show_message(exc)
        else:
            _show_breadcrumb(_returned_meta(result, record))

    def _refuse(self, record: PageRecord, verdict: Verdict) -> None:
        _apply_config(page_config(record, self._app))
        if verdict is Verdict.FORBID:
            st.error(f"You may not open “{record.title}”.", icon=":material/block:")
            return
        st.info(f"Sign in to open “{record.title}”.", icon=":material/login:")
        path = self._app.urls.page_path(record.path, query=self.context.query)
        if url := login_url(f"{conf.get_config().root_path}{path}"):
            st.link_button("Sign in", url, icon=":material/login:")


class _Owner:
    """A page, for what Streamlit calls of it later; the first run's rules, language and transaction hold."""

    def __init__(self, visit: _Visit, record: PageRecord) -> None:
        self._visit = visit
        self._record = record

    def call_callback(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call it, unless the viewer may not open the page; the run that follows then says so."""
        with self._surroundings() as verdict:
            if verdict is not Verdict.ALLOW:
                logger.warning("A callback of the page %s was refused: %s.", self._record.path, verdict.value)
                return None
            try:
                return self._call(functools.partial(function, *args, **kwargs))
            except page_errors.MEANT_FOR_VIEWERS as exc:
                _show_message(exc)
                return None

    def call_fragment(self, function: Callable[[], Any]) -> Any:
        """Run it, or the whole app if the viewer may not open the page, which then says so."""
        with self._surroundings() as verdict:
            if verdict is not Verdict.ALLOW:
                logger.warning("A fragment of the page %s was refused: %s.", self._record.path, verdict.value)
                st.rerun()
            return self._call(function)

    def call_download(self, function: Callable[[], Any]) -> Any:
        """Make the file. Streamlit logs what is raised, and shows that it failed (1.67).

        Raises:
            PermissionDenied: the viewer may not open the page.
        """
        with self._surroundings() as verdict:
            if verdict is not Verdict.ALLOW:
                msg = f"You may not open “{self._record.title}”."
                raise PermissionDenied(msg)
            return self._call(function)

    @contextlib.contextmanager
    def _surroundings(self) -> Iterator[Verdict]:
        visit = self._visit.again()
        with visit.surroundings(), later.owned_by(self):
            yield visit.decide(self._record)

    def _call(self, function: Callable[[], Any]) -> Any:
        with di.Run((), has_failed=_has_failed) as running:
            if self._record.transaction:
                running.enter(transaction.atomic(using=self._record.transaction))
            return function()


def _read_context(given: Given) -> PageContext:
    query = st.query_params
    identity = st.user if given.identity is None else given.identity
    return PageContext(
        raw_headers=st.context.headers.to_dict() if given.headers is None else given.headers,
        raw_cookies=st.context.cookies.to_dict() if given.cookies is None else given.cookies,
        query={name: query.get_all(name) for name in query},
        user_id=str(identity.get("id") or ""),
        time_zone=st.context.timezone,
    )


def _language(context: PageContext) -> str:
    has_locale = any(name.endswith("LocaleMiddleware") for name in settings.MIDDLEWARE)
    if settings.USE_I18N and has_locale:
        return translation.get_language_from_request(context)  # type: ignore[arg-type]
    return settings.LANGUAGE_CODE


def _time_zone(name: str | None) -> contextlib.AbstractContextManager[Any]:
    if not name or not settings.USE_TZ:
        return contextlib.nullcontext()
    try:
        return timezone.override(zoneinfo.ZoneInfo(name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # what a browser calls it is its own affair
        return contextlib.nullcontext()


def _has_failed(error: BaseException) -> bool:
    """Whether a page ended by an error, or because the viewer's next click interrupted it.

    `st.stop`, `st.rerun` and `st.switch_page` end it on purpose. They raise the same exceptions as an
    interruption does (Streamlit 1.67, `ScriptRunner._maybe_handle_execution_control_request`); only the way
    there tells them apart.
    """
    if isinstance(error, Exception):
        return True
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == "streamlit.commands.execution_control":
            return False
        trace = trace.tb_next
    return True


def _follow_deep_link(records: Sequence[PageRecord], pages: Mapping[str, st.Page]) -> None:
    """Go to the page that `?page=` names, and keep every other parameter."""
    key = navigation.PAGE_PARAMETER
    if key not in st.query_params:
        return
    found = navigation.match_nav_page({key: st.query_params.get_all(key)}, records)
    if found is not None:
        others = {name: st.query_params.get_all(name) for name in st.query_params if name != key}
        st.switch_page(pages[found[0]], query_params=others)


def _apply_config(meta: PageMeta) -> None:
    st.set_page_config(
        page_title=meta.page_title,
        page_icon=meta.page_icon,
        layout=meta.layout,
        initial_sidebar_state=meta.initial_sidebar_state,
        menu_items=cast(Any, meta.menu_items),  # Streamlit itself refuses keys that it does not know
    )


def _returned_meta(result: Any, record: PageRecord) -> PageMeta | None:
    """What a page returned, when it says how the page is shown."""
    if isinstance(result, PageMeta):
        return result
    if not isinstance(result, Mapping):
        return None
    known = {name: value for name, value in result.items() if name in PageMeta.__dataclass_fields__}
    try:
        return PageMeta(**known)
    except (TypeError, ValueError) as exc:
        st.error(f"The page {record.path} returned {dict(result)!r}: {exc}")
        return None


def _show_breadcrumb(meta: PageMeta | None) -> None:
    if meta is not None and meta.breadcrumb:
        st.sidebar.caption(meta.breadcrumb)


def _show_message(error: BaseException) -> None:
    message = page_errors.message_of(error)
    if message is not None:
        st.error(message.text, icon=message.icon)


def _show_messages(context: PageContext) -> None:
    """Show what `django.contrib.messages` kept for this viewer, when a page is loaded."""
    if _MESSAGES_TAKEN in st.session_state:
        return
    st.session_state[_MESSAGES_TAKEN] = True
    claim = context.claim
    if claim is None:
        return
    for level, text in sessions.take_messages(claim.session_key):
        st.toast(page_errors.plain(text), icon=_TOAST_ICONS.get(level))


def _landing_page(first: st.Page) -> st.Page:
    """The page at `/` of an app that has none: it goes on to the first.

    Streamlit serves its default page at `/` alone (1.67), so the first page would lose its own address
    if it were the default.
    """
    return st.Page(
        functools.partial(st.switch_page, first),
        title="Start",
        url_path="",
        default=True,
        visibility="hidden",
    )


@st.cache_resource(scope="session", on_release=ApiClient.close, show_spinner=False)
def _session_client() -> ApiClient:
    credentials = ViewerCredentials(_handshake_token)
    return ApiClient(
        auth_header_factory=lambda: {**_trace_headers(), **credentials.headers()},
        propagate_request_id=True,
    )


def _handshake_token() -> str | None:
    if get_script_run_ctx(suppress_warning=True) is None:
        raise LookupError
    return st.context.headers.get(viewer_token.HANDSHAKE_HEADER)


def _trace_headers() -> dict[str, str]:
    """The W3C trace context of the handshake, where a setting lets it reach the sidecar."""
    given = st.context.headers
    return {name: given[name] for name in _TRACE_HEADERS if name in given}


def _show_first_steps(title: str) -> None:
    st.set_page_config(page_title=title)
    st.title(title)
    st.info("No page is registered yet.", icon=":material/waving_hand:")
    st.markdown(f"Write `{conf.PAGES_MODULE}.py` in one of your Django apps, beside its `models.py`:")
    st.code(_EXAMPLE, language="python")
    st.caption("With `manage.py fluxlit_run --reload` it appears as soon as you save it.")

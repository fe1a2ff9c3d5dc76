"""Runs an app made of pages: everything that `st.navigation` needs, once per rerun."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import streamlit as st

from fluxlit_django import conf
from fluxlit_django.client import ApiClient
from fluxlit_django.conf import Config
from fluxlit_django.pages import di, discovery
from fluxlit_django.pages.registry import FluxLit, PageMeta, PageRecord

_EXAMPLE = """\
from fluxlit_django import site

@site.page("/", title="Orders")
def orders(st):
    st.write("It works.")
"""


def run(app_name: str = conf.DEFAULT_APP) -> None:
    """Show the page that the viewer asked for. Call from the script that Streamlit runs."""
    config = conf.get_config()
    app = discovery.load_app(config.get_app(app_name).target)
    title = app.title or config.title
    if not app.page_records:
        _show_first_steps(title)
        return
    providers = (
        di.Provider(lambda: st, name="st"),
        di.Provider(_session_client, name="client", type=ApiClient),
        di.Provider(lambda: app, type=FluxLit),
        di.Provider(lambda: config, type=Config),
    )
    pages = {record.path: _streamlit_page(record, title, providers) for record in app.page_records}
    navigation = list(pages.values())
    if "/" not in pages:
        navigation.insert(0, _landing_page(navigation[0]))
    st.navigation(navigation).run()


def page_config(record: PageRecord, app_title: str) -> PageMeta:
    """What `st.set_page_config` is told of a page."""
    meta = record.page_meta or PageMeta()
    return PageMeta(
        page_title=meta.page_title or f"{record.title} · {app_title}",
        page_icon=record.icon or meta.page_icon,
        layout=meta.layout,
        initial_sidebar_state=meta.initial_sidebar_state,
    )


def _streamlit_page(record: PageRecord, app_title: str, providers: Sequence[di.Provider]) -> st.Page:
    is_default = record.path == "/"
    icon = page_config(record, app_title).page_icon
    return st.Page(
        functools.partial(_show_page, record, app_title, providers),
        title=record.title,
        icon=icon,
        url_path="" if is_default else record.slug,
        default=is_default,
    )


def _show_page(record: PageRecord, app_title: str, providers: Sequence[di.Provider]) -> None:
    meta = page_config(record, app_title)
    st.set_page_config(
        page_title=meta.page_title,
        page_icon=meta.page_icon,
        layout=meta.layout,
        initial_sidebar_state=meta.initial_sidebar_state,
    )
    di.call_page(record, providers)


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
    return ApiClient(request_id_factory=_request_id)


def _request_id() -> str | None:
    return st.context.headers.get("X-Request-ID")


def _show_first_steps(title: str) -> None:
    st.set_page_config(page_title=title)
    st.title(title)
    st.info("No page is registered yet.", icon=":material/waving_hand:")
    st.markdown(f"Write `{conf.PAGES_MODULE}.py` in one of your Django apps, beside its `models.py`:")
    st.code(_EXAMPLE, language="python")
    st.caption("With `manage.py fluxlit_run --reload` it appears as soon as you save it.")

"""However a page ends, its thread keeps nothing of the run: no context value, generator or transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.test import override_settings
from django.utils import timezone, translation
from streamlit.runtime.scriptrunner import RerunData, RerunException, StopException
from streamlit.testing.v1 import AppTest

from fluxlit_django import Depends, FluxLit, client, testing
from fluxlit_django.pages import di, later
from fluxlit_django.testing import FluxLitTestClient
from fluxlit_django.trust import sessions

pytestmark = pytest.mark.django_db

SCRIPT = "from tests.pages import test_endings\ntest_endings.show_and_look()\n"
LEFT: list[tuple[Any, ...]] = []
OPEN: list[str] = []
INSIDE: list[tuple[Any, ...]] = []


def look() -> tuple[Any, ...]:
    """What this thread knows of a viewer."""
    return (
        translation.get_language(),
        timezone.get_current_timezone_name(),
        di.page_header_context(),
        sessions.current_session() is not None,
        client._request_id.get(),
        later._owner.get(),
        connection.in_atomic_block and len(connection.savepoint_ids),
        list(OPEN),
    )


def show_and_look() -> None:
    """The script: run the app, and note what is there before and after."""
    LEFT.append(look())
    try:
        testing.show_trial()
    finally:
        LEFT.append(look())


def opened() -> Iterator[str]:
    OPEN.append("sync")
    try:
        yield "sync"
    finally:
        OPEN.remove("sync")


async def opened_async() -> Any:
    OPEN.append("async")
    try:
        yield "async"
    finally:
        OPEN.remove("async")


def end(st: Any, how: str) -> None:
    """End as `how` says."""
    if how == "raise":
        raise LookupError
    if how == "stop":
        st.stop()
    if how == "rerun" and not st.session_state.get("again"):
        st.session_state.again = True
        st.rerun()
    if how == "switch":
        st.switch_page(st.Page(other, url_path="other"))
    if how == "interrupt":
        raise StopException
    if how == "interrupt for a rerun" and not st.session_state.get("again"):
        st.session_state.again = True
        raise RerunException(RerunData())


def other() -> None:
    """Where a switch leads."""


@pytest.fixture
def at() -> Iterator[AppTest]:
    """The app under AppTest, for somebody who is signed in and reads German."""
    app = FluxLit(title="Endings")

    @app.page("/", transaction=True)
    def home(
        st: Any, one: Annotated[str, Depends(opened)], two: Annotated[str, Depends(opened_async)]
    ) -> None:
        INSIDE.append(look())
        Group.objects.create(name="written")
        st.button("Act", on_click=end, args=(st, st.session_state.get("callback", "")))
        end(st, st.session_state.get("how", ""))

    app.page("/other")(lambda st: None)
    viewer = FluxLitTestClient(app)
    viewer.force_login(get_user_model().objects.create_user("ann"))
    headers = {"Accept-Language": "de", "X-Request-ID": "an-id"}
    at = AppTest.from_string(SCRIPT, default_timeout=20)
    at.session_state["_fluxlit_trial"] = viewer._trial(None, None, headers, None)
    for kept in (LEFT, OPEN, INSIDE):
        kept.clear()
    with override_settings(MIDDLEWARE=["django.middleware.locale.LocaleMiddleware"]):
        yield at


ENDINGS = ["return", "raise", "stop", "rerun", "switch", "interrupt", "interrupt for a rerun"]


@pytest.mark.parametrize("how", ENDINGS)
def test_page__leaves_nothing(at: AppTest, how: str) -> None:
    """The thread is after the run as it was before, and the run did have all that it leaves."""
    at.session_state["how"] = how
    at.run()

    assert {INSIDE[0][0], INSIDE[0][4]} == {"de", "an-id"}
    assert ["sync", "async"] == INSIDE[0][7]
    assert 1 == len({str(left) for left in LEFT}), LEFT
    assert [] == LEFT[-1][7]


@pytest.mark.parametrize("how", ENDINGS)
def test_callback__leaves_nothing(at: AppTest, how: str) -> None:
    """So it is after a callback, which Streamlit calls in the same thread before the page."""
    at.session_state["callback"] = how
    at.run()
    before = LEFT[0]
    LEFT.clear()
    at.button[0].click().run()

    assert all(str(before) == str(left) for left in LEFT), LEFT

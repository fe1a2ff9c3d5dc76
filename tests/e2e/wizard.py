"""An app of two pages that keep a value under the same id in the URL."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format

from fluxlit_django import FluxLit, SessionStore, ensure_url_session, hydrate_url_session, persist_url_session
from fluxlit_django.url_session import ConfiguredSessionStore

app = FluxLit(title="Wizard", session_store=ConfiguredSessionStore())


@app.page("/", title="First")
def first(st: Any, store: SessionStore) -> None:
    """Asks for the step."""
    ensure_url_session(st, store)
    hydrate_url_session(st, store)
    st.text_input("Step", key="step")
    persist_url_session(st, store, keys=["step"])
    st.text(f"step {st.session_state.step} of {os.getpid()}")


@app.page("/second", title="Second")
def second(st: Any, store: SessionStore) -> None:
    """Shows it, and leads back."""
    hydrate_url_session(st, store)
    st.text(f"step {st.session_state.get('step')} of {os.getpid()}")
    if st.button("Back"):
        st.switch_page(st.Page(first, title="First", url_path="", default=True))


@app.page("/viewer", title="Viewer")
def viewer(st: Any, user: Any) -> None:
    """Who looks at it, in which language and time zone; also in a fragment and in a callback."""
    st.text(f"{user} {here()}")

    @st.fragment
    def part() -> None:
        st.button("Again", on_click=lambda: st.session_state.update(called=here()))
        st.text(f"part {here()}, called {st.session_state.get('called')}")

    part()


def here() -> str:
    """The language and the time zone of this moment."""
    noon = dt.datetime(2026, 1, 1, 12, tzinfo=dt.timezone.utc)
    return f"{date_format(timezone.localtime(noon), 'F H:i')} {timezone.get_current_timezone_name()}"

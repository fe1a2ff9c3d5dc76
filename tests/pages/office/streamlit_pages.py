"""Pages that tests visit in a real sidecar."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Annotated, Any

from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.utils import translation

from fluxlit_django import Depends, Header, PageContext, site

open_now: list[str] = []


def tracked() -> Iterator[str]:
    """A dependency that shows whether it is still open."""
    open_now.append("one")
    try:
        yield "one"
    finally:
        open_now.pop()


@site.page("/")
def home(
    st: Any,
    user: Any,
    context: PageContext,
    remote: Annotated[str | None, Header("x-remote-user")],
    trace: Annotated[str, Header("traceparent")] = "none",
) -> None:
    """Who the viewer is."""
    st.text(f"{user} {remote} {trace} {'secret' in {**st.user, **context.headers}.values()}")


@site.page("/staff", staff_only=True)
def staff(st: Any) -> None:
    """For staff."""
    st.text("secret of the staff")


@site.page("/desk", staff_only=True, transaction=True)
def desk(st: Any) -> None:
    """For staff: what Streamlit calls later, without the page."""
    st.text("the desk")
    st.button("Write", on_click=_write, args=("by a callback",))
    st.download_button("Get", data=_make_file, on_click="ignore")
    _part(st)


def _write(name: str) -> None:
    Group.objects.create(name=name)


def _make_file() -> str:
    return f"{Group.objects.count()} groups"


def _part(st: Any) -> None:
    @st.fragment
    def part() -> None:
        st.text(f"part in {translation.get_language()}")
        if st.button("Write and refuse"):
            _write("refused")
            raise PermissionDenied("Ask the desk.")
        if st.button("Fail"):
            raise LookupError("a secret of the fragment")
        if st.button("Write and rerun"):
            _write("by a fragment")
            st.rerun()

    part()


@site.page("/slow", transaction=True)
def slow(st: Any, it: Annotated[str, Depends(tracked)]) -> None:
    """Writes, then goes on until it is interrupted."""
    Group.objects.create(name="half done")
    st.text("wrote")
    for _ in range(600):
        threading.Event().wait(0.05)
        st.empty()


@site.page("/state")
def state(st: Any) -> None:
    """What is left of other runs."""
    st.text(f"{Group.objects.count()} groups, {len(open_now)} open")

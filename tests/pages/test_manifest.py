"""Pages as plain data."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated, Any

import pytest
from django.test import override_settings

from fluxlit_django import Depends, FluxLit, Header, PageMeta, Query


class Cart:
    """What a dependency makes."""


def get_session() -> int:
    """A dependency of a dependency."""
    return 1


def get_cart(session: Annotated[int, Depends(get_session)], st: Any) -> Cart:
    """A dependency."""
    return Cart()


def orders(
    st: Any,
    cart: Annotated[Cart, Depends(get_cart)],
    user: Annotated[str | None, Header("x-u")],
    limit: int = 3,
) -> None:
    """All open orders.

    And more.
    """


def make_app() -> FluxLit:
    app = FluxLit(title="Shop")
    app.page("/orders", tags=["a", "b"], icon=":material/list:", permission="shop.view_order")(orders)
    app.page("/", page_meta=PageMeta(description="Start here.", children=[{"path": "/orders"}]))(
        lambda st: None
    )
    return app


def test_manifest__all_there_is_to_say() -> None:
    """Paths, titles, parameters, dependencies and rules."""
    manifest = make_app().build_page_manifest()

    assert (1, "stable", "Shop") == (
        manifest["manifest_version"],
        manifest["manifest_stability"],
        manifest["title"],
    )
    assert {
        "path": "/orders",
        "title": "Orders",
        "tags": ["a", "b"],
        "description": "All open orders.",
        "icon": ":material/list:",
        "parameters": [
            {"name": "st", "annotation": "Any"},
            {"name": "cart", "annotation": "Cart"},
            {"name": "user", "annotation": "str | None"},
            {"name": "limit", "annotation": "int"},
        ],
        "dependencies": [f"{__name__}.get_cart", f"{__name__}.get_session"],
        "access": ["perm:shop.view_order"],
    } == manifest["pages"][1]
    assert "Start here." == manifest["pages"][0]["description"]
    assert [{"path": "/orders"}] == manifest["pages"][0]["children"]


def test_manifest__the_same_in_every_process() -> None:
    """No memory address, no hash order."""
    code = (
        "import django; django.setup(); import json; from tests.pages.test_manifest import make_app; "
        "print(json.dumps(make_app().build_page_manifest()))"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }

    assert {json.dumps(make_app().build_page_manifest()) + "\n"} == outputs


def test_manifest__unknown_version() -> None:
    """A version that there is not is named."""
    with pytest.raises(ValueError, match=r"version 2\. Use 1"):
        FluxLit().build_page_manifest(version=2)


def test_problems__signatures_when_strict() -> None:
    """A parameter that nothing fills is a problem to whom asks for strictness."""
    app = FluxLit()
    app.page("/x")(lambda st, orders: None)

    assert [] == app.problems()
    assert "a parameter 'orders' that nothing provides" in app.problems(strict=True)[0]


@override_settings(FLUXLIT={"STRICT_PAGE_SIGNATURES": True})
def test_strict__at_registration() -> None:
    """With FLUXLIT_STRICT_PAGE_SIGNATURES it is one where the page is registered, and the page stays out."""
    app = FluxLit()

    with pytest.raises(TypeError, match="'orders' that nothing provides"):
        app.page("/x")(lambda st, orders: None)

    assert [] == app.page_records
    app.page("/y")(lambda st, limit=Query(), *, user=None: None)  # noqa: B008 - the marker is the point
    assert 1 == len(app.pages)


def test_title__of_the_settings() -> None:
    """An app without a title of its own has the one in the settings."""
    with override_settings(FLUXLIT={"TITLE": "Corner shop"}):
        assert "Corner shop" == FluxLit().build_page_manifest()["title"]

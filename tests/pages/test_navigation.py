"""The order of pages, and the page that a query asks for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxlit_django import FluxLit, NavigationModel, PageMeta, match_nav_page


def make_app(*paths: str, **metas: PageMeta) -> FluxLit:
    app = FluxLit()
    for path in paths:
        meta = metas.get(path.strip("/") or "home")
        app.page(path, title=path.strip("/").title() or "Home", page_meta=meta)(lambda st: None)
    return app


def paths(app: FluxLit) -> list[str]:
    return [record.path for record in app.shown_records]


def test_order__as_registered() -> None:
    """Without a word on it, pages come as they were registered."""
    assert ["/b", "/a", "/"] == paths(make_app("/b", "/a", "/"))


def test_order__by_the_model() -> None:
    """Those that are named come first; the others follow by their slugs, unknown names are nothing."""
    app = make_app("/d", "/c", "/", "/b", "/a")

    assert app is app.navigation(NavigationModel(order=("/b", "nowhere", "a/")))
    assert ["/b", "/a", "/c", "/d", "/"] == paths(app)


def test_order__by_page_meta() -> None:
    """`PageMeta.order` comes before the order of registration."""
    assert ["/a", "/c", "/b"] == paths(make_app("/b", "/c", "/a", a=PageMeta(order=1), c=PageMeta(order=2)))


def test_children__behind_their_parent() -> None:
    """Children move, and take the title and icon given there."""
    children = [{"path": "/a", "title": "First"}, {"url_path": "b", "icon": ":material/star:"}]
    app = make_app("/a", "/x", "/parent", "/b", parent=PageMeta(children=children))

    assert ["/x", "/parent", "/a", "/b"] == paths(app)
    shown = {record.path: record for record in app.shown_records}
    assert ("First", ":material/star:") == (shown["/a"].title, shown["/b"].icon)


def test_children__unknown_and_circular() -> None:
    """Both are a warning, and nobody is lost."""
    metas = {"a": PageMeta(children=[{"path": "/b"}]), "b": PageMeta(children=[{"path": "/a"}])}
    with pytest.warns(UserWarning, match="its own child"):
        assert ["/a", "/b"] == sorted(paths(make_app("/a", "/b", **metas)))
    with pytest.warns(UserWarning, match="'nope', which is no page"):
        paths(make_app("/a", a=PageMeta(children=[{"path": "/nope"}])))


@pytest.mark.parametrize("order", ["/", [1], (None,)])
def test_model__that_is_none(order: Any) -> None:
    """An order that is no tuple of paths is named."""
    with pytest.raises(TypeError, match="Use a tuple of paths"):
        NavigationModel(order=order)


def test_navigation__without_a_model() -> None:
    """So is something else in its place."""
    with pytest.raises(TypeError, match="NavigationModel"):
        FluxLit().navigation(["/"])  # type: ignore[arg-type]


ROWS = [("/", "Home"), ("/orders", "All orders"), ("/b", "orders")]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("orders", ("/orders", "All orders")),
        (" /orders/ ", ("/orders", "All orders")),
        ("All orders", ("/orders", "All orders")),
        ("home", ("/", "Home")),
        ("/", ("/", "Home")),
        (["/b", "/orders"], ("/b", "orders")),
        ("ORDERS", None),
        ("", None),
        ("//", None),
        (None, None),
        ([], None),
        (5, None),
    ],
)
def test_match_nav_page(wanted: Any, expected: tuple[str, str] | None) -> None:
    """By title, path or slug; the first row that fits."""
    assert expected == match_nav_page({"page": wanted}, ROWS)


def test_match_nav_page__records_and_another_key() -> None:
    """Page records will do as well, and another parameter."""
    app = make_app("/orders")

    assert ("/orders", "Orders") == match_nav_page({"p": "orders"}, app.page_records, page_key="p")


@given(st.one_of(st.text(), st.lists(st.text()), st.none(), st.integers()))
def test_match_nav_page__anything(wanted: Any) -> None:
    """No value raises, and only a page is found."""
    assert match_nav_page({"page": wanted}, ROWS) in {None, *ROWS}

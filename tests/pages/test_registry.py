from __future__ import annotations

import pytest

from fluxlit_django import FluxLit, PageMeta


def page() -> None:
    """A page.

    More about it.
    """


def other_page() -> None:
    """Another page."""


def test_page__returns_the_function() -> None:
    """The decorator leaves the function as it is."""
    assert page is FluxLit().page("/")(page)


def test_page__record() -> None:
    """What is not given comes from the function."""
    app = FluxLit()

    app.page("/other-page/")(other_page)
    app.page("/", title="Start", icon="🏠", tags=["a"], page_meta=PageMeta(layout="wide"))(page)

    first, second = app.page_records
    assert ("/other-page", "Other Page", "Another page.", "other-page") == (
        first.path,
        first.title,
        first.description,
        first.slug,
    )
    assert ("/", "Start", "A page.", "home", ("a",)) == (
        second.path,
        second.title,
        second.description,
        second.slug,
        second.tags,
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/a/b", r"'/a/b' is nested. Use one segment, for example '/a-b'"),
        ("a//b", "is nested"),
        ("/a b", "letters, digits"),
        ("/a?b", "letters, digits"),
        ("/a%20b", "letters, digits"),
        ("/_stcore", "other than"),
        ("/static", "other than"),
        ("/..", "other than"),
        (None, "path is None. Use a string"),
    ],
)
def test_page__path_that_cannot_be_served(path: str, message: str) -> None:
    """The mistake is named where it is made, not when a viewer comes."""
    with pytest.raises(ValueError, match=message):
        FluxLit().page(path)


@pytest.mark.parametrize("path", ["/größe", "/a.b", "a", "/A_1~x/"])
def test_page__path_that_can(path: str) -> None:
    """Letters of any alphabet, and the slash before is optional."""
    app = FluxLit()

    app.page(path)(page)

    assert f"/{path.strip('/')}" == app.page_records[0].path


@pytest.mark.parametrize(
    ("path", "other", "message"),
    [
        ("/a", "/a", "has that path already"),
        ("/a", "/a/", "has that path already"),
        ("/", "/home", "has the slug 'home' already"),
    ],
)
def test_page__taken(path: str, other: str, message: str) -> None:
    """Two functions cannot share an address; both are named."""
    app = FluxLit()
    app.page(path)(page)

    with pytest.raises(ValueError, match=message) as raised:
        app.page(other)(other_page)

    assert "test_registry.page" in str(raised.value)
    assert "test_registry.other_page" in str(raised.value)


def test_page__same_function_again() -> None:
    """A module that is imported a second time, after an error in its middle, registers the same pages."""
    app = FluxLit()
    app.page("/a", title="First")(page)

    app.page("/a", title="Second")(page)

    assert ["Second"] == [record.title for record in app.page_records]


def test_page__callable_object() -> None:
    """Anything that can be called can be a page."""

    class Report:
        def __call__(self) -> None:
            """Show it."""

    app = FluxLit()

    app.page("/report")(Report())

    assert ["Page"] == [record.title for record in app.page_records]


@pytest.mark.parametrize("options", [{"layout": "broad"}, {"initial_sidebar_state": "open"}])
def test_page_meta__unknown_word(options: dict[str, str]) -> None:
    """A word that Streamlit does not know is refused with those it does."""
    with pytest.raises(ValueError, match=r"is '\w+'. Use .* or "):
        PageMeta(**options)  # type: ignore[arg-type]

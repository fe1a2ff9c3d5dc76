import pytest

from fluxlit_django import FluxLit, PageMeta, SessionStore
from fluxlit_django.url_session import InMemorySessionStore


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


def test_page__meta_that_is_none() -> None:
    """What is no PageMeta is refused with what it is."""
    with pytest.raises(TypeError, match=r"page_meta is \{'layout': 'wide'\}. Use PageMeta\(layout='wide'\)"):
        FluxLit().page("/", page_meta={"layout": "wide"})  # type: ignore[arg-type]


def test_app__meta_that_is_none() -> None:
    """Nor is it taken for all pages."""
    with pytest.raises(TypeError, match=r"Use PageMeta\(layout='wide'\)"):
        FluxLit().page_meta = {"layout": "wide"}  # type: ignore[assignment]


def test_page_meta__menu_that_is_none() -> None:
    """Menu items that are no mapping are refused with what they can be."""
    with pytest.raises(ValueError, match=r"menu_items is 'help'. Use a dict such as \{'Get help'"):
        PageMeta(menu_items="help")  # type: ignore[arg-type]


def test_discover_pages__in_the_order_of_paths() -> None:
    """Modules that have `register` are called; private ones are not imported; all pages are then sorted."""
    app = FluxLit()
    app.page("/b")(lambda st: None)

    assert app is app.discover_pages("pages", package="tests.pages.shelf")
    assert ["/b", "/orders", "/zebra"] == [record.path for record in app.page_records]


def test_discover_pages__twice() -> None:
    """The same pages again are no conflict."""
    app = FluxLit().discover_pages("pages", package="tests.pages.shelf")

    app.discover_pages("pages", package="tests.pages.shelf")

    assert 2 == len(app.pages)


def test_discover_pages__one_fails() -> None:
    """When a module fails, no page of the call stays."""
    app = FluxLit()

    with pytest.raises(LookupError, match="no such thing"):
        app.discover_pages("broken", package="tests.pages.shelf")

    assert [] == app.pages


def test_discover_pages__wrong_place() -> None:
    """A module is no package, and a package that is not there cannot be imported."""
    with pytest.raises(TypeError, match="which is a module"):
        FluxLit().discover_pages("pages", package="tests.pages.test_registry")
    with pytest.raises(ImportError):
        FluxLit().discover_pages("nowhere", package="tests.pages.shelf")


@pytest.mark.parametrize("kind", ["async", "generator", "no function"])
def test_page__that_cannot_be_one(kind: str) -> None:
    """What Streamlit could not run is refused with what to write instead."""

    async def coroutine(st):
        """Never awaited."""

    def generator(st):
        yield

    fn = {"async": coroutine, "generator": generator, "no function": "text"}[kind]

    with pytest.raises(TypeError, match=r"is async|has a yield|Decorate a function"):
        FluxLit().page("/x")(fn)


def test_page__asks_for_a_store_that_is_not_there() -> None:
    """A SessionStore is refused where the app has none, and comes when it has one."""

    def page(st, store: SessionStore): ...

    with pytest.raises(ValueError, match=r"FluxLit\(session_store="):
        FluxLit().page("/x")(page)
    FluxLit(session_store=InMemorySessionStore()).page("/x")(page)


def test_get_client__of_the_projects_api() -> None:
    """A client of its own."""
    assert "http://127.0.0.1:8000/api" == FluxLit().get_client().base_url

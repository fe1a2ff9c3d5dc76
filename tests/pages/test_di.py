# No `from __future__ import annotations` here: functions defined in a test name what only it knows.

import datetime as dt
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from hypothesis import given, strategies

from fluxlit_django import FluxLit
from fluxlit_django.exceptions import PageInputError
from fluxlit_django.pages import di
from fluxlit_django.pages.di import Cookie, Depends, Header, Provider, Query, Request, Run

if TYPE_CHECKING:
    from decimal import Decimal


class Client:
    """Stands for the API client."""


class OtherFluxLit(FluxLit):
    """A project's own kind of app."""


APP = OtherFluxLit()
CLIENT = Client()
NO_CALLABLE = Depends()


def forbidden() -> Any:
    raise AssertionError("made although nobody asked for it")


def call(
    fn: Callable[..., Any],
    *more: Provider,
    request: Request | None = None,
    overrides: dict[str, Any] | None = None,
) -> Any:
    providers = [
        Provider(lambda: "streamlit", name="st"),
        Provider(lambda: CLIENT, name="client", type=Client),
        Provider(lambda: APP, type=FluxLit),
        *more,
    ]
    with Run(providers, request=request, overrides=overrides) as running:
        return running.call(fn, f"The page '/orders' ({di.definition_of(fn)})")


def test_call__no_parameters() -> None:
    """A page may want nothing, and then nothing is made."""
    assert 1 == call(lambda: 1, Provider(forbidden, name="unused"))


def test_call__by_name() -> None:
    """Names are enough."""
    assert ("streamlit", CLIENT) == call(lambda st, client: (st, client))


def test_call__by_annotation() -> None:
    """Any name will do for an annotated parameter; subclasses and `Annotated` count."""

    def page(a: Client, b: OtherFluxLit, *, c: Annotated[FluxLit, "note"]) -> Any:
        return a, b, c

    assert (CLIENT, APP, APP) == call(page)


def test_call__positional_only() -> None:
    """Arguments before a slash are passed by position, defaults among them."""

    def page(st: Any, limit: int = 3, client: Any = None, /, *, other: int = 4) -> Any:
        return st, limit, client, other

    assert ("streamlit", 3, CLIENT, 4) == call(page)


def test_call__variadic() -> None:
    """`*args` and `**kwargs` get nothing."""
    assert ("streamlit", (), {}) == call(lambda st, *args, **kwargs: (st, args, kwargs))


def test_call__name_wins_over_type() -> None:
    """A parameter called `st` is Streamlit, whatever it is annotated with."""

    def page(st: Client) -> Any:
        return st

    assert "streamlit" == call(page)


def test_call__annotation_for_type_checkers() -> None:
    """An annotation that exists for type checkers alone does not matter to a name, nor to a default."""

    def page(st: Any, price: "Decimal | None" = None) -> Any:
        return st, price

    assert ("streamlit", None) == call(page)


def test_call__nothing_provides_it() -> None:
    """The error names the page, the function, the parameter and the choices."""

    def page(st: Any, orders: int) -> None:
        """Never called."""

    with pytest.raises(TypeError) as raised:
        call(page)

    message = str(raised.value)
    assert "'/orders'" in message
    assert "test_di.test_call__nothing_provides_it" in message
    assert "'orders'" in message
    assert "st, client (or a parameter annotated Client), a parameter annotated FluxLit" in message


# Depends


def get_limit() -> int:
    return 5


def test_depends__annotated_and_as_a_default() -> None:
    """Both spellings get what the callable returns."""

    def page(a: Annotated[int, Depends(get_limit)], b: int = Depends(get_limit)) -> Any:  # type: ignore[assignment]
        return a, b

    assert (5, 5) == call(page)


def test_depends__nested_with_what_pages_get() -> None:
    """A dependency asks for what a page can ask for, other dependencies among it."""

    def base(st: Any, client: Client, x: Annotated[str, Header("x-one")]) -> Any:
        return st, client, x

    def outer(inner: Annotated[Any, Depends(base)], limit: int = 3) -> Any:
        return [inner, limit]

    def page(found: Annotated[Any, Depends(outer)]) -> Any:
        return found

    assert [("streamlit", CLIENT, "1"), 3] == call(page, request=Request(headers={"x-one": "1"}))


def test_depends__called_once_per_run() -> None:
    """All who depend on a callable share one call; `use_cache=False` makes one of their own."""
    made: list[object] = []

    def fresh() -> object:
        made.append(object())
        return made[-1]

    def through(it: Annotated[Any, Depends(fresh)]) -> Any:
        return it

    def page(
        a: Annotated[Any, Depends(fresh)],
        b: Annotated[Any, Depends(through)],
        c: Annotated[Any, Depends(fresh, use_cache=False)],
    ) -> Any:
        return a is b, a is c

    assert (True, False) == call(page)
    assert 2 == len(made)
    call(page)
    assert 4 == len(made)


def test_depends__class_and_partial_and_object() -> None:
    """Whatever can be called will do; a class can be named by the annotation alone."""
    import functools

    class Cart:
        def __init__(self, limit: Annotated[int, Depends(get_limit)]) -> None:
            self.limit = limit

    class Maker:
        def __call__(self, st: Any) -> Any:
            return st

    def page(
        cart: Annotated[Cart, Depends()],
        part: Annotated[Any, Depends(functools.partial(lambda st, end: f"{st}{end}", end="!"))],
        made: Annotated[Any, Depends(Maker())],
    ) -> Any:
        return cart.limit, part, made

    assert (5, "streamlit!", "streamlit") == call(page)


def test_depends__async() -> None:
    """A coroutine function's result is awaited."""

    async def load(st: Any) -> str:
        return f"async {st}"

    def page(found: Annotated[str, Depends(load)]) -> str:
        return found

    assert "async streamlit" == call(page)


def test_depends__async_orm_runs_in_the_pages_thread() -> None:
    """What an async dependency sends through `sync_to_async` has the page's thread, so its connection."""
    from asgiref.sync import sync_to_async

    async def load() -> Any:
        return await sync_to_async(threading.current_thread)()

    async def opened() -> AsyncIterator[Any]:
        yield await sync_to_async(threading.current_thread)()

    def page(a: Annotated[Any, Depends(load)], b: Annotated[Any, Depends(opened)]) -> Any:
        return a, b

    assert (threading.current_thread(),) * 2 == call(page)


def recording(log: list[str], name: str) -> Callable[[], Iterator[str]]:
    def opened() -> Iterator[str]:
        log.append(f"open {name}")
        try:
            yield name
        except BaseException as exc:
            log.append(f"{name} sees {type(exc).__name__}")
            raise
        finally:
            log.append(f"close {name}")

    return opened


def arecording(log: list[str], name: str) -> Callable[[], AsyncIterator[str]]:
    import asyncio

    async def opened() -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        log.append(f"open {name}")
        try:
            yield name
        finally:
            assert loop is asyncio.get_running_loop()
            log.append(f"close {name}")

    return opened


def test_generators__closed_in_reverse_after_the_page() -> None:
    """Sync and async generators go on after the page, the last opened first, async ones on their own loop."""
    log: list[str] = []
    one, two = recording(log, "one"), arecording(log, "two")

    def page(a: Annotated[str, Depends(one)], b: Annotated[str, Depends(two)]) -> None:
        log.append(f"page {a} {b}")

    call(page)

    assert ["open one", "open two", "page one two", "close two", "close one"] == log


def test_generators__see_the_error() -> None:
    """An error of the page is raised at the yield, and leaves the run whatever is made of it there."""
    log: list[str] = []

    def swallowing() -> Iterator[None]:
        try:
            yield
        except RuntimeError:
            log.append("swallowed")

    def page(
        a: Annotated[str, Depends(recording(log, "one"))], b: Annotated[Any, Depends(swallowing)]
    ) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        call(page)

    assert "close one" in log
    assert "swallowed" in log


class Stopped(BaseException):
    """What `st.stop` raises."""


@pytest.mark.parametrize(("is_failure", "expected"), [(True, ["one sees Stopped"]), (False, [])])
def test_generators__ended_on_purpose(is_failure: bool, expected: list[str]) -> None:
    """A page that stops on purpose ends its generators as one that returns; an interrupted one does not."""
    log: list[str] = []

    def page(a: Annotated[str, Depends(recording(log, "one"))]) -> None:
        raise Stopped

    with pytest.raises(Stopped), Run([], has_failed=lambda error: is_failure) as running:
        running.call(page)

    assert ["open one", *expected, "close one"] == log


def test_generators__closed_when_a_later_one_fails() -> None:
    """What is open when another dependency raises is closed."""
    log: list[str] = []

    def broken() -> None:
        raise LookupError

    def page(a: Annotated[str, Depends(recording(log, "one"))], b: Annotated[Any, Depends(broken)]) -> None:
        """Never called."""

    with pytest.raises(LookupError):
        call(page)

    assert ["open one", "one sees LookupError", "close one"] == log


def loops() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "fluxlit-run-loop"]


def test_run__leaves_no_thread() -> None:
    """The loop of async dependencies ends with the run."""

    def page(a: Annotated[str, Depends(arecording([], "one"))]) -> None:
        assert loops()

    call(page)

    assert not loops()


def test_depends__on_itself() -> None:
    """A circle is reported with the way round it."""

    def one(x: Annotated[Any, Depends(lambda: None)]) -> None: ...

    def two(x: Annotated[Any, Depends(one)]) -> None: ...

    one.__annotations__["x"] = Annotated[Any, Depends(two)]
    di.wanted_parameters.cache_clear()

    with pytest.raises(TypeError, match=r"depends on itself: .*one.*two.*one"):
        call(two)


def test_depends__without_a_callable() -> None:
    """`Depends()` on something that is no class says what to write."""

    def page(a: Annotated[Any, Depends()]) -> None: ...

    with pytest.raises(TypeError, match=r"'a' with Depends.None.. Name a function"):
        call(page)


def test_marker__in_an_api_endpoint() -> None:
    """A page's marker in an API endpoint is an error when the API is made, not a field of its body."""
    pydantic = pytest.importorskip("pydantic")

    with pytest.raises(TypeError, match="Depends of fluxlit_django is for pages"):
        pydantic.TypeAdapter(Annotated[int, Depends(get_limit)])


def test_query__in_a_model() -> None:
    """In a pydantic model of a query it says something to readers, and changes nothing."""
    pydantic = pytest.importorskip("pydantic")

    found = pydantic.TypeAdapter(Annotated[int, Query(description="How many")]).validate_python("3")

    assert 3 == found


@pytest.mark.parametrize("wrong", ["x-remote-user", {1: "ann"}, ["x"]])
def test_header_context__that_is_none(wrong: Any) -> None:
    """What is no dict of names is refused with what it is."""
    for say in (di.set_page_header_context, di.set_page_cookie_context):
        with pytest.raises(TypeError, match=re.escape(f"The names are {wrong!r}. Use a dict")):
            say(wrong)


# Header, Cookie, Query


def show(
    a: Annotated[str | None, Header("X-Remote-User")] = "nobody",
    user_agent: Annotated[str | None, Header()] = None,
    theme: Annotated[str, Cookie("Theme")] = "light",
    limit: Annotated[int, Query()] = 10,
    tag: Annotated[list[str], Query("t")] = (),  # type: ignore[assignment]
) -> Any:
    return a, user_agent, theme, limit, tag


def test_request__parameters() -> None:
    """Names in any case; text becomes what the annotation says."""
    request = Request(
        headers={"x-remote-user": "ann", "User-Agent": "Test"},
        cookies={"theme": "dark"},
        query={"limit": ["1", "2"], "t": ["a", "b"]},
    )

    assert ("ann", "Test", "dark", 2, ["a", "b"]) == call(show, request=request)


def test_request__defaults() -> None:
    """A default counts where nothing came."""
    assert ("nobody", None, "light", 10, ()) == call(show)


def test_request__optional_without_a_default() -> None:
    """A parameter that may be None is None."""

    def page(a: Annotated[str | None, Header("x-a")], b: Annotated[int | None, Query()]) -> Any:
        return a, b

    assert (None, None) == call(page)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (Header("X-Shop"), "The header 'x-shop' is missing."),
        (Cookie("Shop"), "The cookie 'shop' is missing."),
        (Query("shop"), "The query parameter 'shop' is missing."),
    ],
)
def test_request__required(marker: Any, message: str) -> None:
    """One that may not be None is reported by name."""

    def page(shop: Annotated[int, marker]) -> None: ...

    page.__annotations__["shop"] = Annotated[int, marker]
    with pytest.raises(PageInputError) as raised:
        call(page)

    assert message == str(raised.value)


def test_request__wrong_form() -> None:
    """A value that does not fit is named, with what does."""
    with pytest.raises(PageInputError) as raised:
        call(show, request=Request(query={"limit": ["many"]}))

    assert "The query parameter 'limit' is 'many': use a whole number." == str(raised.value)


def test_header_context__wins_and_is_restored() -> None:
    """The explicit map comes before the request, names in any case; the token brings back the old."""
    request = Request(headers={"x-remote-user": "from the request"})
    outer = di.set_page_header_context({"X-REMOTE-User": "outer"})
    inner = di.set_page_header_context({"x-remote-user": "inner"})

    shown = [call(show, request=request)[0]]
    di.reset_page_header_context(inner)
    shown.append(call(show, request=request)[0])
    di.reset_page_header_context(outer)
    shown.append(call(show, request=request)[0])

    assert ["inner", "outer", "from the request"] == shown


def test_cookie_context__wins_and_is_restored() -> None:
    """The same for cookies."""
    token = di.set_page_cookie_context({"THEME": "blue"})

    shown = [call(show, request=Request(cookies={"theme": "dark"}))[2]]
    di.reset_page_cookie_context(token)
    shown.append(call(show, request=Request(cookies={"theme": "dark"}))[2])

    assert ["blue", "dark"] == shown


@given(strategies.dictionaries(strategies.text(), strategies.text()))
def test_header_context__any_map(headers: dict[str, str]) -> None:
    """No map is an error, and after the token nothing of it is left."""
    token = di.set_page_header_context(headers)
    call(show)
    di.reset_page_header_context(token)

    assert di.page_header_context() is None


# Overrides


def test_overrides__any_parameter() -> None:
    """By name: dependencies, which are then not called, and everything else."""

    def page(
        st: Any,
        dep: Annotated[Any, Depends(forbidden)],
        header: Annotated[str, Header("x")],
        cookie: Annotated[str, Cookie("c")],
        query: Annotated[int, Query()],
        plain: Any = 1,
    ) -> Any:
        return st, dep, header, cookie, query, plain

    overrides = {"dep": 1, "header": 2, "cookie": 3, "query": 4, "plain": 5}

    assert ("streamlit", 1, 2, 3, 4, 5) == call(page, overrides=overrides)


# Annotations


def test_annotations__one_for_type_checkers_spoils_no_other() -> None:
    """Each annotation is resolved for itself."""

    def page(price: "Decimal | None" = None, client_here: "Client | None" = None) -> Any:
        return price, client_here

    assert (None, CLIENT) == call(page)


def test_annotations__optional_and_absent() -> None:
    """`X | None` gets None where the provider says that there is none."""

    class User: ...

    absent = Provider(User, name="viewer", type=User, is_absent=lambda: True)

    def page(viewer: User | None, other: User) -> Any:
        return viewer, type(other)

    page.__annotations__.update(viewer=User | None, other=User)
    assert (None, User) == call(page, absent)


# Signatures


def check(fn: Callable[..., Any]) -> None:
    di.check_signature(fn, "The page '/orders'", [Provider(forbidden, name="st")])


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (lambda st, *args: None, r"takes \*args"),
        (lambda st, **options: None, r"takes \*\*options"),
        (lambda st, orders: None, "'orders' that nothing provides"),
        (lambda st=NO_CALLABLE: None, "Name a function"),
    ],
)
def test_check_signature__refused(fn: Callable[..., Any], message: str) -> None:
    """What is only filled by luck, or not at all, is named."""
    with pytest.raises(TypeError, match=message):
        check(fn)


def test_check_signature__dependencies_too() -> None:
    """A dependency's own parameters are looked at."""

    def dependency(orders: int) -> int:
        return orders

    def page(st: Any, a: Annotated[int, Depends(dependency)]) -> None: ...

    page.__annotations__["a"] = Annotated[int, Depends(dependency)]
    with pytest.raises(TypeError, match=r"The dependency .* has a parameter 'orders'"):
        check(page)


def test_check_signature__fine() -> None:
    """Positional-only, keyword-only and default-only parameters are."""

    def page(st: Any, /, day: dt.date | None = None, *, limit: Annotated[int, Query()]) -> None: ...

    check(page)

"""Calls a page with the arguments it names.

In order, for each parameter: an override of its name, what its marker says (`Depends`, `Header`, `Cookie`,
`Query`), a provider of its name, a provider of its annotation's type, its default.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from fluxlit_django import values
from fluxlit_django.exceptions import PageInputError
from fluxlit_django.pages.loop import RunLoop

_VARIADIC = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
_NOTHING = inspect.Parameter.empty
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")

Names = Mapping[str, str]

_header_map: ContextVar[Names | None] = ContextVar("fluxlit_page_headers", default=None)
_cookie_map: ContextVar[Names | None] = ContextVar("fluxlit_page_cookies", default=None)


def set_page_header_context(headers: Names | None) -> Token[Names | None]:
    """Say what `Header` parameters get, before what came with the request. Names in any case.

    Give the token to `reset_page_header_context` to have back what was before.
    """
    return _header_map.set(_in_lower_case(headers))


def reset_page_header_context(token: Token[Names | None]) -> None:
    """Undo the `set_page_header_context` that returned this token."""
    _header_map.reset(token)


def set_page_cookie_context(cookies: Names | None) -> Token[Names | None]:
    """Say what `Cookie` parameters get, before what came with the request. Names in any case."""
    return _cookie_map.set(_in_lower_case(cookies))


def reset_page_cookie_context(token: Token[Names | None]) -> None:
    """Undo the `set_page_cookie_context` that returned this token."""
    _cookie_map.reset(token)


def page_header_context() -> Names | None:
    """The map that `set_page_header_context` set, its names in lower case, or None."""
    return _header_map.get()


def page_cookie_context() -> Names | None:
    """The map that `set_page_cookie_context` set, its names in lower case, or None."""
    return _cookie_map.get()


def _in_lower_case(mapping: Names | None) -> Names | None:
    if mapping is None:
        return None
    if not isinstance(mapping, Mapping) or not all(isinstance(name, str) for name in mapping):
        msg = f"The names are {mapping!r}. Use a dict of strings, such as {{'x-remote-user': 'ann'}}."
        raise TypeError(msg)
    return {name.lower(): value for name, value in mapping.items()}


class _Marker:
    """What a page says of a parameter, in `Annotated[…]` or as its default."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Refuse an API endpoint that uses a page's marker: it would read the value from the request's body.

        Raises:
            TypeError: always.
        """
        msg = (
            f"{type(self).__name__} of fluxlit_django is for pages. "
            "In an API endpoint use what the API framework has for it."
        )
        raise TypeError(msg)


@dataclass(frozen=True)
class Depends(_Marker):
    """Fills a parameter with what a callable returns, or yields.

    The callable's own parameters are filled as a page's are. It is called once per run of a page. A generator
    goes on after the run, however that ends; an error of the page is raised at its `yield`.

    Example:
        def cursor():
            with connection.cursor() as cursor:
                yield cursor

        @site.page("/orders")
        def orders(st, cursor: Annotated[Any, Depends(cursor)]): ...
    """

    dependency: Callable[..., Any] | None = None
    use_cache: bool = True
    """Whether all who depend on the callable share one call of it in a run."""


@dataclass(frozen=True)
class _Named(_Marker):
    name: str = ""
    """The name to look for; "" for the parameter's own."""

    def __post_init__(self) -> None:
        given: object = self.name
        if not isinstance(given, str):
            msg = (
                f"{type(self).__name__}({self.name!r}): use a name, such as {type(self).__name__}('x-name')."
            )
            raise TypeError(msg)


@dataclass(frozen=True)
class Header(_Named):
    """Fills a parameter with a request header, looked up in any case; `x_name` looks for `x-name`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "name", self.name.lower())


@dataclass(frozen=True)
class Cookie(_Named):
    """Fills a parameter with a cookie, looked up in any case."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "name", self.name.lower())


@dataclass(frozen=True)
class Query(_Named):
    """Fills a parameter with a query parameter of the page's URL; lists get all of its values."""

    description: str = field(default="", kw_only=True)
    """For readers; in a model of `parse_query_params` it is as good as a comment."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Leave the field of a pydantic model as it is."""
        return handler(source)


@dataclass(frozen=True)
class Provider:
    """One thing that a page can ask for, made only when it does."""

    provide: Callable[[], Any]
    name: str = ""
    """The parameter name it answers to; "" for none."""
    type: type | None = None
    """The annotation it answers to, subclasses included; None for none."""
    is_absent: Callable[[], bool] | None = None
    """Whether a parameter that may be None gets None."""
    is_opened: bool = False
    """Whether `provide` makes an async context manager, entered once per run and left with it."""

    @property
    def wanted_as(self) -> str:
        """How a page asks for it, for messages."""
        if not self.name or self.type is None:
            return self.name or f"a parameter annotated {getattr(self.type, '__name__', '')}"
        return f"{self.name} (or a parameter annotated {self.type.__name__})"


@dataclass(frozen=True)
class Wanted:
    """One parameter of a page, or of something it depends on."""

    name: str
    annotation: Any
    """The type, without what `Annotated` adds; a string where it cannot be resolved."""
    marker: _Marker | None
    default: Any
    """`inspect.Parameter.empty` when there is none."""
    is_positional_only: bool

    @property
    def may_be_none(self) -> bool:
        """Whether None is a value for it."""
        return self.annotation is _NOTHING or values.is_optional(self.annotation)


@dataclass(frozen=True)
class Request:
    """What came with the viewer's request, for the parameters that name a part of it."""

    headers: Names = field(default_factory=dict)
    """Names in lower case."""
    cookies: Names = field(default_factory=dict)
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Run:
    """One run of a page: fills parameters, and closes afterwards what dependencies have opened.

    Args:
        providers: what can be asked for.
        request: what the parameters that name a header, a cookie or a query parameter are read from.
        overrides: values for parameters by name, for tests; their dependencies are then not called.
        has_failed: whether an exception that leaves the run is a failure, which generators then see at
            their `yield`; otherwise it is one of the ways in which a page ends on purpose.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        request: Request | None = None,
        overrides: Mapping[str, Any] | None = None,
        has_failed: Callable[[BaseException], bool] = lambda error: True,
    ) -> None:
        self._providers = providers
        self._request = request or Request()
        self._overrides = overrides or {}
        self._has_failed = has_failed
        self._cache: dict[Callable[..., Any], Any] = {}
        self._open_calls: list[Callable[..., Any]] = []
        self._stack = contextlib.ExitStack()
        self._loop: RunLoop | None = None

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close in the reverse order. An error of the page goes on whatever a dependency makes of it."""
        self._cache.clear()
        if error is not None and self._has_failed(error):
            self._stack.__exit__(kind, error, trace)
        else:
            self._stack.close()

    def enter(self, context: contextlib.AbstractContextManager[Any]) -> Any:
        """Enter a context manager that is left with the run."""
        return self._stack.enter_context(context)

    def call(self, fn: Callable[..., Any], owner: str = "") -> Any:
        """Call a function with what its parameters ask for, and return its result.

        Args:
            owner: what the function is, for messages, such as "The page '/orders' (shop.pages.orders)".

        Raises:
            TypeError: a parameter without a default asks for something that nothing provides.
            PageInputError: what came with the request is missing or does not fit a parameter.
        """
        arguments, keywords = self._arguments(fn, owner or definition_of(fn))
        return fn(*arguments, **keywords)

    def _arguments(self, fn: Callable[..., Any], owner: str) -> tuple[list[Any], dict[str, Any]]:
        arguments: list[Any] = []
        keywords: dict[str, Any] = {}
        for wanted in wanted_parameters(fn):
            value = self._value(wanted, owner)
            if wanted.is_positional_only:
                arguments.append(value)
            else:
                keywords[wanted.name] = value
        return arguments, keywords

    def _value(self, wanted: Wanted, owner: str) -> Any:
        if wanted.name in self._overrides:
            return self._overrides[wanted.name]
        if isinstance(wanted.marker, Depends):
            return self._dependency(wanted.marker, wanted, owner)
        if isinstance(wanted.marker, _Named):
            return self._from_request(wanted.marker, wanted)
        provider = find_provider(wanted, self._providers)
        if provider is None:
            return _default_or_raise(wanted, owner, self._providers)
        if provider.is_absent is not None and values.names_none(wanted.annotation) and provider.is_absent():
            return None
        return self._opened(provider.provide) if provider.is_opened else provider.provide()

    def _opened(self, provide: Callable[[], Any]) -> Any:
        if provide not in self._cache:
            self._cache[provide] = self._enter_async(provide())
        return self._cache[provide]

    def _dependency(self, marker: Depends, wanted: Wanted, owner: str) -> Any:
        function = dependency_of(marker, wanted, owner)
        if marker.use_cache and function in self._cache:
            return self._cache[function]
        if function in self._open_calls:
            chain = " → ".join(definition_of(each) for each in [*self._open_calls, function])
            msg = f"{owner} depends on itself: {chain}. Take one of these Depends away."
            raise TypeError(msg)
        self._open_calls.append(function)
        try:
            value = self._open(function)
        finally:
            self._open_calls.pop()
        if marker.use_cache:
            self._cache[function] = value
        return value

    def _open(self, function: Callable[..., Any]) -> Any:
        arguments, keywords = self._arguments(function, f"The dependency {definition_of(function)}")
        kind = _callable_part(function)
        if inspect.isgeneratorfunction(kind):
            return self.enter(contextlib.contextmanager(function)(*arguments, **keywords))
        if inspect.isasyncgenfunction(kind):
            return self._enter_async(contextlib.asynccontextmanager(function)(*arguments, **keywords))
        value = function(*arguments, **keywords)
        return self._await(_as_coroutine(value)) if inspect.isawaitable(value) else value

    def _enter_async(self, context: contextlib.AbstractAsyncContextManager[Any]) -> Any:
        value = self._await(context.__aenter__())
        self._stack.push(lambda *error: self._await(context.__aexit__(*error)))
        return value

    def _await(self, coroutine: Any) -> Any:
        if self._loop is None:
            self._loop = RunLoop()
            self._stack.callback(self._loop.close)
        return self._loop.run(coroutine)

    def _from_request(self, marker: _Named, wanted: Wanted) -> Any:
        kind, name, texts = self._look_up(marker, wanted)
        if not texts:
            if wanted.default is not _NOTHING and not isinstance(wanted.default, _Marker):
                return wanted.default
            if wanted.may_be_none:
                return None
            msg = f"The {kind} {name!r} is missing."
            raise PageInputError(msg)
        try:
            return values.coerce(texts, str if wanted.annotation is _NOTHING else wanted.annotation)
        except ValueError as exc:
            msg = f"The {kind} {name!r} is {texts[-1]!r}: {exc}."
            raise PageInputError(msg) from None

    def _look_up(self, marker: _Named, wanted: Wanted) -> tuple[str, str, Sequence[str]]:
        if isinstance(marker, Query):
            name = marker.name or wanted.name
            return "query parameter", name, self._request.query.get(name, ())
        if isinstance(marker, Cookie):
            name = marker.name or wanted.name.lower()
            found = _first_found(name, _cookie_map.get(), self._request.cookies)
            return "cookie", name, () if found is None else (found,)
        name = marker.name or wanted.name.lower().replace("_", "-")
        found = _first_found(name, _header_map.get(), self._request.headers)
        return "header", name, () if found is None else (found,)


def _first_found(name: str, explicit: Names | None, given: Names) -> str | None:
    """A value from the explicit map, else from the request; names in any case."""
    if explicit is not None and name in explicit:
        return explicit[name]
    if name in given:
        return given[name]
    return next((value for key, value in given.items() if key.lower() == name), None)


def dependency_of(marker: Depends, wanted: Wanted, owner: str) -> Callable[..., Any]:
    """The callable of a `Depends`, or the parameter's own annotation when it names none.

    Raises:
        TypeError: there is neither.
    """
    if marker.dependency is not None and callable(marker.dependency):
        return marker.dependency
    if (
        marker.dependency is None
        and isinstance(wanted.annotation, type)
        and wanted.annotation not in (_NOTHING, Any)
    ):
        return wanted.annotation
    msg = (
        f"{owner} has a parameter {wanted.name!r} with Depends({marker.dependency!r}). "
        "Name a function, such as Depends(get_cart)."
    )
    raise TypeError(msg)


@functools.lru_cache(maxsize=1024)
def wanted_parameters(fn: Callable[..., Any]) -> tuple[Wanted, ...]:
    """The parameters of a function that can be filled one by one."""
    return tuple(_read_signature(fn))


def find_provider(wanted: Wanted, providers: Sequence[Provider]) -> Provider | None:
    """The provider of the parameter's name, else of its type, else None."""
    for provider in providers:
        if provider.name == wanted.name:
            return provider
    annotation = values.without_none(wanted.annotation)
    if isinstance(annotation, type) and annotation is not _NOTHING:
        for provider in providers:
            if provider.type is not None and _answers(provider.type, annotation):
                return provider
    return None


def _answers(provided: type, annotation: type) -> bool:
    # A protocol has no subclasses in this sense, only what happens to have its methods.
    if getattr(provided, "_is_protocol", False):
        return annotation is provided
    return issubclass(annotation, provided)


def check_signature(fn: Callable[..., Any], owner: str, providers: Sequence[Provider]) -> None:
    """Refuse a signature in which a parameter could only be filled by luck, or not at all.

    Raises:
        TypeError: the message names the parameter and the remedy.
    """
    for name, parameter in inspect.signature(fn).parameters.items():
        if parameter.kind in _VARIADIC:
            stars = "*" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else "**"
            msg = f"{owner} takes {stars}{name}, which nothing fills. Name its parameters one by one."
            raise TypeError(msg)
    for wanted in wanted_parameters(fn):
        if isinstance(wanted.marker, Depends):
            function = dependency_of(wanted.marker, wanted, owner)
            check_signature(function, f"The dependency {definition_of(function)} of {owner}", providers)
        elif wanted.marker is None and find_provider(wanted, providers) is None:
            _default_or_raise(wanted, owner, providers)


def _read_signature(fn: Callable[..., Any]) -> Iterator[Wanted]:
    hints = _hints(fn)
    for name, parameter in inspect.signature(fn).parameters.items():
        if parameter.kind in _VARIADIC:
            continue
        annotation = hints.get(name, parameter.annotation)
        yield Wanted(
            name=name,
            annotation=_without_metadata(annotation),
            marker=_marker(annotation, parameter.default),
            default=parameter.default,
            is_positional_only=parameter.kind is inspect.Parameter.POSITIONAL_ONLY,
        )


def _marker(annotation: Any, default: Any) -> _Marker | None:
    metadata = getattr(annotation, "__metadata__", ())
    found = [entry for entry in (*metadata, default) if isinstance(entry, _Marker)]
    classes = [entry for entry in metadata if isinstance(entry, type) and issubclass(entry, _Marker)]
    if found:
        return found[0]
    return classes[0]() if classes else None


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    source = fn.__init__ if isinstance(fn, type) else _callable_part(fn)  # type: ignore[misc]
    try:
        hints = typing.get_type_hints(source, include_extras=True)
    except (NameError, AttributeError, TypeError):
        return dict(_hints_one_by_one(source))
    return {name: _as_written(hint) for name, hint in hints.items()}


def _as_written(hint: Any) -> Any:
    """An annotation without the Optional that Python 3.10 puts around it when the default is None."""
    if sys.version_info < (3, 11) and typing.get_origin(hint) is typing.Union:
        marked = [each for each in typing.get_args(hint) if typing.get_origin(each) is typing.Annotated]
        return marked[0] if marked else hint
    return hint


def _hints_one_by_one(fn: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """The annotations that can be resolved; one that exists for type checkers only stays text."""
    function = inspect.unwrap(fn)
    closed_over = dict(
        zip(
            getattr(getattr(function, "__code__", None), "co_freevars", ()),
            (_content(cell) for cell in getattr(function, "__closure__", None) or ()),
            strict=False,
        )
    )
    for name, annotation in getattr(function, "__annotations__", {}).items():
        if not isinstance(annotation, str):
            yield name, annotation
            continue
        with contextlib.suppress(NameError, AttributeError, TypeError, SyntaxError):
            yield name, eval(annotation, getattr(function, "__globals__", {}), closed_over)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _callable_part(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind a partial or an object with `__call__`."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if isinstance(fn, type) or inspect.isroutine(fn):
        return fn
    call: Callable[..., Any] = vars(type(fn)).get("__call__", fn)
    return call


def _without_metadata(annotation: Any) -> Any:
    return annotation.__origin__ if typing.get_origin(annotation) is typing.Annotated else annotation


async def _as_coroutine(awaitable: Any) -> Any:
    return await awaitable


def definition_of(fn: Callable[..., Any]) -> str:
    """Where a callable is defined, the same in every process."""
    function = _callable_part(fn)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}.{name}".lstrip(".")


def without_addresses(text: str) -> str:
    """The text of an object without where in memory it is."""
    return _ADDRESS.sub("", text)


def _default_or_raise(wanted: Wanted, owner: str, providers: Sequence[Provider]) -> Any:
    if wanted.default is not _NOTHING:
        return wanted.default
    if isinstance(wanted.annotation, str):
        msg = (
            f"{owner} has a parameter {wanted.name!r} annotated {wanted.annotation!r}, "
            "which cannot be resolved. Define or import what it names at the top of the module, "
            "outside TYPE_CHECKING."
        )
        raise TypeError(msg)
    choices = ", ".join(provider.wanted_as for provider in providers)
    msg = (
        f"{owner} has a parameter {wanted.name!r} that nothing provides. "
        f"It can ask for {choices}. Rename the parameter, annotate it, or give it a default."
    )
    raise TypeError(msg)

"""What is seen of a request or a socket until its end, for the access log and the metrics."""

from __future__ import annotations

import contextlib
import enum
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from django.utils.functional import LazyObject, empty

from fluxlit_django import logs
from fluxlit_django.exceptions import UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from fluxlit_django.gateway import headers

_SCOPE_KEY = "fluxlit.observation"
_UPSTREAM_KINDS = {UpstreamUnavailable: "unavailable", UpstreamTimeout: "timeout", UpstreamBroken: "broken"}

NOBODY = ""


class Dispatch(str, enum.Enum):
    """Who answers."""

    API = "api"
    """The project, below the API's path."""
    DJANGO = "django"
    """The project: its other URLs, and the documents of the apps' pages."""
    STREAMLIT = "streamlit"
    """A sidecar, or its frontend from disk."""
    GATEWAY = "gateway"
    """The gateway itself: what is refused before anybody is asked."""
    PROBE = "probe"
    """The gateway itself: the probes and the metrics."""


class Refusal(str, enum.Enum):
    """Why the gateway says no."""

    SIGN_IN = "sign_in"
    FORBIDDEN = "forbidden"
    HOST = "host"
    ORIGIN = "origin"
    HEADERS_TOO_LARGE = "headers_too_large"
    URL_TOO_LONG = "url_too_long"
    BODY_TOO_LARGE = "body_too_large"
    TOO_MANY_SOCKETS = "too_many_sockets"
    TOO_MANY_REQUESTS = "too_many_requests"
    BUSY = "busy"
    """Every sidecar has as many sessions as it may."""
    STOPPING = "stopping"
    UNDECIDED = "undecided"
    """The database or the session store does not answer."""


class Recorder(Protocol):
    """Takes note of what has been seen."""

    def opened(self, seen: Observation) -> None:
        """A socket has been accepted."""

    def reran(self, seen: Observation, duration_s: float) -> None:
        """A rerun of a Streamlit session has ended."""

    def ended(self, seen: Observation) -> None:
        """A request or a socket is over."""


class Observation:
    """One request or socket. Everything is in plain fields: it is on the way of every frame."""

    __slots__ = (
        "_receive",
        "_recorders",
        "_send",
        "app",
        "bytes_in",
        "bytes_out",
        "close_code",
        "dispatch",
        "django_request",
        "duration_s",
        "is_broken",
        "is_open",
        "method",
        "refusal",
        "request_id",
        "reruns",
        "scope",
        "session",
        "sidecar",
        "started",
        "status",
        "upstream_error",
        "viewer",
    )

    def __init__(self, scope: Any, recorders: Sequence[Recorder] = ()) -> None:
        self.scope = scope
        self.request_id = headers.request_id(scope["headers"])
        self.method: str = scope.get("method", "WEBSOCKET")
        self.dispatch = Dispatch.GATEWAY
        self.app = ""
        """Name of the app, where one is concerned."""
        self.sidecar = ""
        self.session = ""
        """Id of the Streamlit session, which whoever knows it may resume."""
        self.viewer = NOBODY
        """Primary key of the signed-in user, as far as anybody has asked."""
        self.status = 0
        """HTTP status, 101 for an accepted socket; 0 when there was no answer."""
        self.close_code = 0
        self.bytes_in = self.bytes_out = self.reruns = 0
        self.is_open = False
        self.is_broken = False
        """Whether it ended by an error after its status was out."""
        self.refusal: Refusal | None = None
        self.upstream_error = ""
        self.django_request: Any = None
        self.duration_s = 0.0
        self.started = time.perf_counter()
        self._recorders = recorders
        self._receive: Callable[[], Awaitable[Any]] = _nothing
        self._send: Callable[[Any], Awaitable[None]] = _drop

    @property
    def is_socket(self) -> bool:
        """Whether it is a WebSocket."""
        return self.method == "WEBSOCKET"

    def wrap_http(self, receive: Any, send: Any) -> tuple[Any, Any]:
        """The callables of a request, looked at; the response gets its `X-Request-ID`, unless it has one."""
        self._receive, self._send = receive, send
        return self._receive_http, self._send_http

    def wrap_socket(self, receive: Any, send: Any) -> tuple[Any, Any]:
        """The callables of a socket, looked at; the answer to its handshake gets an `X-Request-ID`."""
        self._receive, self._send = receive, send
        return self._receive_socket, self._send_socket

    def refuse(self, refusal: Refusal) -> None:
        """Note why the gateway says no."""
        self.refusal = refusal

    def fail_upstream(self, error: UpstreamError) -> None:
        """Note that a sidecar failed."""
        self.upstream_error = _UPSTREAM_KINDS.get(type(error), "broken")

    def count_rerun(self, duration_s: float) -> None:
        """Note that a rerun has ended."""
        self.reruns += 1
        for recorder in self._recorders:
            recorder.reran(self, duration_s)

    def fail(self) -> None:
        """Note that what answered has raised; the server then answers 500, or breaks the response off."""
        self.is_broken = self.status != 0
        self.status = self.status or 500

    def end(self) -> None:
        """Tell the recorders that it is over."""
        self.duration_s = time.perf_counter() - self.started
        if self.django_request is not None:
            self.viewer = self.viewer or _viewer_of(self.django_request)
            self.django_request = None  # which knows our scope, and so us
        for recorder in self._recorders:
            recorder.ended(self)

    async def _receive_http(self) -> Any:
        message = await self._receive()
        if message["type"] == "http.request":
            self.bytes_in += len(message.get("body", b""))
        return message

    async def _send_http(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": self._with_id(message.get("headers", ()))}
        else:
            self.bytes_out += len(message.get("body", b""))
        await self._send(message)

    async def _receive_socket(self) -> Any:
        message = await self._receive()
        if message["type"] == "websocket.receive":
            data = message.get("bytes")
            self.bytes_in += len(data if data is not None else message["text"].encode())
        elif message["type"] == "websocket.disconnect" and not self.close_code:
            self.close_code = message.get("code") or 1005
        return message

    async def _send_socket(self, message: Any) -> None:
        kind = message["type"]
        if kind == "websocket.send":
            data = message.get("bytes")
            self.bytes_out += len(data if data is not None else message["text"].encode())
        elif kind == "websocket.close":
            self.close_code = message.get("code") or 1000
            self.status = self.status or 403  # what servers answer a handshake that is closed with
        elif kind in {"websocket.accept", "websocket.http.response.start"}:
            self.status = message.get("status", 101)
            message = {**message, "headers": self._with_id(message.get("headers") or ())}
            if kind == "websocket.accept":
                self.is_open = True
                for recorder in self._recorders:
                    recorder.opened(self)
        await self._send(message)

    def _with_id(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        fields = list(given)
        if not any(name.lower() == b"x-request-id" for name, _ in fields):
            fields.append((b"x-request-id", self.request_id.encode()))
        return fields


@contextlib.contextmanager
def observing(scope: Any, recorders: Sequence[Recorder]) -> Iterator[Observation]:
    """Look at a request or a socket to its end; whoever has its scope finds the observation with `of`."""
    seen = scope[_SCOPE_KEY] = Observation(scope, recorders)
    token = logs.request_id.set(seen.request_id)
    try:
        yield seen
    except Exception:
        seen.fail()
        raise
    finally:
        logs.request_id.reset(token)
        seen.end()


def of(scope: Any) -> Observation:
    """The observation of a scope; one that nobody looks at where none was begun."""
    found: Observation | None = scope.get(_SCOPE_KEY)
    return found or Observation(scope)


def _viewer_of(request: Any) -> str:
    """Who the project found to be signed in; "" where it has not asked, as asking reads the database."""
    user = getattr(request, "_acached_user", None) or request.__dict__.get("user")
    if user is None or (isinstance(user, LazyObject) and user._wrapped is empty):
        return NOBODY
    return str(getattr(user, "pk", None) or NOBODY)


async def _nothing() -> Any:
    raise RuntimeError("The callables have not been wrapped.")


async def _drop(message: Any) -> None:
    raise RuntimeError("The callables have not been wrapped.")

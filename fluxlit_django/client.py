"""The clients with which pages call the project's own API."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from urllib.parse import unquote, urlsplit

from asgiref.sync import sync_to_async
from django.conf import settings

from fluxlit_django import conf, schema
from fluxlit_django.trust import hosts, own_calls

if TYPE_CHECKING:
    import httpx

Answer = TypeVar("Answer")
"""A response, or what is awaited for one."""

HeaderFactory = Callable[[], Mapping[str, str]]

DEFAULT_TIMEOUT_S = 30.0

REQUEST_ID_HEADER = "X-Request-ID"

_WILDCARD_HOSTS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110 §9.2.2
_WORTH_ANOTHER_TRY = frozenset({502, 503, 504})
_FIRST_PAUSE_S = 0.1

_request_id: ContextVar[str | None] = ContextVar("fluxlit_request_id", default=None)


class _Calls(Generic[Answer]):
    """What both clients have in common: where requests go, with what, and a method for each verb."""

    def __init__(
        self,
        base_url: str | None,
        timeout: float,
        default_headers: Mapping[str, str] | None,
        auth_header_factory: HeaderFactory | None,
        propagate_request_id: bool,
        retries: int,
    ) -> None:
        self.base_url = _checked_base(base_url) or default_base_url(conf.get_config()).rstrip("/")
        self.timeout = timeout
        self._default_headers = dict(default_headers or {})
        self._auth_header_factory = auth_header_factory
        self._propagate_request_id = propagate_request_id
        self._retries = retries

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    def request(self, method: str, path: str, **options: Any) -> Answer:
        """Send a request to a path below the base; a query in it is kept, `params` are added.

        Further options are httpx's: headers, content, data, files, json, cookies, auth, follow_redirects,
        timeout.

        Raises:
            ValueError: the path is an absolute URL or leaves the base.
            httpx.RequestError: no answer came.
        """
        raise NotImplementedError

    def get(self, path: str, **options: Any) -> Answer:
        """Send a GET request; see `request`."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Answer:
        """Send a POST request; see `request`."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Answer:
        """Send a PUT request; see `request`."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Answer:
        """Send a PATCH request; see `request`."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        """Send a DELETE request; see `request`."""
        return self.request("DELETE", path, **options)

    def head(self, path: str, **options: Any) -> Answer:
        """Send a HEAD request; see `request`."""
        return self.request("HEAD", path, **options)

    def options(self, path: str, **options: Any) -> Answer:
        """Send an OPTIONS request; see `request`."""
        return self.request("OPTIONS", path, **options)

    def _options(self) -> dict[str, Any]:
        """What another client of the same API is made with, credentials and transport aside."""
        return {
            "base_url": self.base_url,
            "timeout": self.timeout,
            "default_headers": self._default_headers,
            "propagate_request_id": self._propagate_request_id,
            "retries": self._retries,
        }

    def _url(self, path: str, params: Mapping[str, Any] | None = None) -> httpx.URL:
        import httpx

        check_path(path)
        url = httpx.URL(f"{self.base_url}/{path.lstrip('/')}")
        return url.copy_merge_params(params) if params is not None else url

    def _headers(self, call_headers: Mapping[str, str] | None) -> httpx.Headers:
        import httpx

        headers = httpx.Headers(self._default_headers)
        headers.update(self._auth_header_factory() if self._auth_header_factory else {})
        headers.update(call_headers)
        request_id = _request_id.get() if self._propagate_request_id else None
        if request_id:
            headers.setdefault(REQUEST_ID_HEADER, request_id)
        host = accepted_host(self.base_url)
        if host:
            headers.setdefault("Host", host)
        if settings.SECURE_SSL_REDIRECT and is_own_gateway(self.base_url):
            headers[own_calls.HEADER] = own_calls.sign()
        return headers

    def _pauses(self, method: str, options: Mapping[str, Any]) -> list[float]:
        """Seconds to wait before each further try; none for what must not be sent twice."""
        can_repeat = method.upper() in _IDEMPOTENT and not options.get("files")
        if not can_repeat or not isinstance(options.get("content", ""), (str, bytes)):
            return []
        return [_FIRST_PAUSE_S * 2**number for number in range(self._retries)]


class ApiClient(_Calls["httpx.Response"]):
    """Calls the API that Django serves, with paths below its base.

    Answers of every status are returned, not raised; redirects are not followed; proxies named in the
    environment are not used. A request that can be repeated is, when no answer or 502, 503 or 504 comes.
    Safe to use from several threads, and usable again after `close`.

    Example:
        with ApiClient() as client:
            orders = client.get("/orders", params={"state": "open"}).json()
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        default_headers: Mapping[str, str] | None = None,
        auth_header_factory: HeaderFactory | None = None,
        propagate_request_id: bool = False,
        transport: httpx.BaseTransport | None = None,
        retries: int = 2,
    ) -> None:
        """Make a client; it connects when it is first used.

        Args:
            base_url: URL of the API; by default that of this project.
            timeout: seconds for connecting, and for each silence while sending or receiving.
            default_headers: headers of every request.
            auth_header_factory: called for each request; its headers win over the default ones.
            propagate_request_id: send the id of `set_request_id` as `X-Request-ID`, so that the log can tell
                which calls belong together.
            transport: an httpx transport to send with instead of the network.
            retries: how often a request that can be repeated is, with longer pauses each time.
        """
        super().__init__(
            base_url, timeout, default_headers, auth_header_factory, propagate_request_id, retries
        )
        self._transport = transport or (in_process_transport() if _is_in_process(base_url) else None)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http: httpx.Client | None = None

    def __enter__(self) -> ApiClient:
        return self

    @classmethod
    def for_fluxlit(
        cls,
        *,
        bearer_token: str | None = None,
        auth_header_factory: HeaderFactory | None = None,
        **options: Any,
    ) -> ApiClient:
        """A client that sends a bearer token, or the headers that a function gives; further options as usual.

        Raises:
            TypeError: both are given.
        """
        if bearer_token is not None and auth_header_factory is not None:
            msg = "Give bearer_token or auth_header_factory, not both."
            raise TypeError(msg)
        if bearer_token is not None:
            auth_header_factory = _bearer(bearer_token)
        return cls(auth_header_factory=auth_header_factory, **options)

    def with_bearer(self, token: str) -> ApiClient:
        """A new client that sends this token as `Authorization: Bearer`, and no other credentials."""
        return ApiClient(
            transport=self._transport,
            auth_header_factory=_bearer(token, self._auth_header_factory),
            **self._options(),
        )

    def as_async(self) -> AsyncApiClient:
        """A new client for async code that sends the credentials which this one has now."""
        credentials = dict(self._auth_header_factory() if self._auth_header_factory else {})
        return AsyncApiClient(
            transport=_in_thread(self._transport) if self._transport is not None else None,
            auth_header_factory=lambda: credentials,
            **self._options(),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Send a request; see `get`, `post` and so on for the usual ones."""
        http, url = self._open(), self._url(path, params)
        for pause_s in self._pauses(method, options):
            try:
                response = http.request(method, url, headers=self._headers(headers), **options)
            except _connection_errors():
                response = None
            if response is not None and response.status_code not in _WORTH_ANOTHER_TRY:
                return response
            self._closing.wait(pause_s)
        return http.request(method, url, headers=self._headers(headers), **options)

    def get_model(self, path: str, model: Any, **options: Any) -> Any:
        """The answer to a GET as a pydantic model, a dataclass, or a list of these.

        Raises:
            httpx.HTTPStatusError: the status is 4xx or 5xx.
            ValueError: the answer does not fit.
        """
        return schema.validate_any(model, self.get(path, **options).raise_for_status().json())

    def post_model(
        self, path: str, response_model: Any, *, body: Any = None, json: Any = None, **options: Any
    ) -> Any:
        """The answer to a POST as `get_model` gives it; `body` is a pydantic model or a dataclass.

        Raises:
            TypeError: both `body` and `json` are given.
        """
        if body is not None and json is not None:
            msg = "Give body or json, not both."
            raise TypeError(msg)
        sent = json if body is None else _as_json(body)
        return schema.validate_any(
            response_model, self.post(path, json=sent, **options).raise_for_status().json()
        )

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            http, self._http = self._http, None
            self._closing.set()
        if http is not None:
            http.close()

    def _open(self) -> httpx.Client:
        # A page that never calls the API never pays for this import.
        import httpx

        with self._lock:
            self._closing.clear()
            if self._http is None:
                self._http = httpx.Client(timeout=self.timeout, trust_env=False, transport=self._transport)
            return self._http


class AsyncApiClient(_Calls[Coroutine[Any, Any, "httpx.Response"]]):
    """The same for async code: `await client.get("/orders")`. Close it on the event loop that used it.

    Example:
        async def both(client: AsyncApiClient) -> list[httpx.Response]:
            return await asyncio.gather(client.get("/orders"), client.get("/products"))
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        default_headers: Mapping[str, str] | None = None,
        auth_header_factory: HeaderFactory | None = None,
        propagate_request_id: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
        retries: int = 2,
    ) -> None:
        """Make a client; see `ApiClient`."""
        super().__init__(
            base_url, timeout, default_headers, auth_header_factory, propagate_request_id, retries
        )
        self._transport = transport or (
            _in_thread(in_process_transport()) if _is_in_process(base_url) else None
        )
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> AsyncApiClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Send a request; see `ApiClient.request`."""
        http, url = self._open(), self._url(path, params)
        for pause_s in self._pauses(method, options):
            try:
                response = await http.request(method, url, headers=self._headers(headers), **options)
            except _connection_errors():
                response = None
            if response is not None and response.status_code not in _WORTH_ANOTHER_TRY:
                return response
            await asyncio.sleep(pause_s)
        return await http.request(method, url, headers=self._headers(headers), **options)

    async def get_model(self, path: str, model: Any, **options: Any) -> Any:
        """See `ApiClient.get_model`."""
        return schema.validate_any(model, (await self.get(path, **options)).raise_for_status().json())

    @property
    def is_closed(self) -> bool:
        """Whether it holds no connection."""
        return self._http is None

    async def aclose(self) -> None:
        """Close all connections."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    def _open(self) -> httpx.AsyncClient:
        import httpx

        if self._http is None:
            self._http = httpx.AsyncClient(timeout=self.timeout, trust_env=False, transport=self._transport)
        return self._http


class _InThread:
    """A transport for async code, made of one that is not: an `httpx.AsyncBaseTransport`.

    Under `async_to_sync`, as in a page's async dependencies, each request is answered in the page's own
    thread, which has its database connection.
    """

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    async def __aenter__(self) -> _InThread:
        return self

    async def __aexit__(self, *error: object) -> None:
        """Nothing: what it is made of is not its own."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and read the answer."""
        return await sync_to_async(self._send)(request)

    async def aclose(self) -> None:
        """Nothing: see `__aexit__`."""

    def _send(self, request: httpx.Request) -> httpx.Response:
        import httpx

        response = self._transport.handle_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=response.read())


def _in_thread(transport: httpx.BaseTransport) -> httpx.AsyncBaseTransport:
    # It is one by its methods: to inherit them, this module would have to import httpx.
    return cast("httpx.AsyncBaseTransport", _InThread(transport))


def set_request_id(request_id: str | None) -> Token[str | None]:
    """Say which id clients with `propagate_request_id` send; give the token to `reset_request_id`."""
    return _request_id.set(request_id)


def reset_request_id(token: Token[str | None]) -> None:
    """Undo the `set_request_id` that returned this token."""
    _request_id.reset(token)


def in_process_transport() -> httpx.BaseTransport:
    """Answers from the project's own handler, in this process and thread: no network, no server."""
    import httpx

    from fluxlit_django import handlers  # loads Django's ORM, which a client by network does not need

    return httpx.WSGITransport(
        app=handlers.InProcessHandler(), script_name=conf.get_config().root_path, remote_addr="127.0.0.1"
    )


def _checked_base(base_url: str | None) -> str:
    try:
        return conf.parse_url(base_url or "")
    except ValueError as exc:
        msg = f"The API's base is {base_url!r}: {exc}."
        raise ValueError(msg) from None


def _is_in_process(base_url: str | None) -> bool:
    return base_url is None and conf.get_config().api_transport == "inprocess"


def _bearer(token: str, other: HeaderFactory | None = None) -> HeaderFactory:
    return lambda: {**(other() if other else {}), "Authorization": f"Bearer {token}"}


def _connection_errors() -> tuple[type[Exception], ...]:
    import httpx

    return (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


def _as_json(body: Any) -> Any:
    if schema.is_pydantic(type(body)):
        return body.model_dump(mode="json")
    return dataclasses.asdict(body) if dataclasses.is_dataclass(body) and not isinstance(body, type) else body


def check_path(path: str) -> None:
    """Refuse a path that would leave the API's base.

    Raises:
        ValueError: it is an absolute URL, or a segment of it is `..`, however it is written; or no text.
    """
    given: object = path
    if not isinstance(given, str):
        msg = f"The API path is {path!r}. Use a path below the API's base, such as '/orders'."
        raise ValueError(msg)
    parts = urlsplit(path)
    if parts.netloc or parts.scheme in {"http", "https"}:
        msg = f"The API path {path!r} is an absolute URL. Use a path below the API's base, such as '/orders'."
        raise ValueError(msg)
    if ".." in re.split(r"[/\\]", unquote(parts.path)):
        msg = f"The API path {path!r} has a '..' in it. Use a path below the API's base, such as '/orders'."
        raise ValueError(msg)


def default_base_url(config: conf.Config) -> str:
    """The URL by which this machine reaches the API: the one configured, else the gateway's own address."""
    if config.internal_api_base:
        return config.internal_api_base
    if config.api_transport == "inprocess":
        scheme = "https" if settings.SECURE_SSL_REDIRECT else "http"
        return f"{scheme}://127.0.0.1{config.api_mount_path}"
    host = config.gateway_host.strip("[]")
    host = _WILDCARD_HOSTS.get(host, host)
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{config.gateway_port}{config.root_path}{config.api_mount_path}"


def is_own_gateway(base_url: str) -> bool:
    """Whether a URL is on this machine, or at the address where the gateway listens."""
    host = urlsplit(base_url).hostname or ""
    return hosts.is_loopback(host) or host == conf.get_config().gateway_host.strip("[]")


def accepted_host(base_url: str) -> str | None:
    """The `Host` header that Django accepts from this machine, or None to leave the URL's own.

    A production site rarely lists its loopback address in ALLOWED_HOSTS.
    """
    host = urlsplit(base_url).hostname or ""
    if not hosts.is_loopback(host) or hosts.is_allowed(f"[{host}]" if ":" in host else host):
        return None
    return next((name.lstrip(".") for name in hosts.allowed_hosts() if name != "*"), None)

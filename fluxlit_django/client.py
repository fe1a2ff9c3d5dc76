"""The client with which pages call the project's own API."""

from __future__ import annotations

import ipaddress
import re
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.http.request import validate_host

from fluxlit_django import conf

if TYPE_CHECKING:
    import httpx

DEFAULT_TIMEOUT_S = 30.0

REQUEST_ID_HEADER = "X-Request-ID"

_WILDCARD_HOSTS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_DEBUG_HOSTS = [".localhost", "127.0.0.1", "[::1]"]  # What Django accepts in DEBUG with no ALLOWED_HOSTS.


class ApiClient:
    """Calls the API that Django serves, with paths below its base.

    Answers of every status are returned, not raised; redirects are not followed; proxies named in the
    environment are not used. Safe to use from several threads, and usable again after `close`.

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
        auth_header_factory: Callable[[], Mapping[str, str]] | None = None,
        request_id_factory: Callable[[], str | None] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Make a client; it connects when it is first used.

        Args:
            base_url: URL of the API; by default that of this project.
            timeout: seconds for connecting, and for each silence while sending or receiving.
            default_headers: headers of every request.
            auth_header_factory: called for each request; its headers win over the default ones.
            request_id_factory: called for each request; its result is sent as `X-Request-ID`.
            transport: an httpx transport to send with instead of the network.
        """
        self.base_url = (base_url or default_base_url(conf.get_config())).rstrip("/")
        self.timeout = timeout
        self._default_headers = dict(default_headers or {})
        self._auth_header_factory = auth_header_factory
        self._request_id_factory = request_id_factory
        self._transport = transport
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None

    def __repr__(self) -> str:
        return f"<ApiClient {self.base_url}>"

    def __enter__(self) -> ApiClient:
        return self

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
        """Send a request to a path below the base; a query in it is kept, `params` are added.

        Further options are httpx's: content, data, files, json, cookies, auth, follow_redirects, timeout.

        Raises:
            ValueError: the path is an absolute URL or leaves the base.
            httpx.RequestError: no answer came.
        """
        http = self._open()
        url = self._url(path)
        if params is not None:
            url = str(http.build_request("GET", url).url.copy_merge_params(params))
        return http.request(method, url, headers=self._headers(headers or {}), **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Send a GET request; see `request`."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """Send a POST request; see `request`."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        """Send a PUT request; see `request`."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> httpx.Response:
        """Send a PATCH request; see `request`."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        """Send a DELETE request; see `request`."""
        return self.request("DELETE", path, **options)

    def head(self, path: str, **options: Any) -> httpx.Response:
        """Send a HEAD request; see `request`."""
        return self.request("HEAD", path, **options)

    def options(self, path: str, **options: Any) -> httpx.Response:
        """Send an OPTIONS request; see `request`."""
        return self.request("OPTIONS", path, **options)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            http, self._http = self._http, None
        if http is not None:
            http.close()

    def _open(self) -> httpx.Client:
        # A page that never calls the API never pays for this import.
        import httpx

        with self._lock:
            if self._http is None:
                self._http = httpx.Client(timeout=self.timeout, trust_env=False, transport=self._transport)
            return self._http

    def _url(self, path: str) -> str:
        check_path(path)
        return f"{self.base_url}/{path.lstrip('/')}"

    def _headers(self, call_headers: Mapping[str, str]) -> httpx.Headers:
        import httpx

        headers = httpx.Headers(self._default_headers)
        headers.update(self._auth_header_factory() if self._auth_header_factory else {})
        headers.update(call_headers)
        request_id = self._request_id_factory() if self._request_id_factory else None
        if request_id:
            headers.setdefault(REQUEST_ID_HEADER, request_id)
        host = accepted_host(self.base_url)
        if host:
            headers.setdefault("Host", host)
        return headers


def check_path(path: str) -> None:
    """Refuse a path that would leave the API's base.

    Raises:
        ValueError: it is an absolute URL, or a segment of it is `..`, however it is written.
    """
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
    host = config.gateway_host.strip("[]")
    host = _WILDCARD_HOSTS.get(host, host)
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{config.gateway_port}{config.root_path}{config.api_mount_path}"


def accepted_host(base_url: str) -> str | None:
    """The `Host` header that Django accepts from this machine, or None to leave the URL's own.

    A production site rarely lists its loopback address in ALLOWED_HOSTS.
    """
    host = urlsplit(base_url).hostname or ""
    shown = f"[{host}]" if ":" in host else host
    allowed = settings.ALLOWED_HOSTS or (_DEBUG_HOSTS if settings.DEBUG else [])
    if not _is_loopback(host) or validate_host(shown, allowed):
        return None
    return next((name.lstrip(".") for name in allowed if name != "*"), None)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

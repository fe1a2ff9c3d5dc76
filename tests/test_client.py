from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_plus

import httpx
import pytest
from django.test import override_settings

from fluxlit_django import conf
from fluxlit_django.client import (
    ApiClient,
    AsyncApiClient,
    accepted_host,
    check_path,
    default_base_url,
    reset_request_id,
    set_request_id,
)


def echo(request: httpx.Request) -> httpx.Response:
    """Answer with what was asked."""
    headers = {
        name: value for name, value in request.headers.items() if name.startswith(("x-", "host", "auth"))
    }
    return httpx.Response(200, json={"method": request.method, "url": str(request.url), "headers": headers})


def make_client(**options: object) -> ApiClient:
    return ApiClient("http://api.test/api/", transport=httpx.MockTransport(echo), **options)  # type: ignore[arg-type]


@pytest.fixture
def api_server() -> Iterator[str]:
    """A real server that answers 200 with its request line."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.requestline.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_client__methods(method: str) -> None:
    """Every method sends itself to the path below the base."""
    with make_client() as client:
        response = getattr(client, method)("/orders/7")

    seen = response.json()
    assert (method.upper(), "http://api.test/api/orders/7") == (seen["method"], seen["url"])


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("orders", None, "/api/orders"),
        ("/orders?u=http://x.test/a", None, "/api/orders?u=http://x.test/a"),
        ("/orders?a=1", {"b": "2"}, "/api/orders?a=1&b=2"),
        ("/items/a:b", None, "/api/items/a:b"),
        ("/files/..hidden", None, "/api/files/..hidden"),
        ("", None, "/api/"),
    ],
)
def test_client__paths(path: str, params: dict[str, str] | None, expected: str) -> None:
    """A leading slash is optional, a URL may be a parameter, and params join the path's own query."""
    with make_client() as client:
        response = client.get(path, params=params)

    assert f"http://api.test{expected}" == response.json()["url"]


@pytest.mark.parametrize(
    "path",
    [
        "http://evil.test/orders",
        "HTTPS://evil.test",
        "//evil.test/orders",
        "http:/orders",
        "../admin",
        "/orders/../../admin",
        "/orders/%2e%2e/admin",
        "/orders/%2E./admin",
        "/orders/..%2fadmin",
        "/orders\\..\\admin",
        "/orders/..",
        None,
        b"/orders",
    ],
)
def test_check_path__leaves_the_base(path: Any) -> None:
    """Absolute URLs and parent segments are refused, however they are written, as is what is no text."""
    with pytest.raises(ValueError, match=rf"API path (is )?{re.escape(repr(path))}"):
        check_path(path)


@pytest.mark.parametrize("base", ["127.0.0.1:8000/api", "/api", "ftp://api.test"])
def test_client__base_that_is_none(base: str) -> None:
    """A base that is no URL is refused when the client is made."""
    with pytest.raises(ValueError, match=f"base is '{base}': use an absolute URL"):
        ApiClient(base)


def test_client__header_precedence() -> None:
    """The call's headers win over the factory's, and those over the defaults; a given request id stays."""
    client = make_client(
        default_headers={"X-A": "default", "X-B": "default", "X-C": "default"},
        auth_header_factory=lambda: {"X-B": "factory", "x-c": "factory", "Authorization": "Bearer t"},
        propagate_request_id=True,
    )

    token = set_request_id("from-the-page")
    first = client.get("/", headers={"x-C": "call"}).json()["headers"]
    second = client.get("/", headers={"X-Request-ID": "mine"}).json()["headers"]
    reset_request_id(token)
    client.close()

    assert ("default", "factory", "call") == (first["x-a"], first["x-b"], first["x-c"])
    assert "Bearer t" == first["authorization"]
    assert "from-the-page" == first["x-request-id"]
    assert "mine" == second["x-request-id"]


@pytest.mark.parametrize(("propagates", "known"), [(True, None), (False, "an-id")])
def test_client__no_request_id(propagates: bool, known: str | None) -> None:
    """Nothing is sent when there is none, or when the client was not told to."""
    token = set_request_id(known)
    with make_client(propagate_request_id=propagates) as client:
        assert "x-request-id" not in client.get("/").json()["headers"]
    reset_request_id(token)


def test_client__ignores_proxies(api_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is for the way out, not for the project's own API."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    with ApiClient(api_server) as client:
        response = client.get("/orders")

    assert "GET /api/orders HTTP/1.1" == response.text


def test_client__usable_after_close(api_server: str) -> None:
    """`st.cache_resource.clear()` closes a session's client in the middle of a run; the run goes on."""
    client = ApiClient(api_server)
    client.get("/first")

    client.close()
    response = client.get("/second")
    client.close()
    client.close()

    assert 200 == response.status_code


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "http://127.0.0.1:8000/api"),
        ({"gateway_host": "0.0.0.0", "gateway_port": 9000}, "http://127.0.0.1:9000/api"),
        ({"gateway_host": "::"}, "http://[::1]:8000/api"),
        ({"gateway_host": "fe80::1"}, "http://[fe80::1]:8000/api"),
        ({"gateway_host": "10.0.0.5", "root_path": "/team"}, "http://10.0.0.5:8000/team/api"),
        ({"api_mount_path": "/v1"}, "http://127.0.0.1:8000/v1"),
        ({"internal_api_base": "http://django:8000/api"}, "http://django:8000/api"),
    ],
)
def test_default_base_url__configurations(fields: dict[str, object], expected: str) -> None:
    """The gateway's address as seen from this machine."""
    assert expected == default_base_url(conf.Config(**fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "debug", "allowed", "expected"),
    [
        ("http://127.0.0.1:8000/api", True, [], None),
        ("http://[::1]:8000/api", True, [], None),
        ("http://127.0.0.1:8000/api", False, ["127.0.0.1"], None),
        ("http://127.0.0.1:8000/api", False, ["*"], None),
        ("http://127.0.0.1:8000/api", False, ["shop.example", "b.example"], "shop.example"),
        ("http://127.0.0.1:8000/api", False, [".shop.example"], "shop.example"),
        ("http://[::1]:8000/api", False, ["shop.example"], "shop.example"),
        ("http://django:8000/api", False, ["shop.example"], None),
        ("http://127.0.0.1:8000/api", False, [], None),
    ],
)
def test_accepted_host__allowed_hosts(
    url: str, debug: bool, allowed: list[str], expected: str | None, settings: object
) -> None:
    """Loopback requests carry a host that Django accepts; other URLs keep their own."""
    settings.DEBUG = debug  # type: ignore[attr-defined]
    settings.ALLOWED_HOSTS = allowed  # type: ignore[attr-defined]

    assert expected == accepted_host(url)


def test_door__loads_nothing_heavy() -> None:
    """`import fluxlit_django` and `site` load neither streamlit nor httpx nor models."""
    code = (
        "import sys, fluxlit_django; fluxlit_django.site; fluxlit_django.PageMeta; "
        "print([m for m in ('streamlit', 'httpx', 'django.db.models') if m in sys.modules])"
    )

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "[]\n" == output


def test_door__names() -> None:
    """Every name of `__all__` is there, and no other."""
    import fluxlit_django

    for name in fluxlit_django.__all__:
        assert getattr(fluxlit_django, name) is not None
    assert fluxlit_django.Page is fluxlit_django.PageMeta
    with pytest.raises(AttributeError, match="no attribute 'pages_of_gold'"):
        fluxlit_django.pages_of_gold  # noqa: B018


@dataclasses.dataclass
class Line:
    """A line of an order."""

    sku: str
    count: int = 1


def answering(*answers: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A transport with these answers in turn, and what it was sent."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        given = answers[min(len(sent), len(answers)) - 1]
        if isinstance(given, Exception):
            raise given
        return given

    return httpx.MockTransport(answer), sent


def test_get_model__dataclasses_and_pydantic() -> None:
    """Answers become models, and lists of them; a bad status raises."""
    transport, _ = answering(httpx.Response(200, json=[{"sku": "a", "count": "2"}]), httpx.Response(404))
    with ApiClient("http://api.test", transport=transport, retries=0) as client:
        assert [Line("a", 2)] == client.get_model("/lines", list[Line])
        with pytest.raises(httpx.HTTPStatusError):
            client.get_model("/lines", list[Line])


def test_post_model__body_or_json() -> None:
    """A model is sent as JSON; both at once is a mistake."""
    transport, sent = answering(httpx.Response(200, json={"sku": "a"}))
    with ApiClient("http://api.test", transport=transport) as client:
        assert Line("a") == client.post_model("/lines", Line, body=Line("b", 3))
        with pytest.raises(TypeError, match="body or json"):
            client.post_model("/lines", Line, body=Line("b"), json={})

    assert {"sku": "b", "count": 3} == json.loads(sent[0].content)


@pytest.mark.parametrize(
    ("method", "answers", "expected"),
    [
        ("GET", [httpx.ConnectError("no"), httpx.Response(200)], 2),
        ("GET", [httpx.Response(503), httpx.Response(502), httpx.Response(200)], 3),
        ("PUT", [httpx.Response(504), httpx.Response(200)], 2),
        ("GET", [httpx.Response(500)], 1),
        ("POST", [httpx.Response(503)], 1),
        ("PATCH", [httpx.Response(503)], 1),
    ],
)
def test_retries__of_what_can_be_repeated(method: str, answers: list[object], expected: int) -> None:
    """Only requests that can be sent twice are; the last answer is given as it is."""
    transport, sent = answering(*answers)  # type: ignore[arg-type]
    with ApiClient("http://api.test", transport=transport) as client:
        client.request(method, "/x")

    assert expected == len(sent)


def test_retries__run_out() -> None:
    """When they do, the last failure is the caller's."""
    transport, sent = answering(httpx.ConnectError("no"))
    with ApiClient("http://api.test", transport=transport) as client, pytest.raises(httpx.ConnectError):
        client.get("/x")

    assert 3 == len(sent)


def test_bearer__with_and_for() -> None:
    """A token is sent; the parent's other headers stay."""
    transport, sent = answering(httpx.Response(200))
    parent = ApiClient("http://api.test", transport=transport, auth_header_factory=lambda: {"X-A": "1"})
    parent.with_bearer("t").get("/x")
    ApiClient.for_fluxlit(bearer_token="u", base_url="http://api.test", transport=transport).get("/x")

    assert ("1", "Bearer t") == (sent[0].headers["X-A"], sent[0].headers["Authorization"])
    assert "Bearer u" == sent[1].headers["Authorization"]
    with pytest.raises(TypeError, match="not both"):
        ApiClient.for_fluxlit(bearer_token="t", auth_header_factory=dict)


async def test_async_client__the_same() -> None:
    """The async twin has every verb, refuses the same paths, and repeats what it may."""
    transport, sent = answering(httpx.Response(503), httpx.Response(200, json={"sku": "a"}))
    async with AsyncApiClient("http://api.test/api", transport=transport) as client:
        assert Line("a") == await client.get_model("/x", Line, params={"q": "1"})
        for call in (client.post, client.put, client.patch, client.delete, client.head, client.options):
            await call("/x")
        with pytest.raises(ValueError, match=r"'\.\.'"):
            await client.get("/../x")

    assert ["GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] == [r.method for r in sent]
    assert "http://api.test/api/x?q=1" == str(sent[1].url)


@pytest.mark.django_db
def test_in_process__answers_without_a_server() -> None:
    """With FLUXLIT_API_TRANSPORT=inprocess the project's own handler answers, middleware and all."""
    with override_settings(FLUXLIT={"API_TRANSPORT": "inprocess", "ROOT_PATH": "/bi"}), ApiClient() as client:
        assert 200 == client.get("/products", params={"page_size": 1}).status_code
        assert 401 == client.get("/orders").status_code


@pytest.mark.django_db(transaction=True)
async def test_in_process__async() -> None:
    """The async client answers from the same handler, GET and POST alike."""
    with override_settings(FLUXLIT={"API_TRANSPORT": "inprocess"}):
        async with AsyncApiClient() as client:
            found = await client.get("/products", params={"page_size": 1})
            refused = await client.post("/orders", json={"a": 1})  # has no token, so Django asks for CSRF's

    assert (200, 403) == (found.status_code, refused.status_code)
    assert isinstance(found.json(), dict)


async def test_as_async__the_same_api_and_credentials() -> None:
    """What the client sends at that moment, its async twin sends; closing one leaves the other."""
    credentials = {"Authorization": "Bearer first"}
    client = make_client(auth_header_factory=lambda: credentials, default_headers={"X-A": "1"})
    async with client.as_async() as twin:
        credentials = {"Authorization": "Bearer second"}
        seen = (await twin.get("/orders", params={"q": "ä b"})).json()

    assert ("Bearer first", "1") == (seen["headers"]["authorization"], seen["headers"]["x-a"])
    assert "http://api.test/api/orders?q=ä b" == unquote_plus(seen["url"])
    assert 200 == client.get("/").status_code
    client.close()


def test_door__has_all_it_names() -> None:
    """Every name that the package offers is there."""
    import fluxlit_django

    for name in fluxlit_django.__all__:
        assert getattr(fluxlit_django, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fluxlit_django.nothing  # noqa: B018

"""What a proxy in front may say of the browser, and who may say it."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from django.core import signing
from django.test import override_settings
from django.utils import timezone

from fluxlit_django.asgi import get_asgi_application
from fluxlit_django.client import ApiClient, AsyncApiClient
from fluxlit_django.gateway.edge import Edge, forwarded_for
from fluxlit_django.trust import own_calls

FORGED = [
    (b"x-forwarded-for", b"1.2.3.4"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"evil.example"),
    (b"x-real-ip", b"1.2.3.4"),
    (b"forwarded", b"for=1.2.3.4;proto=https"),
]


def scope(peer: str | None, *headers: tuple[bytes, bytes], kind: str = "http") -> dict:
    """A request's scope as the server gives it."""
    return {
        "type": kind,
        "scheme": "http" if kind == "http" else "ws",
        "client": (peer, 50_000) if peer else None,
        "headers": [(b"host", b"inside:8000"), *headers],
    }


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8",)])
@pytest.mark.parametrize("peer", ["192.0.2.7", None])
def test_restore__untrusted_peer(trusted, peer):
    """What a stranger says of addresses, schemes and hosts is dropped, for Django too."""
    restored = Edge(trusted).restore(scope(peer, *FORGED))

    assert [(b"host", b"inside:8000")] == restored["headers"]
    assert "http" == restored["scheme"]
    assert (peer or "unknown") == forwarded_for(restored)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"203.0.113.9", "203.0.113.9"),
        # The browser sent the first address itself; the proxy appended the one it saw.
        (b"1.2.3.4, 203.0.113.9", "203.0.113.9"),
        (b"1.2.3.4, 203.0.113.9, 10.0.0.8", "203.0.113.9"),
        (b"10.0.0.9, 10.0.0.8", "10.0.0.9"),
        (b"", "10.0.0.1"),
        (b"2001:db8::9", "2001:db8::9"),
        (b"not an address", "not an address"),
    ],
)
def test_restore__client_is_the_first_that_no_proxy_vouches_for(line, expected):
    """The browser's address is the last one in the chain that is not a trusted proxy's."""
    restored = Edge(["10.0.0.0/8"]).restore(scope("10.0.0.1", (b"x-forwarded-for", line)))

    assert expected == restored["client"][0]
    assert forwarded_for(restored).startswith(expected)


@pytest.mark.parametrize(("kind", "expected"), [("http", "https"), ("websocket", "wss")])
def test_restore__scheme_and_host(kind, expected):
    """A trusted proxy's scheme and host are the request's."""
    said = [(b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"Shop.example")]

    restored = Edge(["10.0.0.1"]).restore(scope("10.0.0.1", *said, kind=kind))

    assert expected == restored["scheme"]
    assert (b"host", b"shop.example") in restored["headers"]


@pytest.mark.parametrize(
    ("trusted", "peer", "expected"),
    [
        (["10.0.0.0/8"], "10.200.3.4", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.1"], "10.0.0.1", True),
        # A dual-stack socket shows IPv4 peers like this.
        (["10.0.0.1"], "::ffff:10.0.0.1", True),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["10.0.0.1"], "unix", False),
        (["*"], None, True),
        ([], "127.0.0.1", False),
    ],
)
def test_is_trusted(trusted, peer, expected):
    """Addresses and networks, of both families."""
    assert expected is Edge(trusted).is_trusted(peer)


def test_restore__nothing_forwarded():
    """A request without such headers passes as it is."""
    plain = scope("192.0.2.7")

    assert plain is Edge(()).restore(plain)


@pytest.mark.parametrize("trusted", [(), ("127.0.0.0/8",)])
@pytest.mark.parametrize(("kind", "expected"), [("http", "https"), ("websocket", "wss")])
def test_restore__own_call(trusted, kind, expected):
    """A call that the project's own process has signed is https; Django does not see the signature."""
    signed = (own_calls.HEADER.lower().encode(), own_calls.sign().encode())

    restored = Edge(trusted).restore(scope("127.0.0.1", signed, kind=kind))

    assert (expected, [(b"host", b"inside:8000")]) == (restored["scheme"], restored["headers"])


@pytest.mark.parametrize(
    "forge",
    [
        lambda: "https",
        lambda: "https:1:forged",
        lambda: own_calls.sign()[:-1],
        lambda: signing.TimestampSigner(salt="another").sign("https"),
        lambda: signing.TimestampSigner(key="another key", salt="fluxlit_django.trust.own_calls").sign(
            "https"
        ),
        lambda: signing.TimestampSigner(salt="fluxlit_django.trust.own_calls").sign("http"),
        lambda: "\xff",
        lambda: "",
    ],
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.7"])
def test_restore__own_call_forged(forge, peer):
    """Who has not the project's key cannot claim https, from wherever."""
    header = (own_calls.HEADER.lower().encode(), forge().encode("latin-1"))

    restored = Edge(["10.0.0.1"]).restore(scope(peer, header, *FORGED))

    assert ("http", [(b"host", b"inside:8000")]) == (restored["scheme"], restored["headers"])


def test_own_call__does_not_last():
    """A signature of more than a minute ago counts no more."""
    signer = signing.TimestampSigner(salt="fluxlit_django.trust.own_calls")
    old = timezone.now() - timedelta(minutes=2)
    stamp = signing.b62_encode(int(old.timestamp()))
    value = f"https:{stamp}"

    assert not own_calls.is_genuine(f"{value}:{signer.signature(value)}")
    assert own_calls.is_genuine(own_calls.sign())


@pytest.mark.django_db(transaction=True)
async def test_own_call__is_not_redirected():
    """With SECURE_SSL_REDIRECT a page's client gets its answer by loopback; a stranger is sent to https."""
    with override_settings(SECURE_SSL_REDIRECT=True, ALLOWED_HOSTS=["shop.example"]):
        gateway = httpx.ASGITransport(get_asgi_application(), client=("127.0.0.1", 50_000))
        async with AsyncApiClient("http://127.0.0.1:8000/api", transport=gateway) as client:
            answer = await client.get("/products")
            elsewhere = await client.get("/products", headers={own_calls.HEADER.lower(): "forged"})
        async with httpx.AsyncClient(transport=gateway, headers={"Host": "shop.example"}) as stranger:
            sent_away = await stranger.get(
                "http://127.0.0.1:8000/api/products", headers={"X-Forwarded-Proto": "https"}
            )

    assert (200, 200) == (answer.status_code, elsewhere.status_code)
    assert (301, "https://shop.example/api/products") == (
        sent_away.status_code,
        sent_away.headers["Location"],
    )


@pytest.mark.parametrize(
    ("base_url", "redirects", "expected"),
    [
        ("http://127.0.0.1:8000/api", True, True),
        ("http://[::1]:8000/api", True, True),
        ("http://127.0.0.1:8000/api", False, False),
        ("http://api.example/api", True, False),
    ],
)
def test_own_call__signed_for_the_own_gateway_only(base_url, redirects, expected):
    """No other host gets a signature, and none is made where nothing redirects."""
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(own_calls.HEADER in request.headers)
        return httpx.Response(200)

    with (
        override_settings(SECURE_SSL_REDIRECT=redirects),
        ApiClient(base_url, transport=httpx.MockTransport(answer)) as client,
    ):
        client.get("/x")

    assert [expected] == sent

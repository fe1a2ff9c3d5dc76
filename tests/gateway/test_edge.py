"""What a proxy in front may say of the browser, and who may say it."""

from __future__ import annotations

import pytest

from fluxlit_django.gateway.edge import Edge, forwarded_for

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

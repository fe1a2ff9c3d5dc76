"""Which headers cross the gateway, as tables."""

from __future__ import annotations

import pytest

from fluxlit_django.gateway import headers


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        (b"accept", True),
        (b"range", True),
        (b"x-xsrftoken", True),
        (b"traceparent", True),
        (b"tracestate", False),
        (b"authorization", False),
        (b"x-forwarded-for", False),
        (b"forwarded", False),
        (b"x-remote-user", False),
        (b"x-fluxlit-user-id", False),
        (b"x-fluxlit-anything", False),
        (b"x-request-id", False),
        (b"transfer-encoding", False),
        (b"upgrade", False),
        (b"expect", False),
        (b"sec-websocket-key", False),
    ],
)
def test_to_sidecar__default_deny(name: bytes, passes: bool) -> None:
    """A header reaches a sidecar when it is on the list, or opened by the setting."""
    allowed = headers.allowed_names(["traceparent"])

    passed = headers.to_sidecar([(name, b"x")], allowed)

    assert ([(name.decode(), "x")] if passes else []) == passed


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Cookie",
        "host",
        "content-length",
        "x-request-id",
        "connection",
        "te",
        "proxy-authorization",
        "x-forwarded-user",
        "sec-websocket-protocol",
        "x-fluxlit-user-id",
    ],
)
def test_allowed_names__that_no_setting_opens(name: str) -> None:
    """Credentials, one hop's headers and the gateway's own stay closed, and the check hears of it."""
    allowed = headers.allowed_names([name, "tracestate"])

    assert headers.TO_SIDECAR | {b"tracestate"} == allowed
    assert [name] == headers.refused_names([name, "tracestate"])


def test_to_sidecar__repeated_and_nominated() -> None:
    """Repeated headers keep their order; what `Connection` names stays on its hop."""
    sent = [
        (b"accept", b"a"),
        (b"connection", b"close, Range"),
        (b"range", b"bytes=0-"),
        (b"connection", b"if-range"),
        (b"if-range", b"x"),
        (b"accept", b"b"),
    ]

    assert [("accept", "a"), ("accept", "b")] == headers.to_sidecar(sent, headers.TO_SIDECAR)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"sessionid=x; csrftoken=y", b""),
        (
            b"_streamlit_xsrf=2|a|b|3; sessionid=x; _streamlit_user=u",
            b"_streamlit_xsrf=2|a|b|3; _streamlit_user=u",
        ),
        (b'_streamlit_xsrf="a=b=c"', b'_streamlit_xsrf="a=b=c"'),
        (b"theme=%C3%A9;_streamlit_x=\xc3\xa9", b"theme=%C3%A9; _streamlit_x=\xc3\xa9"),
        (b"x_streamlit_user=1; themes=2; =3; ;", b""),
        (b"_STREAMLIT_user=1", b""),
        (b"sessionid=a; _streamlit_user", b"_streamlit_user"),
    ],
)
def test_keep_cookies(sent: bytes, kept: bytes) -> None:
    """Streamlit's cookies and the named ones pass byte for byte; a session's never do."""
    assert kept == headers.keep_cookies(sent, frozenset({b"theme"}))


def test_without_reserved() -> None:
    """Names that only the gateway sets are dropped, in every spelling that Django might take for them."""
    sent = [
        (b"x-fluxlit-user-id", b"1"),
        (b"X-FluxLit-User-Id", b"2"),
        (b"x_fluxlit_user_id", b"3"),
        (b"x-fluxlit_user-id", b"4"),
        (b"x_forwarded_proto", b"https"),
        (b"x-fluxli", b"5"),
    ]

    assert [(b"x-fluxli", b"5")] == headers.without_reserved(sent)


def test_from_sidecar() -> None:
    """What is for one hop, and who the sidecar is, stays inside."""
    sent = [
        (b"Content-Type", b"a"),
        (b"Set-Cookie", b"1"),
        (b"Set-Cookie", b"2"),
        (b"Connection", b"keep-alive, X-Inner,x-other"),
        (b"x-inner", b"x"),
        (b"X-Other", b"x"),
        (b"Keep-Alive", b"x"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Server", b"x"),
        (b"Date", b"x"),
        (b"X-Request-Id", b"x"),
    ]

    passed = headers.from_sidecar(sent)

    assert [(b"content-type", b"a"), (b"set-cookie", b"1"), (b"set-cookie", b"2")] == passed


@pytest.mark.parametrize(
    ("cookie", "added"),
    [
        (b"a=1; Path=/; SameSite=None; Secure", b"; Partitioned"),
        (b"a=1; samesite=none;secure", b"; Partitioned"),
        (b"a=1; SameSite=None; Secure; Partitioned", b""),
        (b"a=1; SameSite=None", b""),
        (b"a=1; SameSite=Lax; Secure", b""),
        (b"samesite=none; secure", b""),
        (b"", b""),
    ],
)
def test_from_sidecar__cookie_for_frames(cookie: bytes, added: bytes) -> None:
    """A cookie that is for frames of other sites is one that browsers keep there."""
    assert [(b"set-cookie", cookie + added)] == headers.from_sidecar([(b"Set-Cookie", cookie)])


@pytest.mark.parametrize("value", [b"plain", "你".encode(), b"\xe9", b"\xff\xfe", b""])
def test_as_text__never_fails(value: bytes) -> None:
    """Any bytes become text that can be sent; UTF-8 stays what it is."""
    text = headers.as_text(value)

    assert text.encode() == value or text == value.decode("latin-1")


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        (b"abc-1.2_3", True),
        (b"x" * 64, True),
        (b"x" * 65, False),
        (b"", False),
        (b"a b", False),
        (b"a\tb", False),
        (b"a\n", False),
        (b"\xc3\xa9", False),
        (b"<script>", False),
    ],
)
def test_request_id(given: bytes, is_kept: bool) -> None:
    """A short harmless id is kept, any other replaced by one of 16 characters."""
    used = headers.request_id([(b"x-request-id", given)])

    assert is_kept == (used == given.decode("latin-1"))
    assert is_kept or len(used) == 16


def test_request_id__none_given() -> None:
    """Each request without an id gets its own."""
    assert headers.request_id([]) != headers.request_id([])

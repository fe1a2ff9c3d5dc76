"""Which headers cross the gateway. Values in, values out; nothing here knows of a connection."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

Headers = Iterable[tuple[bytes, bytes]]

RESERVED_PREFIX = b"x-fluxlit-"
"""Only the gateway sets headers of this name; inbound ones are dropped on every hop."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110 §7.6.1, with the old names that are still seen."""

TO_SIDECAR = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"access-control-request-headers",
        b"access-control-request-method",
        b"cache-control",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-type",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"last-event-id",
        b"origin",
        b"pragma",
        b"range",
        b"referer",
        b"user-agent",
        # Streamlit 1.67's uploader sends its double-submit token in this one.
        b"x-xsrftoken",
    }
)
"""What a Streamlit app needs of a request. Everything else stays out unless a setting lists it."""

NEVER_TO_SIDECAR = (
    frozenset({b"authorization", b"cookie", b"set-cookie", b"host", b"content-length", b"x-request-id"})
    | HOP_BY_HOP
)
"""Names that the setting of further headers cannot open, besides `X-Forwarded-*` and the reserved prefix."""

_STREAMLIT_COOKIE = b"_streamlit_"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def get(headers: Headers, name: bytes) -> bytes | None:
    """The first value of a header, or None."""
    for key, value in headers:
        if key == name:
            return value
    return None


def without_reserved(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers without those that only the gateway may set.

    Names with a `_` go too: Django, as WSGI before it, takes them for their namesakes with a `-`, so that
    `X_Forwarded_Proto` would pass for what only a proxy may say (CVE-2015-0219).
    """
    return [
        (name, value)
        for name, value in headers
        if b"_" not in name and not name.lower().startswith(RESERVED_PREFIX)
    ]


def allowed_names(further: Iterable[str]) -> frozenset[bytes]:
    """The names that may reach a sidecar, with those that a setting adds and may add."""
    added = {name.lower().encode() for name in further}
    return TO_SIDECAR | {name for name in added if _may_be_opened(name)}


def refused_names(further: Iterable[str]) -> list[str]:
    """The names in a setting that cannot be opened, for the system check that reports them."""
    return [name for name in further if not _may_be_opened(name.lower().encode())]


def _may_be_opened(name: bytes) -> bool:
    closed = name in NEVER_TO_SIDECAR or name.startswith(
        (b"x-forwarded-", b"sec-websocket-", RESERVED_PREFIX)
    )
    return not closed


def _nominated(headers: Headers) -> set[bytes]:
    """The names that a message's `Connection` headers say are for one hop only."""
    return {
        token.strip().lower()
        for name, value in headers
        if name == b"connection"
        for token in value.split(b",")
    }


def to_sidecar(
    headers: Headers, allowed: frozenset[bytes], cookies: frozenset[bytes] = frozenset()
) -> list[tuple[str, str]]:
    """The client's headers that a sidecar gets, repeated ones included, in their order.

    Args:
        headers: names in lower case, as ASGI gives them.
        allowed: made by `allowed_names`.
        cookies: names of cookies that pass besides Streamlit's own.
    """
    headers = list(headers)
    allowed = allowed - _nominated(headers)
    passed = []
    for name, value in headers:
        if name in allowed:
            passed.append((name.decode("ascii"), as_text(value)))
        elif name == b"cookie" and (kept := keep_cookies(value, cookies)):
            passed.append(("cookie", as_text(kept)))
    return passed


def keep_cookies(header: bytes, names: frozenset[bytes]) -> bytes:
    """Streamlit's own cookies and the named ones, each byte for byte.

    Streamlit compares its XSRF cookie `2|mask|token|time` as raw text; a proxy that quotes or
    percent-encodes it breaks uploads (streamlit/streamlit#5793).
    """
    kept = []
    for pair in header.split(b";"):
        name = pair.partition(b"=")[0].strip()
        if name.startswith(_STREAMLIT_COOKIE) or name in names:
            kept.append(pair.strip())
    return b"; ".join(kept)


def from_sidecar(raw_headers: Headers) -> list[tuple[bytes, bytes]]:
    """A sidecar's response headers that a browser gets: no hop-by-hop ones, no banner, no id but ours."""
    headers = [(name.lower(), value) for name, value in raw_headers]
    dropped = HOP_BY_HOP | _nominated(headers) | {b"server", b"date", b"x-request-id"}
    return [
        (name, _partitioned(value) if name == b"set-cookie" else value)
        for name, value in headers
        if name not in dropped
    ]


def _partitioned(cookie: bytes) -> bytes:
    """A cookie for frames of other sites as browsers that block those keep it: one for each framing site.

    Streamlit (1.67) sets its XSRF cookie so with `server.xsrfCookieSameSite=none`, without `Partitioned`.
    """
    attributes = {attribute.strip().lower() for attribute in cookie.split(b";")[1:]}
    is_for_frames = {b"samesite=none", b"secure"} <= attributes
    return cookie + b"; Partitioned" if is_for_frames and b"partitioned" not in attributes else cookie


def as_text(value: bytes) -> str:
    """A header value as text that aiohttp, which writes UTF-8, sends with the same bytes.

    Bytes that are not UTF-8 arrive re-encoded; they never fail the request.
    """
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def request_id(headers: Headers) -> str:
    """The client's `X-Request-ID` when it is short and harmless, else a new one of 16 characters."""
    given = get(headers, b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return secrets.token_hex(8)

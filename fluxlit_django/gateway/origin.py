"""Where a request may come from: the Host it names and, for WebSockets, the page that opens it."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.utils.http import is_same_domain

from fluxlit_django.gateway import headers as header_policy
from fluxlit_django.trust import hosts


def is_host_allowed(headers: header_policy.Headers) -> bool:
    """Whether Django would serve the request's Host, by `ALLOWED_HOSTS` and `DEBUG`."""
    named = [value for name, value in headers if name == b"host"]
    return len(named) == 1 and hosts.is_allowed(named[0].decode("latin-1"))


def is_origin_allowed(headers: header_policy.Headers, *, is_secure: bool) -> bool:
    """Whether a WebSocket may be opened by the page that its Origin names.

    Cookies go along with a handshake from any site, and the same-origin policy doesn't hold for
    WebSockets, so a missing or foreign Origin is refused. Allowed are the request's own Host and
    `CSRF_TRUSTED_ORIGINS`, as in Django's CSRF check.

    Args:
        is_secure: whether the handshake came over TLS. A page that did not, which anybody on the way may have
            written, opens no such socket.
    """
    origins = [value for name, value in headers if name == b"origin"]
    if len(origins) != 1:
        return False
    origin = origins[0].decode("latin-1")
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return False
    host = (header_policy.get(headers, b"host") or b"").decode("latin-1")
    is_own = parts.netloc == host and (parts.scheme == "https" or not is_secure)
    return is_own or _is_trusted(origin, parts.scheme, parts.netloc)


def _is_trusted(origin: str, scheme: str, netloc: str) -> bool:
    for trusted in settings.CSRF_TRUSTED_ORIGINS:
        if "*" not in trusted:
            if origin == trusted:
                return True
            continue
        pattern = urlsplit(trusted)
        if scheme == pattern.scheme and is_same_domain(netloc, pattern.netloc.lstrip("*")):
            return True
    return False

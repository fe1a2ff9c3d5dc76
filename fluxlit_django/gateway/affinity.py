"""Which sidecar serves a browser: the same one every time, found without a shared table.

A browser carries a signed random token; rendezvous hashing turns it into a sidecar. When one goes,
only its own browsers move.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
from collections.abc import Sequence

from django.core.signing import BadSignature, Signer
from django.http import parse_cookie

from fluxlit_django.control import SidecarStatus
from fluxlit_django.gateway.headers import Headers

COOKIE_NAME = "fluxlit_affinity"
_SALT = "fluxlit_django.affinity"


def new_cookie() -> str:
    """A new signed token, as a cookie's value."""
    return Signer(salt=_SALT).sign(secrets.token_urlsafe(9))


@functools.lru_cache(maxsize=4096)
def is_genuine(cookie: str) -> bool:
    """Whether we signed this cookie's value."""
    try:
        Signer(salt=_SALT).unsign(cookie)
    except BadSignature:
        return False
    return True


def token(headers: Headers) -> str:
    """The affinity token in a request's cookies; "" when it carries none of ours."""
    cookies = b"; ".join(value for name, value in headers if name == b"cookie")
    cookie = parse_cookie(cookies.decode("latin-1")).get(COOKIE_NAME, "") if cookies else ""
    return cookie if cookie and is_genuine(cookie) else ""


def choose(sidecars: Sequence[SidecarStatus], key: str) -> SidecarStatus:
    """The sidecar with the highest hash for this key (rendezvous hashing). There must be one."""
    if len(sidecars) == 1:
        return sidecars[0]
    return max(sidecars, key=lambda sidecar: hashlib.blake2b(f"{key}\0{sidecar.name}".encode()).digest())

"""Which sidecar serves a browser: the same one every time, found without a shared table.

A browser carries a signed random key; rendezvous hashing turns it into a sidecar. When one goes, only its
own browsers move. Beside the key stands the generation of sidecars that was the newest when the browser
loaded its page: while a replaced sidecar drains, the browsers that began with it stay with it.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.signing import BadSignature, Signer
from django.http import parse_cookie

from fluxlit_django.control import SidecarStatus
from fluxlit_django.gateway import headers as header_policy

COOKIE_NAME = "fluxlit_affinity"
_SALT = "fluxlit_django.affinity"


@dataclass(frozen=True)
class Affinity:
    """Where a browser belongs."""

    key: str
    generation: int | None = None
    """The newest generation when its page was loaded; None when that is not known."""


def new_key() -> str:
    """A key for a browser that has none."""
    return secrets.token_urlsafe(9)


def make_cookie(affinity: Affinity) -> str:
    """The signed value of the cookie."""
    return Signer(salt=_SALT).sign(f"{affinity.key}.{affinity.generation}")


@functools.lru_cache(maxsize=4096)
def parse_cookie_value(cookie: str) -> Affinity | None:
    """What a cookie's value says, or None when we did not sign it."""
    try:
        key, _, generation = Signer(salt=_SALT).unsign(cookie).rpartition(".")
        return Affinity(key, int(generation))
    except (BadSignature, ValueError):
        return None


def of_request(scope: Any) -> Affinity:
    """Where the browser of a request belongs.

    A browser that sends no cookie of ours, as one that blocks them in a frame of another site, is known by
    its address and its name: several such browsers may share a sidecar, but each one stays with its own.
    """
    cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
    cookie = parse_cookie(cookies.decode("latin-1")).get(COOKIE_NAME, "") if cookies else ""
    known = parse_cookie_value(cookie) if cookie else None
    if known is not None:
        return known
    address = scope["client"][0] if scope.get("client") else ""
    agent = header_policy.get(scope["headers"], b"user-agent") or b""
    return Affinity(f"{address}\0{agent.decode('latin-1')}")


def in_order(sidecars: Iterable[SidecarStatus], affinity: Affinity) -> list[SidecarStatus]:
    """An app's sidecars that may answer, the browser's own first.

    Of those of one name, the browser belongs to the newest that was there when its page was loaded. One
    that drains is no other browser's first choice while anything else serves.
    """
    ordered = sorted(sidecars, key=lambda sidecar: _rank(sidecar, affinity), reverse=True)
    if len(ordered) > 1 and affinity.generation is not None:
        name = _name_of_key(ordered, affinity.key)
        own = [sidecar for sidecar in ordered if sidecar.name == name]
        known = [sidecar for sidecar in own if sidecar.generation <= affinity.generation]
        first = max(known or own, key=lambda sidecar: sidecar.generation)
        ordered.sort(key=lambda sidecar: sidecar is not first)
    return ordered


def _rank(sidecar: SidecarStatus, affinity: Affinity) -> tuple[bool, bytes, int]:
    return sidecar.state != "draining", _weight(sidecar.name, affinity.key), sidecar.generation


def _name_of_key(sidecars: Iterable[SidecarStatus], key: str) -> str:
    return max({sidecar.name for sidecar in sidecars}, key=lambda name: _weight(name, key))


def _weight(name: str, key: str) -> bytes:
    """Rendezvous hashing: of all names, the one with the highest weight for a key is the key's."""
    return hashlib.blake2b(f"{key}\0{name}".encode()).digest()

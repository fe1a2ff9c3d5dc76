"""The proxy in front: what it says of the browser counts only when the settings name its address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from fluxlit_django.gateway import headers as header_policy
from fluxlit_django.trust import own_calls

OWN_CALL = own_calls.HEADER.lower().encode()
FORWARDED = b"forwarded"
FORWARDED_PREFIX = b"x-forwarded-"
REAL_IP = b"x-real-ip"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Edge:
    """Rewrites each request's scope to what the browser sent, as far as trusted proxies tell.

    Args:
        trusted: addresses and networks of the proxies; "*" for every peer.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        entries = list(trusted)
        self._trusts_everybody = "*" in entries
        self._networks = [ipaddress.ip_network(entry, strict=False) for entry in entries if entry != "*"]

    def is_trusted(self, address: str | None) -> bool:
        """Whether a peer of this address is one of the proxies."""
        if self._trusts_everybody:
            return True
        if not address or not self._networks:
            return False
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        return any((mapped or ip) in network for network in self._networks)

    def restore(self, scope: Any) -> Any:
        """The scope with the browser's address, scheme and host in the place of the proxy's.

        From a peer that is no trusted proxy, whatever it says of these is dropped, for Django as well. A call
        of the project's own processes is https: nobody can listen in on it.
        """
        restored = self._restore(scope)
        signature = header_policy.get(scope["headers"], OWN_CALL)
        if signature is None:
            return restored
        headers = [(name, value) for name, value in restored["headers"] if name != OWN_CALL]
        is_own = own_calls.is_genuine(signature.decode("latin-1"))
        scheme = _scheme(scope, secure=True) if is_own else restored.get("scheme", "http")
        return {**restored, "headers": headers, "scheme": scheme}

    def _restore(self, scope: Any) -> Any:
        peer = scope["client"][0] if scope.get("client") else None
        kept = [(name, value) for name, value in scope["headers"] if not _is_forwarded(name)]
        if not self.is_trusted(peer):
            return scope if len(kept) == len(scope["headers"]) else {**scope, "headers": kept}
        said = {name: value for name, value in scope["headers"] if _is_forwarded(name)}
        chain = self._chain(scope["headers"], peer)
        host = _first(said.get(b"x-forwarded-host"))
        if host:
            kept = [(name, host if name == b"host" else value) for name, value in kept]
        secure = _first(said.get(b"x-forwarded-proto")) in {b"https", b"wss"}
        return {
            **scope,
            "headers": [*kept, *((name, value) for name, value in said.items() if name != FORWARDED)],
            "client": (chain[0], 0) if chain else scope.get("client"),
            "scheme": _scheme(scope, secure) if b"x-forwarded-proto" in said else scope.get("scheme", "http"),
            "fluxlit.forwarded_for": chain,
        }

    def _chain(self, headers: header_policy.Headers, peer: str | None) -> list[str]:
        """The browser's address and then the proxies', nearest last; what is left of it anybody can claim."""
        line = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        said = [part.strip() for part in line.decode("latin-1").split(",") if part.strip()]
        chain = [peer] if peer else []
        for address in reversed(said):
            chain.insert(0, address)
            if not self.is_trusted(address):
                break
        return chain


def forwarded_for(scope: Any) -> str:
    """The `X-Forwarded-For` for a sidecar: the browser's address first."""
    chain = scope.get("fluxlit.forwarded_for")
    if chain:
        return ", ".join(chain)
    return scope["client"][0] if scope.get("client") else "unknown"


def _is_forwarded(name: bytes) -> bool:
    return name.startswith(FORWARDED_PREFIX) or name in {FORWARDED, REAL_IP}


def _first(value: bytes | None) -> bytes:
    return value.split(b",")[0].strip().lower() if value else b""


def _scheme(scope: Any, secure: bool) -> str:
    if scope["type"] == "websocket":
        return "wss" if secure else "ws"
    return "https" if secure else "http"

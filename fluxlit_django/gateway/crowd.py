"""How many sockets a worker takes: who is let in has room, whoever knocks must not take it all."""

from __future__ import annotations

import ipaddress
from collections import Counter


class Crowd:
    """Counts the sockets that are not let in yet, for each address they come from.

    A flood from one address is refused beyond its share, so that there is room for others. Those who are let
    in, or who have gone, count no more.

    Args:
        most: sockets that may wait at a time.
        most_of_one: of these, the share of one address; for IPv6, of one network of 64 bits.
    """

    def __init__(self, most: int = 2048, most_of_one: int = 128) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._waiting: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count one more; False, and not counted, when there is no room for it."""
        key = _key(address)
        if self._waiting.total() >= self._most or self._waiting[key] >= self._most_of_one:
            return False
        self._waiting[key] += 1
        return True

    def leave(self, address: str) -> None:
        """Count one less."""
        key = _key(address)
        self._waiting[key] -= 1
        if not self._waiting[key]:
            del self._waiting[key]


def _key(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)

"""How much a worker takes at a time: there is room for many, and nobody can take it all."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
from collections import Counter
from collections.abc import Iterator


class Crowd:
    """Counts what is there at a time, for each one it comes from: an address, or another name.

    A flood from one is refused beyond its share, so that there is room for others. What is let in, or has
    gone, counts no more.

    Args:
        most: that may be there at a time.
        most_of_one: of these, the share of one; of the addresses of IPv6, a network of 64 bits is one.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._waiting: Counter[str] = Counter()
        self._count = 0

    def enter(self, whose: str) -> bool:
        """Count one more; False, and not counted, when there is no room for it."""
        key = _key(whose)
        if self._count >= self._most or self._waiting[key] >= self._most_of_one:
            return False
        self._waiting[key] += 1
        self._count += 1
        return True

    @contextlib.contextmanager
    def place(self, whose: str) -> Iterator[bool]:
        """A place for as long as the block; False when there is none."""
        has_place = self.enter(whose)
        try:
            yield has_place
        finally:
            if has_place:
                self.leave(whose)

    def leave(self, whose: str) -> None:
        """Count one less."""
        key = _key(whose)
        self._waiting[key] -= 1
        self._count -= 1
        if not self._waiting[key]:
            del self._waiting[key]


@functools.lru_cache(maxsize=4096)
def _key(whose: str) -> str:
    try:
        ip = ipaddress.ip_address(whose)
    except ValueError:
        return whose
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)

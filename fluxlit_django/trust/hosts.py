"""Which hosts Django serves: its own rule, for requests that are no Django requests."""

from __future__ import annotations

import functools
import ipaddress

from django.conf import settings
from django.http.request import split_domain_port, validate_host

_DEBUG_HOSTS = (".localhost", "127.0.0.1", "[::1]")


def allowed_hosts() -> tuple[str, ...]:
    """The patterns that count: `ALLOWED_HOSTS`, or in DEBUG without them this machine's names.

    As `HttpRequest.get_host()` in Django 5.2 to 6.1; read each time, for `override_settings`.
    """
    return tuple(settings.ALLOWED_HOSTS) or (_DEBUG_HOSTS if settings.DEBUG else ())


def is_allowed(host: str) -> bool:
    """Whether Django would serve this `Host`, which may have a port."""
    return _matches(host, allowed_hosts())


@functools.lru_cache(maxsize=256)
def _matches(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


def is_loopback(host: str) -> bool:
    """Whether a host, or an address, is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

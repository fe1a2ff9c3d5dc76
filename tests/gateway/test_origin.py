"""Hosts and origins, as tables."""

from __future__ import annotations

import pytest

from fluxlit_django.gateway import origin


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"example.com", True),
        (b"EXAMPLE.com:8000", True),
        (b"example.com.", True),
        (b"a.shop.example", True),
        (b"shop.example", True),
        (b"[::1]:8000", True),
        (b"evil.example", False),
        (b"example.com.evil.example", False),
        (b"example.com@evil.example", False),
        (b"example.com/evil", False),
        (b"example.com, evil.example", False),
        (b"evil.example:example.com", False),
        (b"[::1", False),
        (b"\xff", False),
        (b"", False),
    ],
)
def test_is_host_allowed(settings, host: bytes, expected: bool) -> None:
    """As Django has it, by `ALLOWED_HOSTS`."""
    settings.ALLOWED_HOSTS = ["example.com", ".shop.example", "[::1]"]

    assert expected == origin.is_host_allowed([(b"host", host)])


@pytest.mark.parametrize(("debug", "expected"), [(True, True), (False, False)])
def test_is_host_allowed__none_configured(settings, debug: bool, expected: bool) -> None:
    """Without `ALLOWED_HOSTS`, local names do in development only."""
    settings.ALLOWED_HOSTS = []
    settings.DEBUG = debug

    assert expected == origin.is_host_allowed([(b"host", b"localhost:8000")])
    assert not origin.is_host_allowed([(b"host", b"evil.example")])


@pytest.mark.parametrize("fields", [[], [(b"host", b"example.com"), (b"host", b"example.com")]])
def test_is_host_allowed__not_just_one(settings, fields: list[tuple[bytes, bytes]]) -> None:
    """No Host, or two, is never allowed."""
    settings.ALLOWED_HOSTS = ["*"]

    assert not origin.is_host_allowed(fields)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"http://example.com:8000", True),
        (b"https://example.com:8000", True),
        (b"https://trusted.example", True),
        (b"https://a.wild.example", True),
        (b"http://trusted.example", False),
        (b"https://trusted.example.evil.example", False),
        (b"https://evilwild.example", False),
        (b"http://example.com", False),
        (b"http://example.com:8001", False),
        (b"http://example.com:8000.evil.example", False),
        (b"http://example.com:8000@evil.example", False),
        (b"http://user@example.com:8000", False),
        (b"ftp://example.com:8000", False),
        (b"example.com:8000", False),
        (b"file://", False),
        (b"null", False),
        (b"http://[", False),
        (b"http://[evil", False),
        (b"\xff\xfe", False),
        (b"", False),
    ],
)
def test_is_origin_allowed(settings, value: bytes, expected: bool) -> None:
    """The request's own host, and `CSRF_TRUSTED_ORIGINS` as in Django's CSRF check."""
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example", "https://*.wild.example"]

    fields = [(b"host", b"example.com:8000"), (b"origin", value)]

    assert expected == origin.is_origin_allowed(fields, is_secure=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"https://example.com", True), (b"http://example.com", False), (b"http://trusted.example", True)],
)
def test_is_origin_allowed__over_tls(settings, value: bytes, expected: bool) -> None:
    """A page that came without TLS opens no socket over it, unless the project trusts that page."""
    settings.CSRF_TRUSTED_ORIGINS = ["http://trusted.example"]
    fields = [(b"host", b"example.com"), (b"origin", value)]

    assert expected == origin.is_origin_allowed(fields, is_secure=True)


@pytest.mark.parametrize("origins", [[], [b"http://example.com", b"http://example.com"]])
def test_is_origin_allowed__not_just_one(origins: list[bytes]) -> None:
    """No Origin, or two, is never allowed."""
    fields = [(b"host", b"example.com"), *((b"origin", value) for value in origins)]

    assert not origin.is_origin_allowed(fields, is_secure=False)

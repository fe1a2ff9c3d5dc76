"""Secrets are taken out of free text."""

import pytest

from fluxlit_django.redaction.values import Scrubber, secrets_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("could not connect to postgres://ada:pa@ss@db:5432/shop", "postgres://[REDACTED]@db:5432/shop"),
        ("GET http://127.0.0.1:8000/ for ada@example.org", "GET http://127.0.0.1:8000/ for ada@example.org"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [REDACTED]"),
        ("api_key='x y', retries=3", "api_key=[REDACTED], retries=3"),
        ('{"client_secret": "abc", "name": "shop"}', '{"client_secret": [REDACTED], "name": "shop"}'),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=[REDACTED] psql"),
        ("KeyError: 'token'", "KeyError: 'token'"),
        ("ModuleNotFoundError: No module named 'shop'", "ModuleNotFoundError: No module named 'shop'"),
        ("http://[REDACTED]@h/?token=[REDACTED] refused", "http://[REDACTED]@h/?token=[REDACTED] refused"),
        ("/orders?fluxlit_sid=abc123&page=2", "/orders?fluxlit_sid=[REDACTED]&page=2"),
        ("the key is correct-horse-battery!", "the key is [REDACTED]!"),
    ],
)
def test_scrub(text, expected):
    """Known values, users in URLs and what stands after a secret's name go; the rest stays."""
    scrubber = Scrubber(["correct-horse-battery"], parameters=["fluxlit_sid"])

    scrubbed = scrubber.scrub(text)

    assert scrubbed.endswith(expected)


def test_scrub__short_values():
    """A value of few characters is in too much text to be taken out of it."""
    assert "a cat sat" == Scrubber(["a", ""]).scrub("a cat sat")


def test_scrub__nothing_known():
    """Without known secrets and parameters, the forms still go."""
    assert "redis://[REDACTED]@cache" == Scrubber().scrub("redis://:pw@cache")


def test_scrub_all():
    """Texts are scrubbed however deep they are; numbers stay."""
    scrubbed = Scrubber(["hunter2!"]).scrub_all({"a": ["hunter2!", 3, {"b": "hunter2!"}], "c": None})

    assert {"a": ["[REDACTED]", 3, {"b": "[REDACTED]"}], "c": None} == scrubbed


def test_secrets_of():
    """Secrets are found by name and in URLs, as written and as meant, however deep they are."""
    values = {
        "SECRET_KEY": "one",
        "SECRET_KEY_FALLBACKS": ["two"],
        "DATABASES": {"default": {"NAME": "shop", "PASSWORD": "three"}},
        "CACHES": {"default": {"LOCATION": "redis://:fo%40ur@cache/0"}},
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
        "TIME_ZONE": "UTC",
        "API_TOKEN": 5,
    }

    assert {"one", "two", "three", "fo%40ur", "fo@ur"} == set(secrets_of(values))

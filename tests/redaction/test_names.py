"""What is taken out of reports and messages."""

from __future__ import annotations

import pytest

from fluxlit_django.redaction.names import redact, redact_arguments


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://ann:s3cret@shop.example/x", "https://[REDACTED]@shop.example/x"),
        ("redis://:p@ss/w,o'r d@host:6379/0", "redis://[REDACTED]@host:6379/0"),
        ("ann:s3cret@shop.example", "[REDACTED]@shop.example"),
        ("https://shop.example/x?y=1", "https://shop.example/x?y=1"),
        ("Shop at ann@shop.example", "Shop at ann@shop.example"),
        ("http://h/?a=1&api_key=x&b=2", "http://h/?a=1&api_key=[REDACTED]&b=2"),
        ("'http://h/?token=x', and", "'http://h/?token=[REDACTED]', and"),
        (("a", "http://u:p@h"), ("a", "http://[REDACTED]@h")),
        (
            {"token": "x", "empty_token": "", "limit": 5},
            {"token": "[REDACTED]", "empty_token": "", "limit": 5},
        ),
        ({"hosts": ["http://u:p@h"]}, {"hosts": ["http://[REDACTED]@h"]}),
        (7, 7),
        (None, None),
    ],
)
def test_redact(value, expected):
    """Users and passwords in URLs go, and what a query or a dict has under a secret name."""
    assert expected == redact(value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("manage.py fluxlit_run --port 8000", "manage.py fluxlit_run --port 8000"),
        ("x --password s3cret --json", "x --password [REDACTED] --json"),
        ("x --password=s3cret", "x --password=[REDACTED]"),
        ("x --url https://u:p@h/", "x --url https://[REDACTED]@h/"),
        ("x --token --json", "x --token --json"),
    ],
)
def test_redact_arguments(arguments, expected):
    """A command line keeps its options and loses their secrets."""
    assert expected.split() == redact_arguments(arguments.split())

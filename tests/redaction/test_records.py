"""What is kept out of log lines."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxlit_django.redaction.records import Redaction, redacting

REDACTION = Redaction(["shop_sid"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET /x?shop_sid=abc&page=2", "GET /x?shop_sid=[REDACTED]&page=2"),
        ("/x?page=2&Token=abc HTTP/1.1", "/x?page=2&Token=[REDACTED] HTTP/1.1"),
        ("/cb?code=1&state=2", "/cb?code=[REDACTED]&state=[REDACTED]"),
        ("/x?access_token=a;session_key=b", "/x?access_token=[REDACTED];session_key=[REDACTED]"),
        ("/x?old-password=abc#top", "/x?old-password=[REDACTED]#top"),
        ("/x?%74oken=abc", "/x?%74oken=[REDACTED]"),
        ("/x?shop_sid=", "/x?shop_sid="),
        ("/login?next=/y%3Fshop_sid%3Dabc%26a%3Db", "/login?next=/y%3Fshop_sid%3D[REDACTED]%26a%3Db"),
        ("/a?u=%2Fb%3Fu%3D%252Fc%253Ftoken%253Dabc", "/a?u=/b%3Fu%3D/c%253Ftoken%253D[REDACTED]"),
        ("redis://ann:s3cret@cache:6379/0 refused", "redis://[REDACTED]@cache:6379/0 refused"),
        ("//ann@shop.example/x", "//[REDACTED]@shop.example/x"),
        ("url='http://h/x?token=abc'", "url='http://h/x?token=[REDACTED]'"),
        ('{"u": "/x?token=abc"}', '{"u": "/x?token=[REDACTED]"}'),
        ("/x?postcode=1010&author=ada&monkey=1", "/x?postcode=1010&author=ada&monkey=1"),
        ("the state=ready of ann@shop.example", "the state=ready of ann@shop.example"),
    ],
)
def test_text(text: str, expected: str) -> None:
    """Values of secret parameters go, at any depth of encoding; everything else stays as it was."""
    assert expected == REDACTION.text(text)


@pytest.mark.parametrize(("query", "expected"), [("", ""), ("code=1&a=b", "code=[REDACTED]&a=b")])
def test_query(query: str, expected: str) -> None:
    """A query needs no question mark in front."""
    assert expected == REDACTION.query(query)


@given(st.text(min_size=6).filter(lambda text: text not in "[REDACTED]"))
def test_query__any_secret(secret: str) -> None:
    """Whatever the value is, it does not come through, and no other parameter is lost."""
    shown = REDACTION.query(f"a=1&token={quote(secret, safe='')}&b=2")

    assert [("a", "1"), ("token", "[REDACTED]"), ("b", "2")] == parse_qsl(shown)


@given(st.text())
def test_text__anything(text: str) -> None:
    """Any text can be redacted, and once is enough."""
    once = REDACTION.text(text)

    assert once == REDACTION.text(once)


@pytest.fixture
def shown() -> Iterator[Callable[..., str]]:
    """Logs a message with its arguments through a redacting factory, and gives the line."""
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(redacting(logging.LogRecord, REDACTION, except_for="clean"))
    logger = logging.Logger("noisy")
    stream = io.StringIO()
    logger.addHandler(logging.StreamHandler(stream))

    def log(message: object, *arguments: object, exc_info: object = None) -> str:
        logger.warning(message, *arguments, exc_info=exc_info)
        return stream.getvalue().removesuffix("\n")

    yield log
    logging.setLogRecordFactory(before)


class Address:
    """An argument that is no text."""

    def __str__(self) -> str:
        return "http://h/?token=abc"


@pytest.mark.parametrize(
    ("message", "arguments", "expected"),
    [
        ("GET /?token=abc", (), "GET /?token=[REDACTED]"),
        ("100 % of /?token=abc", (), "100 % of /?token=[REDACTED]"),
        ("%s took %d ms", ("/?token=abc", 5), "/?token=[REDACTED] took 5 ms"),
        ("GET %s", (Address(),), "GET http://h/?token=[REDACTED]"),
        (Address(), (), "http://h/?token=[REDACTED]"),
        ("%(path)s %(status)s", ({"path": "/?token=abc", "status": 200},), "/?token=[REDACTED] 200"),
        ("/?token=%s", ("abc",), "/?token=[REDACTED]"),
    ],
)
def test_redacting(shown: Callable[..., str], message: object, arguments: tuple, expected: str) -> None:
    """Message and arguments of any kind are shown without secrets."""
    assert expected == shown(message, *arguments)


def test_redacting__traceback(shown: Callable[..., str]) -> None:
    """The text of an exception holds no secret either."""
    try:
        raise ValueError("no answer from http://ann:pw@h/?token=abc")
    except ValueError as exc:
        line = shown("It failed", exc_info=exc)

    assert line.startswith("It failed\nTraceback")
    assert line.endswith("no answer from http://[REDACTED]@h/?token=[REDACTED]")


def test_redacting__keeps_arguments() -> None:
    """A formatter that takes the arguments apart, as uvicorn's access log does, still can."""
    make = redacting(logging.LogRecord, REDACTION, except_for="clean")

    record = make("uvicorn.access", 20, "", 0, '"%s %s" %d', ("GET", "/?token=abc", 200), None)

    assert ("GET", "/?token=[REDACTED]", 200) == record.args


def test_redacting__wrong_arguments() -> None:
    """A record whose arguments do not fit is left for its handler to report."""
    make = redacting(logging.LogRecord, REDACTION, except_for="clean")

    record = make("noisy", 20, "", 0, "%d", ("x",), None)

    assert ("x",) == record.args


def test_redacting__except_for() -> None:
    """The records of the excepted logger are left as they are."""
    make = redacting(logging.LogRecord, REDACTION, except_for="clean")

    record = make("clean", 20, "", 0, "/?token=abc", None, None)

    assert "/?token=abc" == record.getMessage()

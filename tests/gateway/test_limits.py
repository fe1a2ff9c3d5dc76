"""What a request may weigh, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from fluxlit_django.exceptions import UpstreamBroken
from fluxlit_django.gateway import limits


def receiver(*messages: Any) -> Any:
    """An ASGI callable that gives these messages."""
    waiting = iter(messages)

    async def receive() -> Any:
        return next(waiting)

    return receive


def part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    """A message with a part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"0", 0), (b"17", 17), (b"", None), (b"-1", None), (b"1.5", None), (b"0x10", None), (b"\xb2", None)],
)
def test_declared_length(value: bytes, expected: int | None) -> None:
    """A length is a run of digits, or it is none."""
    assert expected == limits.declared_length([(b"content-length", value)])


def test_declared_length__astronomical() -> None:
    """A length of more digits than Python converts is larger than any cap."""
    length = limits.declared_length([(b"content-length", b"9" * 5000)])

    assert length is not None
    assert length > 1 << 60


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], False),
        ([(b"content-length", b"0")], False),
        ([(b"content-length", b"1")], True),
        ([(b"transfer-encoding", b"chunked")], True),
    ],
)
def test_has_body(fields: list[tuple[bytes, bytes]], expected: bool) -> None:
    """A body is announced by either framing."""
    assert expected == limits.has_body(fields)


@pytest.mark.parametrize(
    ("size", "expected"), [(limits.MAX_HEADER_BYTES, False), (limits.MAX_HEADER_BYTES + 1, True)]
)
def test_is_header_too_large(size: int, expected: bool) -> None:
    """Names and values count, all together."""
    half = size // 2

    assert expected == limits.is_header_too_large([(b"a", b"x" * (half - 1)), (b"b" * (size - half), b"")])


async def test_body__passes_whole() -> None:
    """All parts pass, empty ones left out, and the end is known."""
    body = limits.Body(receiver(part(b"ab"), part(b""), part(b"cd", more=False)), 4)

    chunks = [chunk async for chunk in body]

    assert [b"ab", b"cd"] == chunks
    assert (4, True, None) == (body.passed, body.is_complete, body.failure)


@pytest.mark.parametrize(
    ("messages", "failure"),
    [([part(b"abc"), part(b"de")], limits.BodyTooLarge), ([part(b"a"), GONE], limits.ClientGone)],
)
async def test_body__fails(messages: list[Any], failure: type[Exception]) -> None:
    """Over the cap, or left in the middle: reading it raises, and the reason is kept."""
    body = limits.Body(receiver(*messages), 4)

    with pytest.raises(failure):
        [chunk async for chunk in body]

    assert isinstance(body.failure, failure)
    assert not body.is_complete


async def test_body__without_a_cap() -> None:
    """A cap of 0 is none."""
    body = limits.Body(receiver(part(b"x" * 1000, more=False)), 0)

    assert [b"x" * 1000] == [chunk async for chunk in body]


async def test_body__is_read_once() -> None:
    """A client that would send what is left of a body as the whole of it is stopped."""
    body = limits.Body(receiver(part(b"a"), part(b"b", more=False)), 0)
    await anext(aiter(body))

    with pytest.raises(UpstreamBroken):
        aiter(body)


async def test_capped_body__over_the_cap_the_browser_seems_gone() -> None:
    """Django is told that the browser left, and so keeps nothing of the body."""
    body = limits.CappedBody(receiver(part(b"abc"), part(b"de")), 4)

    assert part(b"abc") == await body.receive()
    assert not body.is_over
    assert GONE == await body.receive()
    assert body.is_over

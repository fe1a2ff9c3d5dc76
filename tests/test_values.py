"""Text from a request, as the type that a page asks for."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any, Literal, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxlit_django.values import coerce, is_optional


class Size(enum.Enum):
    """How large."""

    SMALL = "s"
    LARGE = 2


@pytest.mark.parametrize(
    ("texts", "annotation", "expected"),
    [
        (["a", "b"], str, "b"),
        ([" 7 "], int, 7),
        (["1.5"], float, 1.5),
        (["1.50"], Decimal, Decimal("1.50")),
        (["yes"], bool, True),
        (["off"], bool, False),
        (["2026-01-31"], dt.date, dt.date(2026, 1, 31)),
        (["2026-01-31T12:00:00Z"], dt.datetime, dt.datetime(2026, 1, 31, 12, tzinfo=dt.timezone.utc)),
        (["12:30"], dt.time, dt.time(12, 30)),
        (["12345678123456781234567812345678"], uuid.UUID, uuid.UUID("12345678123456781234567812345678")),
        (["2"], Size, Size.LARGE),
        (["SMALL"], Size, Size.SMALL),
        (["2"], Literal[1, 2], 2),
        (["3"], int | None, 3),
        (["3"], Optional[int], 3),  # noqa: UP045
        (["x"], Union[str, int], "x"),  # noqa: UP007
        (["4"], str | int, 4),
        (["1", "2"], list[int], [1, 2]),
        (["1", "2"], tuple[int, ...], (1, 2)),
        (["1", "1"], set[int], {1}),
        (["a"], list, ["a"]),
        (["x"], Any, "x"),
        (["x"], "Unresolved", "x"),
    ],
)
def test_coerce__known(texts: list[str], annotation: Any, expected: Any) -> None:
    """Each known type has its text."""
    assert expected == coerce(texts, annotation)


@pytest.mark.parametrize(
    ("text", "annotation", "remedy"),
    [
        ("many", int, "use a whole number"),
        ("9" * 5000, int, "use a shorter number"),
        ("nan", float, "use a number"),
        ("1e999999", float, "use a number"),
        ("inf", Decimal, "use a number"),
        ("maybe", bool, "use true or false"),
        ("31.1.2026", dt.date, "use a date such as 2026-01-31"),
        ("3", Size, "use s or 2"),
        ("3", Literal["a", "b", "c"], "use a, b or c"),
        ("x", int | bool, "use a whole number or use true or false"),
    ],
)
def test_coerce__wrong(text: str, annotation: Any, remedy: str) -> None:
    """What does not fit is refused with what would."""
    with pytest.raises(ValueError, match=f"^{remedy}$"):
        coerce([text], annotation)


KNOWN = [int, float, Decimal, bool, dt.date, dt.datetime, dt.time, uuid.UUID, Size, Literal["a"], list[int]]


@given(st.text(), st.sampled_from(KNOWN))
def test_coerce__any_text(text: str, annotation: Any) -> None:
    """No text raises anything but ValueError with a remedy."""
    message = "use "
    try:
        coerce([text], annotation)
    except ValueError as exc:
        message = str(exc)

    assert message.startswith("use ")


def test_is_optional() -> None:
    """None is a value of `X | None`, and of what nothing is known of."""
    assert [True, True, True, False] == [is_optional(x) for x in (int | None, Any, "Text", int)]

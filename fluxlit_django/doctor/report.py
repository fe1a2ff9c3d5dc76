"""What the doctor finds, one row a check."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Status(str, enum.Enum):
    """How a check ended."""

    PASS = "PASS"
    SKIP = "SKIP"
    """It could not be tried; the detail says what it needs."""
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Row:
    """One check."""

    name: str
    status: Status
    detail: str
    remedy: str = ""


def passed(name: str, detail: str) -> Row:
    """A check that found nothing wrong."""
    return Row(name, Status.PASS, detail)


def warned(name: str, detail: str, remedy: str) -> Row:
    """A check that found what may be meant."""
    return Row(name, Status.WARN, detail, remedy)


def failed(name: str, detail: str, remedy: str) -> Row:
    """A check that found what does not work."""
    return Row(name, Status.FAIL, detail, remedy)


def skipped(name: str, detail: str) -> Row:
    """A check that could not be tried."""
    return Row(name, Status.SKIP, detail)


def overall(rows: Iterable[Row]) -> Status:
    """The worst of all; what was skipped does not count."""
    found = {row.status for row in rows}
    return next((status for status in (Status.FAIL, Status.WARN) if status in found), Status.PASS)

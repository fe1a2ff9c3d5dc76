"""Reads a `.env` file into the environment; a line that is none is an error with its place, not a log entry.

# settings.py
from fluxlit_django.env_file import read_env_file

read_env_file(BASE_DIR / ".env")
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import environ

from fluxlit_django.exceptions import ConfigError

# What django-environ takes for an assignment (0.12, `Env.read_env`).
_ASSIGNMENT = re.compile(r"(?:export )?([A-Za-z_0-9]+)=(.*)")
_NAME = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z_0-9]*)")

_places: dict[str, tuple[str, str]] = {}


def read_env_file(path: str | Path) -> None:
    """Set what a file assigns, one `NAME=value` a line. What is set already stays; no file is no fault.

    Raises:
        ConfigError: the file cannot be read, or a line in it is no assignment.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        msg = f"{path} cannot be read: {reason}. Mend it or take it away."
        raise ConfigError(msg) from None  # the cause would show what is in the file
    for number, name, value in _assignments(text, path):
        os.environ.setdefault(name, value)
        _places[name] = (f"{path}, line {number}", value)


def place_of(variable: str) -> str:
    """The file and line that a variable of the environment came from; "" when it was there before."""
    place, value = _places.get(variable, ("", ""))
    return place if os.environ.get(variable) == value else ""


def _assignments(text: str, path: str | Path) -> Iterator[tuple[int, str, str]]:
    """The number, name and value of every assignment."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if problem := _problem(line):
            msg = f"{path}, line {number}: {problem}"
            raise ConfigError(msg)
        for name, value in _parse(line).items():
            yield number, name, value


def _parse(line: str) -> dict[str, str]:
    """An assignment as django-environ reads it, which sets what it reads in a mapping of its class."""

    class Line(environ.Env):  # type: ignore[misc]
        ENVIRON: ClassVar[dict[str, str]] = {}

    Line.read_env(io.StringIO(line))
    return Line.ENVIRON


def _problem(line: str) -> str:
    """What is wrong with a line, "" for nothing. The value is not shown: it may be a secret."""
    found = _ASSIGNMENT.fullmatch(line)
    if found is None:
        name = _NAME.match(line.strip())
        shown = f"which begins with {name[1]!r}" if name else "which begins with no name"
        return (
            f"this line, {shown}, is not NAME=value. "
            "Write it without spaces before the name and around the =, or put # before a comment."
        )
    value = found[2]
    if value[:1] in {"'", '"'} and (len(value) < 2 or value[-1] != value[0]):
        return f"the value of {found[1]} opens a quote, {value[0]}, and does not close it. Close it there."
    return ""

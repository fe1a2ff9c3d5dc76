"""How log lines look, and where they are shown."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fluxlit_django import logs
from fluxlit_django.redaction.records import Redaction

ROOT = Path(__file__).parents[1]

LINE = "/?token=abc&fluxlit_sid=def"
SHOW = """
import django, logging, os
from django.conf import settings
settings.configure(
    SECRET_KEY="x",
    DEBUG=bool(os.environ.get("DEBUG")),
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "fluxlit_django"],
    LOGGING=eval(os.environ["LOGGING"]),
)
django.setup()
from fluxlit_django import conf, logs
logs.make_visible(conf.get_config())
logs.request_id.set("r-1")
logging.getLogger("fluxlit_django.access").info("our line")
logging.getLogger("django.request").warning("Django's line %s", os.environ["LINE"])
logging.getLogger("shop").info("the shop's line")
logging.getLogger("uvicorn.error").info("noise")
"""


def show(logging_setting: object = None, **environment: str) -> list[str]:
    """What a process shows that has this `LOGGING`."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("FLUXLIT_", "DJANGO_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        env={**clean, "LOGGING": repr(logging_setting or {}), "LINE": LINE, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr.splitlines()


class Writes(io.StringIO):
    """A stream that remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return len(text)


def record(message: str, *, is_access: bool) -> logging.LogRecord:
    name = logs.ACCESS_LOGGER if is_access else "shop"
    return logging.LogRecord(name, logging.INFO, __file__, 1, message, None, None)


async def test_handler__access_lines_together() -> None:
    """The access lines of one turn of the loop are one write, in their order."""
    stream = Writes()
    handler = logs.Handler(stream)

    handler.handle(record("one", is_access=True))
    handler.handle(record("two", is_access=True))
    before = list(stream.writes)
    await asyncio.sleep(0)
    handler.handle(record("three", is_access=True))
    await asyncio.sleep(0)

    assert ([], ["one\ntwo\n", "three\n"]) == (before, stream.writes)


async def test_handler__other_lines_at_once() -> None:
    """Whatever else is logged is written at once, from a thread too, behind what came before."""
    stream = Writes()
    handler = logs.Handler(stream)

    handler.handle(record("one", is_access=True))
    handler.handle(record("two", is_access=False))
    handler.handle(record("three", is_access=True))
    await asyncio.to_thread(handler.handle, record("four", is_access=False))

    assert ["one\ntwo\n", "three\nfour\n"] == stream.writes


def test_handler__no_loop() -> None:
    """Where no loop runs, there is nothing to wait for."""
    stream = Writes()

    logs.Handler(stream).handle(record("one", is_access=True))

    assert ["one\n"] == stream.writes


def test_handler__line_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    """A line that fails is reported as Python reports such, and those after it are written."""
    stream = Writes()
    handler = logs.Handler(stream)

    handler.handle(logging.LogRecord("shop", logging.INFO, __file__, 1, "%d", ("no number",), None))
    handler.handle(record("two", is_access=False))

    assert ["two\n"] == stream.writes
    assert "--- Logging error ---" in capsys.readouterr().err


@pytest.mark.parametrize("debug", ["", "1"])
def test_make_visible__nothing_configured(debug: str) -> None:
    """Everything is shown once, with time, level and request id, and without secrets; noise is not."""
    lines = show(DEBUG=debug)

    assert [
        "INFO    our line request_id=r-1",
        "WARNING django.request: Django's line /?token=[REDACTED]&fluxlit_sid=[REDACTED] request_id=r-1",
        "INFO    shop: the shop's line request_id=r-1",
    ] == [line.split(" ", 2)[2] for line in lines]


def test_make_visible__json() -> None:
    """With FLUXLIT_LOG_FORMAT=json every line is an object."""
    lines = [json.loads(line) for line in show(FLUXLIT_LOG_FORMAT="json")]

    assert ["our line", "Django's line /?token=[REDACTED]&fluxlit_sid=[REDACTED]", "the shop's line"] == [
        line["message"] for line in lines
    ]
    assert {"r-1"} == {line["request_id"] for line in lines}


def test_make_visible__url_session_parameter() -> None:
    """The parameter that carries the id of a URL session is secret under whatever name it is configured."""
    lines = show(FLUXLIT_URL_SESSION_QUERY_PARAM="visit", LINE="/?visit=abc&a=b&fluxlit_sid=def")

    assert "/?visit=[REDACTED]&a=b&fluxlit_sid=def" in lines[1]


def test_make_visible__level() -> None:
    """FLUXLIT_LOG_LEVEL is the least level that is shown."""
    lines = show(FLUXLIT_LOG_LEVEL="warning")

    assert 1 == len(lines)


def test_make_visible__project_shows_all() -> None:
    """A project whose LOGGING shows everything has it in its own form, once, with the id where asked for."""
    lines = show(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"id": {"()": "fluxlit_django.logs.RequestIdFilter"}},
            "formatters": {"own": {"format": "own %(request_id)s %(message)s"}},
            "handlers": {
                "own": {"class": "logging.StreamHandler", "formatter": "own", "filters": ["id"]},
            },
            "root": {"handlers": ["own"], "level": "INFO"},
        }
    )

    assert [
        "own r-1 our line",
        "own r-1 Django's line /?token=[REDACTED]&fluxlit_sid=[REDACTED]",
        "own r-1 the shop's line",
    ] == lines


def test_make_visible__project_shows_some() -> None:
    """A project whose LOGGING shows only some loggers keeps that; our lines are shown beside them."""
    lines = show(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"own": {"format": "own %(message)s"}},
            "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
            "loggers": {"django": {"handlers": ["own"], "level": "INFO"}},
        }
    )

    assert lines[0].endswith("INFO    our line request_id=r-1")
    assert ["own Django's line /?token=[REDACTED]&fluxlit_sid=[REDACTED]"] == lines[1:]


def format_json(**extra: object) -> dict[str, object]:
    """A record with further attributes, as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter(Redaction()))
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    logger.error("It failed", extra=extra, exc_info=extra.pop("exc_info", None))  # type: ignore[arg-type]
    return json.loads(stream.getvalue())


def test_json_formatter__extras() -> None:
    """What a record has besides the usual is in its line, without secrets, whatever type it has."""
    line = format_json(rows=3, ratio=0.5, ok=True, path="/?token=abc", where=Path("/x"), none=None)

    assert ("ERROR", "shop", "It failed") == (line["level"], line["logger"], line["message"])
    assert (3, 0.5, True, None) == (line["rows"], line["ratio"], line["ok"], line["none"])
    assert ("/?token=[REDACTED]", repr(Path("/x"))) == (line["path"], line["where"])


def test_json_formatter__exception() -> None:
    """A traceback is one field of one line."""
    try:
        raise ValueError("five\nlines")
    except ValueError as exc:
        line = format_json(exc_info=exc)

    assert str(line["exception"]).endswith("ValueError: five\nlines")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"message": "x", "level": "ERROR"}', {"process": "a-0", "message": "x", "level": "ERROR"}),
        ("plain", {"process": "a-0", "message": "plain", "level": "INFO", "logger": "output"}),
        ("{broken", {"process": "a-0", "message": "{broken", "level": "INFO", "logger": "output"}),
        ("[1]", {"process": "a-0", "message": "[1]", "level": "INFO", "logger": "output"}),
    ],
)
def test_json_line(text: str, expected: dict[str, str]) -> None:
    """Whatever a child prints becomes an object with the child's name."""
    found = json.loads(logs.json_line("a-0", text))
    found.pop("time", None)

    assert expected == found

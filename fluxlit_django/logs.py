"""Log lines: how they look, under which request id they stand, and what is kept out of them."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import time
from contextvars import ContextVar
from typing import Any, TextIO

from django.conf import settings

from fluxlit_django.conf import Config
from fluxlit_django.redaction.records import MakeRecord, Redaction, redacting

ACCESS_LOGGER = "fluxlit_django.access"
"""The logger of one line for each request and each socket."""

request_id: ContextVar[str] = ContextVar("fluxlit_request_id", default="")
"""The id of the request that this code runs for; in a sidecar's scripts, that of the viewer's socket."""

_NOISY = ("httpx", "httpcore", "uvicorn.error", "daphne", "twisted", "asyncio")
"""Loggers whose lines about each connection say less than ours do."""

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "request_id"}
_PLAIN = frozenset({type(None), bool, int, float})
_PLAIN_FACTORIES: set[MakeRecord] = {logging.LogRecord}
_make_record = logging.getLogRecordFactory()


class RequestIdFilter(logging.Filter):
    """Gives each record a `request_id`, so that a format may name it: `%(request_id)s`; "-" for none."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id, unless the record has one."""
        if not hasattr(record, "request_id"):
            record.request_id = request_id.get() or "-"
        return True


class Handler(logging.StreamHandler):  # type: ignore[type-arg]  # a generic one from Python 3.11 on
    """Writes to stderr. The access log's lines of one turn of an event loop are one write.

    A busy gateway would spend more than a quarter of its time on writing each line alone. All other records
    are written at once, behind the lines that wait.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._waiting: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or leave it to the end of the loop's turn."""
        try:
            self._waiting.append(f"{self.format(record)}{self.terminator}")
            loop = _running_loop() if record.name == ACCESS_LOGGER else None
            if loop is None:
                self.flush()
            elif len(self._waiting) == 1:
                loop.call_soon(self.flush)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write what waits."""
        self.acquire()
        try:
            lines, self._waiting = self._waiting, []
            if lines:
                self.stream.write("".join(lines))
            super().flush()
        finally:
            self.release()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class ConsoleFormatter(logging.Formatter):
    """Time, level, the logger's name unless it is ours, the message, and the request id if there is one."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The first line of a record."""
        name = "" if record.name.startswith("fluxlit_django") else f"{record.name}: "
        line = f"{_local_time(int(record.created))} {record.levelname:<7} {name}{record.message}"
        known = request_id.get()
        return f"{line} request_id={known}" if known and known not in line else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, request_id, and what else the record has."""

    def __init__(self, redaction: Redaction | None = None) -> None:
        super().__init__()
        self._redaction = redaction or Redaction()

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": _json_time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if known := getattr(record, "request_id", "") or request_id.get():
            line["request_id"] = known
        for name, value in record.__dict__.items():
            if name not in _STANDARD and not name.startswith("_"):
                line[name] = value if type(value) in _PLAIN else self._plain(value)
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        return json.dumps(line, ensure_ascii=False)

    def _plain(self, value: Any) -> Any:
        return self._redaction.text(value if isinstance(value, str) else repr(value))


def _json_time(created: float) -> str:
    """A time of log records as JSON lines have it, in UTC."""
    return f"{_utc(int(created))}.{int(created % 1 * 1000):03d}+00:00"


@functools.lru_cache(maxsize=4)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@functools.lru_cache(maxsize=4)
def _local_time(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


def json_line(process: str, text: str) -> str:
    """A child's line as a JSON object that names the child, whether it is one already or plain text."""
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return json.dumps({"process": process, **found}, ensure_ascii=False)
    line = {"process": process, "time": _json_time(time.time()), "level": "INFO", "logger": "output"}
    return json.dumps({**line, "message": text}, ensure_ascii=False)


def redaction(config: Config) -> Redaction:
    """What the project keeps out of its logs."""
    return Redaction([config.url_session_query_param])


def keep_secrets_out(config: Config) -> None:
    """Have every record of this process made without the secrets in URLs. May be called again."""
    factory = redacting(_make_record, redaction(config), except_for=ACCESS_LOGGER)
    if _make_record is logging.LogRecord:
        _PLAIN_FACTORIES.add(factory)
    logging.setLogRecordFactory(factory)


def are_records_plain() -> bool:
    """Whether nobody but us adds anything to log records when they are made."""
    return logging.getLogRecordFactory() in _PLAIN_FACTORIES


def formatter(config: Config) -> logging.Formatter:
    """The formatter that the settings ask for."""
    return JsonFormatter(redaction(config)) if config.log_format == "json" else ConsoleFormatter()


def make_visible(config: Config, handler: logging.Handler | None = None) -> None:
    """Show log lines of this process where the project's `LOGGING` does not say how.

    A project that configures nothing has everything shown. One that configures something keeps what it has;
    only this package's own lines are shown where nothing else would show them.

    Args:
        handler: what shows them; on stderr by default.
    """
    for name in _NOISY:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
    own = logging.getLogger("fluxlit_django")
    if own.hasHandlers():
        return
    handler = handler or Handler()
    handler.setFormatter(formatter(config))
    handler.addFilter(RequestIdFilter())
    if getattr(settings, "LOGGING", None):
        own.addHandler(handler)
        own.setLevel(config.log_level.upper())
        return
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(config.log_level.upper())
    django = logging.getLogger("django")
    for existing in [each for each in django.handlers if type(each) is logging.StreamHandler]:
        django.removeHandler(existing)  # Django's own for DEBUG would show each line a second time

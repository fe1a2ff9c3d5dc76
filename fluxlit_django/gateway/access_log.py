"""One line for each request and each socket, at its end."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable

from fluxlit_django import logs
from fluxlit_django.gateway.observation import Dispatch, Observation
from fluxlit_django.redaction.records import Redaction

_LONGEST = 1000  # characters of a path, and of a query


class AccessLog:
    """A recorder that logs. Probes are logged at DEBUG, all else at INFO.

    Args:
        redaction: what stays out of the query.
        logger: where the lines go.
    """

    def __init__(self, redaction: Redaction, logger: logging.Logger | None = None) -> None:
        self._redact: Callable[[str], str] = redaction.query
        self._logger = logger or logging.getLogger(logs.ACCESS_LOGGER)
        name = self._logger.name
        self._templates = {
            level: logging.LogRecord(name, level, __file__, 0, "", None, None, "ended").__dict__
            for level in (logging.DEBUG, logging.INFO)
        }

    def opened(self, seen: Observation) -> None:
        """A socket's line comes at its end."""

    def reran(self, seen: Observation, duration_s: float) -> None:
        """A socket's line tells how many there were."""

    def ended(self, seen: Observation) -> None:
        """Log the line."""
        level = logging.DEBUG if seen.dispatch is Dispatch.PROBE else logging.INFO
        logger = self._logger
        if not logger.isEnabledFor(level):
            return
        scope = seen.scope
        path = _printable(scope.get("raw_path") or scope["path"].encode())
        session = _pseudonym(seen.session) if seen.session else ""
        if session:
            path = path.replace(seen.session, session)
        query = self._redact(_printable(scope["query_string"])) if scope["query_string"] else ""
        line = (
            f"{seen.method} {path}{'?' if query else ''}{query} {seen.status or '-'}"
            f" {1000 * seen.duration_s:.1f}ms in={seen.bytes_in} out={seen.bytes_out}"
            f" viewer={seen.viewer or '-'} app={seen.app or '-'} sidecar={seen.sidecar or '-'}"
            f"{_more(seen, session)} request_id={seen.request_id}"
        )
        record = self._make_record(level, line)
        record.__dict__.update(
            request_id=seen.request_id,
            dispatch=seen.dispatch.value,
            method=seen.method,
            path=path,
            query=query,
            status=seen.status or None,
            duration_ms=round(1000 * seen.duration_s, 3),
            bytes_in=seen.bytes_in,
            bytes_out=seen.bytes_out,
            viewer=seen.viewer or None,
            app=seen.app or None,
            sidecar=seen.sidecar or None,
            session=session or None,
            close_code=seen.close_code or None,
            reruns=seen.reruns if seen.is_socket else None,
            refusal=seen.refusal.value if seen.refusal else None,
            upstream_error=seen.upstream_error or None,
        )
        logger.handle(record)

    def _make_record(self, level: int, line: str) -> logging.LogRecord:
        """A record from a template, which saves looking for thread, task and line of code.

        That would take longer than all the rest; but what others add to each record must be in this one too.
        """
        if not logs.are_records_plain():
            name = self._logger.name
            return logging.getLogRecordFactory()(name, level, __file__, 0, line, None, None, "ended")
        now = time.time()
        record = logging.LogRecord.__new__(logging.LogRecord)
        record.__dict__.update(self._templates[level], msg=line, created=now, msecs=now % 1 * 1000)
        return record


def _pseudonym(session: str) -> str:
    """A name for a session that gives nobody its id, the same for all its sockets and uploads."""
    return hashlib.blake2b(session.encode(), digest_size=4).hexdigest()


def _more(seen: Observation, session: str) -> str:
    """What only some lines have."""
    more = f" session={session}" if session else ""
    if seen.is_open:
        more += f" reruns={seen.reruns} close={seen.close_code or '-'}"
    if seen.refusal is not None:
        more += f" refused={seen.refusal.value}"
    if seen.upstream_error:
        more += f" upstream={seen.upstream_error}"
    return f"{more} broken" if seen.is_broken else more


def _printable(raw: bytes) -> str:
    """A raw path or query as one word: it may hold anything, also what a terminal would obey."""
    text = raw.decode("latin-1")
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}…"
    if text.isprintable() and " " not in text:
        return text
    return "".join(c if c.isprintable() and c != " " else f"%{ord(c):02X}" for c in text)

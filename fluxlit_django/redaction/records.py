"""Takes secrets out of what is logged: those in a URL's query, and a user and password before its host."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote

from fluxlit_django.redaction.names import REDACTED

_SECRET_NAME = re.compile(
    r"code|auth|auth_?code|authorization|state|sid|key|sig|ticket|nonce"
    r"|.*(?:token|session|secret|passw|passphrase|credential|signature|api[_-]?key|assertion|saml).*",
    re.IGNORECASE | re.DOTALL,
)
_IN_URL = re.compile(r"([?&;])([^\s?&;=#\"'<>()\\]{1,128})=([^\s&;#\"'<>\\]*)")
_USERINFO = re.compile(r"(?<=//)[^\s/?#\"'<>]*@")
_DEEPEST = 3  # a URL in a parameter of a URL, as sign-in pages have it, and once more

MakeRecord = Callable[..., logging.LogRecord]


class Redaction:
    """Knows which parameters are secret: by words in their names, and some by their whole names.

    Args:
        names: further names.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)

    def is_secret(self, name: str) -> bool:
        """Whether the value of a parameter of this name is kept out of logs."""
        plain = unquote(name).lower()
        return plain in self._names or _SECRET_NAME.fullmatch(plain) is not None

    def query(self, query: str) -> str:
        """A query string without its secrets."""
        return self.text(f"?{query}")[1:] if query else ""

    def text(self, text: str) -> str:
        """Any text without the secrets in its URLs."""
        return self._text(text, _DEEPEST)

    def _text(self, text: str, depth: int) -> str:
        if "=" in text:
            text = _IN_URL.sub(lambda found: self._parameter(found, depth), text)
        return _USERINFO.sub(f"{REDACTED}@", text) if "@" in text else text

    def _parameter(self, found: re.Match[str], depth: int) -> str:
        mark, name, value = found.groups()
        if value and self.is_secret(name):
            return f"{mark}{name}={REDACTED}"
        if depth and "%" in value:
            plain = unquote(value)
            shown = self._text(plain, depth - 1)
            if shown != plain:
                return f"{mark}{name}={quote(shown, safe='/[]')}"
        return found[0]


def redacting(make_record: MakeRecord, redaction: Redaction, *, except_for: str) -> MakeRecord:
    """A factory of log records, for `logging.setLogRecordFactory`, whose records hold no secrets.

    A record keeps its arguments where it can, since some formatters take them apart (uvicorn's access log).

    Args:
        except_for: the logger whose records hold none by themselves.
    """

    def make(name: str, *given: Any, **more: Any) -> logging.LogRecord:
        record = make_record(name, *given, **more)
        if name != except_for:
            _redact(record, redaction)
        return record

    return make


def _redact(record: logging.LogRecord, redaction: Redaction) -> None:
    if isinstance(record.msg, str) and not record.args:
        record.msg = redaction.text(record.msg)
    elif isinstance(record.args, Mapping):
        record.args = {key: _redact_argument(value, redaction) for key, value in record.args.items()}
    elif record.args:
        record.args = tuple(_redact_argument(value, redaction) for value in record.args)
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):
        return  # wrong arguments, which the handler reports
    shown = redaction.text(text)
    if shown != text:
        record.msg, record.args = shown, None
    if record.exc_info and record.exc_info[0] is not None:
        trace = logging.Formatter().formatException(record.exc_info)
        shown = redaction.text(trace)
        if shown != trace:
            record.exc_text = shown  # formatters take it for what they made themselves


def _redact_argument(value: Any, redaction: Redaction) -> Any:
    return redaction.text(value) if isinstance(value, str) else value

"""Takes this process's own secrets out of free text, such as what a child printed before it died.

`redaction` goes by names and by the form of URLs; this also knows the values: Django's keys, the databases'
passwords, and what the environment has under a secret's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from fluxlit_django.redaction.names import REDACTED, is_secret_name

_SHORTEST = 5  # characters; what is shorter is in too much text that has nothing to do with it
_NO_SECRETS = frozenset({"AUTH_PASSWORD_VALIDATORS", "PASSWORD_HASHERS"})

# Up to the last @ of the word, as a password may hold one.
_USERINFO = re.compile(r"(?<=://)[^\s'\"]*@")
_URL_PASSWORD = re.compile(r"://[^\s'\"/:@]*:([^\s'\"]+)@")
_ASSIGNMENT = re.compile(
    r"""([\w.-]*(?:secret|token|passw|credential|authorization|cookie|api[_-]?key|session[_-]?(?:id|key))[\w.-]*
        ['"]?\s*[:=]\s*(?:(?:bearer|basic)\s+)?)
        ("[^"]*"|'[^']*'|\[REDACTED\]|[^\s'"&,;}\])]+)""",
    re.IGNORECASE | re.VERBOSE,
)


class Scrubber:
    """Replaces secrets in text.

    Args:
        secrets: values that must not be shown wherever they stand.
        parameters: names of query parameters whose values must not be shown.
    """

    def __init__(self, secrets: Iterable[str] = (), parameters: Iterable[str] = ()) -> None:
        values = sorted({value for value in secrets if len(value) >= _SHORTEST}, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, values))) if values else None
        names = "|".join(map(re.escape, parameters))
        self._parameters = re.compile(rf"\b({names})=[^\s&'\"#]+") if names else None

    def scrub(self, text: str) -> str:
        """The text without known secrets, users in URLs, and what follows a secret's name."""
        if self._values is not None:
            text = self._values.sub(REDACTED, text)
        if self._parameters is not None:
            text = self._parameters.sub(rf"\1={REDACTED}", text)
        text = _USERINFO.sub(f"{REDACTED}@", text)
        return _ASSIGNMENT.sub(_without_value, text)

    def scrub_all(self, value: Any) -> Any:
        """The same for every text in a value of JSON's types."""
        if isinstance(value, str):
            return self.scrub(value)
        if isinstance(value, Mapping):
            return {key: self.scrub_all(entry) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.scrub_all(entry) for entry in value]
        return value


def _without_value(found: re.Match[str]) -> str:
    return found[0] if REDACTED in found[2] else f"{found[1]}{REDACTED}"


def secrets_of(values: Mapping[str, Any]) -> Iterator[str]:
    """The secrets among named values, such as Django's settings or an environment, however deep they are."""
    for name, value in values.items():
        if name not in _NO_SECRETS:
            yield from _secrets(value, is_secret=is_secret_name(str(name)))


def _secrets(value: Any, *, is_secret: bool) -> Iterator[str]:
    if isinstance(value, str):
        if is_secret:
            yield value
        for password in _URL_PASSWORD.findall(value):
            yield from (password, unquote(password))
        yield from _secrets(_parsed(value), is_secret=is_secret)
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _secrets(entry, is_secret=is_secret or is_secret_name(str(name)))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for entry in value:
            yield from _secrets(entry, is_secret=is_secret)


def _parsed(text: str) -> Any:
    """The JSON object that a setting may be written as, or None."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None

"""What nobody may read, taken out of what everybody may: reports, messages, command lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

REDACTED = "[REDACTED]"

# Up to the last @, as a password may hold any character; what follows it is the host.
_USERINFO = re.compile(r"://.*@|(?<![^\s'\"(=,])[^\s:@/]*:(?!//)[^\s@]+@", re.DOTALL)
_PARAMETER = re.compile(r"([?&;]([^\s?&;=#'\"]+)=)[^\s&;#'\"]+")
_SECRET_NAME = re.compile(r"secret|token|passw|credential|authorization|api.?key|private", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether what goes by this name is to be kept secret."""
    return _SECRET_NAME.search(name) is not None


def redact(value: Any) -> Any:
    """A value without what is secret in it: the user and password of a URL, and what has a secret name."""
    if isinstance(value, str):
        return _PARAMETER.sub(_parameter, _USERINFO.sub(_userinfo, value))
    if isinstance(value, Mapping):
        return {
            key: REDACTED if entry and is_secret_name(str(key)) else redact(entry)
            for key, entry in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(map(redact, value))
    return value


def _userinfo(found: re.Match[str]) -> str:
    return f"{'://' if '://' in found[0] else ''}{REDACTED}@"


def _parameter(found: re.Match[str]) -> str:
    return f"{found[1]}{REDACTED}" if is_secret_name(found[2]) else found[0]


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line without the values of options with a secret name, and without passwords in URLs."""
    return list(_arguments(arguments))


def _arguments(arguments: Sequence[str]) -> Iterator[str]:
    is_value = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if is_value and not argument.startswith("--"):
            yield REDACTED
        elif equals and is_secret_name(name):
            yield f"{name}={REDACTED}"
        else:
            yield str(redact(argument))
        is_value = argument.startswith("--") and not equals and is_secret_name(name)

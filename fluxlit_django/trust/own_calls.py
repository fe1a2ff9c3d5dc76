"""How the gateway knows a call of the project's own processes, which no proxy with TLS stands in front of.

Such a call counts as https, or `SECURE_SSL_REDIRECT` would send it away. It carries a short-lived signature
of Django's `SECRET_KEY`: nobody else can make one, and the gateway drops it before Django sees the request.
"""

from __future__ import annotations

from datetime import timedelta

from django.core import signing

HEADER = "X-Fluxlit-Own-Call"

_MAX_AGE = timedelta(minutes=1)
_SALT = "fluxlit_django.trust.own_calls"
_WORD = "https"


def sign() -> str:
    """The header's value for one call."""
    return signing.TimestampSigner(salt=_SALT).sign(_WORD)


def is_genuine(value: str) -> bool:
    """Whether a process with this project's key has signed it within the last minute."""
    try:
        return signing.TimestampSigner(salt=_SALT).unsign(value, max_age=_MAX_AGE) == _WORD
    except signing.BadSignature:
        return False

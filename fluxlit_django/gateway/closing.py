"""How sockets are closed: the codes, and what they mean to a browser."""

from __future__ import annotations

from fluxlit_django.gateway.access import Verdict

NORMAL, GOING_AWAY, NO_STATUS, INTERNAL_ERROR, SERVICE_RESTART = 1000, 1001, 1005, 1011, 1012
DENIED = {Verdict.SIGN_IN: (4401, "sign in"), Verdict.FORBID: (4403, "forbidden")}
"""Codes of our own. On them, the script in the document loads the page again, and Django answers."""
BUSY = 4503, "all sidecars are busy"
"""So does this one: Django then answers with the page that says so."""
ENDED = 4410, "ended by an administrator"
"""And this one: the page begins anew, as another session."""

_NEVER_SENT = {1004, NO_STATUS, 1006, 1015}
"""RFC 6455 §7.4.1: told to an application, or reserved, and never in a frame."""


def sendable(code: int, instead_of_abnormal: int) -> int:
    """A close code that may stand in a frame."""
    if code == NO_STATUS:
        return NORMAL
    return code if NORMAL <= code < 5000 and code not in _NEVER_SENT else instead_of_abnormal

"""What a session's client signs its requests with: the viewer's token, renewed before it grows old."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import timedelta

from fluxlit_django.conf import get_config
from fluxlit_django.trust import viewer_token
from fluxlit_django.trust.viewer_token import TokenError


class ViewerCredentials:
    """Makes the `Authorization` header of a page's calls to the API. Safe to use from several threads.

    Args:
        read_handshake: gives the token that came with the viewer's handshake, or None for an anonymous
            viewer; called for each request, since a browser that reconnects brings a new one. In a thread
            that belongs to no viewer it raises LookupError: the last token then stays.
    """

    def __init__(self, read_handshake: Callable[[], str | None]) -> None:
        self._read_handshake = read_handshake
        self._lock = threading.Lock()
        self._given: str | None = None
        self._token: str | None = None

    def __repr__(self) -> str:
        return "<ViewerCredentials>"

    def headers(self) -> dict[str, str]:
        """The header for the next request; none for an anonymous viewer. May read the session store."""
        with self._lock:
            with contextlib.suppress(LookupError):
                given = self._read_handshake()
                if given != self._given:
                    self._given = self._token = given
            if not self._token:
                return {}
            self._token = _fresh(self._token)
            return {"Authorization": f"{viewer_token.SCHEME} {self._token}"}


def _fresh(token: str) -> str:
    """The token, or a new one when more than half of its life is over.

    When the session has ended the old one stays: the API then answers 401, not as to an anonymous viewer.
    """
    half_life = timedelta(seconds=get_config().viewer_token_ttl_s / 2)
    try:
        viewer_token.read(token, max_age=half_life)
    except TokenError:
        try:
            return viewer_token.renew(token)
        except TokenError:
            return token
    return token

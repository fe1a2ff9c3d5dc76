"""The token with which a page calls the project's API as its viewer.

The gateway mints one at each handshake, for the sidecar alone: it is no part of `st.user`, and it travels in
headers only. It is short-lived, signed with Django's signing, and counts only while the session it came from
does: signing out, a changed password or a deleted session ends it at once.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core import signing
from django.utils.crypto import salted_hmac

from fluxlit_django.exceptions import FluxLitError
from fluxlit_django.trust import sessions

SCHEME = "FluxLit-Viewer"
"""The scheme of the `Authorization` header that carries a token to the API."""

HANDSHAKE_HEADER = "X-Fluxlit-Viewer-Token"
"""The header that carries a token from the gateway to a sidecar."""

SALT = "fluxlit_django.trust.viewer_token"


class TokenError(FluxLitError):
    """A token is forged, too old, or of a session that has ended."""


@dataclass(frozen=True)
class Claim:
    """What a token says."""

    user_id: str
    session_key: str


def mint(claim: Claim) -> str:
    """A new token. The session key in it is encrypted: who sees a token cannot take over the session."""
    sealed = _cipher().encrypt(claim.session_key.encode()).decode()
    return signing.dumps([claim.user_id, sealed], salt=SALT)


def renew(token: str) -> str:
    """A new token in the place of an old one, while the session it came from lives. Reads the database.

    Raises:
        TokenError: the token is forged, or its session has ended.
    """
    claim = read(token, max_age=None)
    require_session(claim)
    return mint(claim)


def require_session(claim: Claim) -> Any:
    """The user of a token's session. Reads the session store and the database.

    Raises:
        TokenError: the session has ended, or is another user's.
    """
    user = sessions.user_of_session(claim.session_key)
    if user is None or str(user.pk) != claim.user_id:
        msg = "The session of the viewer token has ended."
        raise TokenError(msg)
    return user


def read(token: str, *, max_age: timedelta | None) -> Claim:
    """What a token of ours says.

    Args:
        max_age: most time since it was minted; None for any.

    Raises:
        TokenError: it is forged or too old. Whether its session still lives is for the caller to ask.
    """
    try:
        user_id, sealed = signing.loads(token, salt=SALT, max_age=max_age)
        return Claim(user_id, _cipher().decrypt(sealed.encode()).decode())
    except signing.SignatureExpired:
        msg = "The viewer token is too old."
    except (signing.BadSignature, InvalidToken, ValueError):
        msg = "The viewer token is not genuine."
    raise TokenError(msg)


def _cipher() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_derive(key)) for key in keys])


def _derive(secret: str) -> bytes:
    digest = salted_hmac(SALT, "session key", secret=secret, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest)

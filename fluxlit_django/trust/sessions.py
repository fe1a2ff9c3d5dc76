"""Django's sessions, read without a request and without changing them."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar, Token
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)
from django.contrib.sessions.backends.base import UpdateError
from django.utils import timezone
from django.utils.crypto import constant_time_compare

IN_COOKIES = "django.contrib.sessions.backends.signed_cookies"
"""The session engine whose sessions are in the browser alone, where nobody can end them."""

_MESSAGES = "_fluxlit_messages"
_current_key: ContextVar[str] = ContextVar("fluxlit_session_key", default="")


def user_of_session(key: str) -> Any:
    """The user whom a session key belongs to, or None for nobody. Reads the session store and the database.

    As `django.contrib.auth.get_user`, except that it changes nothing: a session is neither flushed nor
    cycled, since the caller has no response in which to send a new key back.
    """
    session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    backend_path = session.get(BACKEND_SESSION_KEY, "")
    if SESSION_KEY not in session or backend_path not in settings.AUTHENTICATION_BACKENDS:
        return None
    pk = get_user_model()._meta.pk.to_python(session[SESSION_KEY])
    user = load_backend(backend_path).get_user(pk)
    if user is None or not _password_unchanged(user, session.get(HASH_SESSION_KEY, "")):
        return None
    return user


def seconds_left(key: str) -> float:
    """Seconds until a session expires. Reads the session store.

    One that keeps sessions in a cache, in files or in cookies does not tell when it saved one: then this is
    the most that may be left.
    """
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if not hasattr(store, "get_model_class"):
        return float(store(key).get_expiry_age())
    rows = store.get_model_class()._default_manager.filter(session_key=key)
    expires = rows.values_list("expire_date", flat=True).first()
    # None for one that ended a moment ago.
    return (expires - timezone.now()).total_seconds() if expires is not None else 0.0


def set_current_key(key: str) -> Token[str]:
    """Say whose session a page runs for; give the token to `reset_current_key` afterwards."""
    return _current_key.set(key)


def reset_current_key(token: Token[str]) -> None:
    """Undo the `set_current_key` that returned this token."""
    _current_key.reset(token)


def current_session() -> Any:
    """The session of the viewer for whom a page runs, or None for nobody."""
    key = _current_key.get()
    return import_module(settings.SESSION_ENGINE).SessionStore(key) if key else None


def keep_messages(session: Any, messages: Iterable[tuple[str, str]]) -> None:
    """Put messages, each a level and a text, into a request's session for `take_messages`."""
    session[_MESSAGES] = [*session.get(_MESSAGES, []), *(list(message) for message in messages)]


def take_messages(key: str) -> list[tuple[str, str]]:
    """The messages kept in a session, which then has them no more. Reads and writes the session store."""
    session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    if _MESSAGES not in session:
        return []
    messages = [(str(level), str(text)) for level, text in session.pop(_MESSAGES)]
    try:
        session.save()
    except UpdateError:  # the session has ended meanwhile
        return []
    return messages


def forget(key: str) -> None:
    """End a session whose row is gone: Django's `cached_db` store goes on finding it in its cache."""
    import_module(settings.SESSION_ENGINE).SessionStore().delete(key)


def _password_unchanged(user: Any, session_hash: str) -> bool:
    if not hasattr(user, "get_session_auth_hash"):
        return True
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(session_hash, known) for known in hashes)

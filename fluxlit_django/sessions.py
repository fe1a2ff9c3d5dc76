"""Django's sessions, read without a request and without changing them."""

from __future__ import annotations

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
from django.utils.crypto import constant_time_compare


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


def _password_unchanged(user: Any, session_hash: str) -> bool:
    if not hasattr(user, "get_session_auth_hash"):
        return True
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(session_hash, known) for known in hashes)

"""State that lives on the server under an id in the URL: it survives a refresh, a new tab, another sidecar.

The id is made and signed here, and counts for the viewer it was made for; what was kept for nobody goes over
to a viewer who signs in, under a new id. Only values of JSON are kept, under names that were opted in.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import json
import logging
import math
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Protocol, TypeVar, runtime_checkable

from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.utils.crypto import constant_time_compare, salted_hmac

from fluxlit_django import schema
from fluxlit_django.conf import get_config

logger = logging.getLogger(__name__)

Model = TypeVar("Model")

KNOWN_IDS = "_fluxlit_url_sessions"
"""The key of `st.session_state` under which the ids in use are known, by their query parameter."""

_SALT = "fluxlit_django.url_session"
_ID = re.compile(r"([A-Za-z0-9_-]{32})\.([A-Za-z0-9_-]{43})")
_SECRET = re.compile(
    r"token|secret|passw|authori[sz]|credential|api_?key|csrf|cookie|private_?key", re.IGNORECASE
)


@runtime_checkable
class SessionStore(Protocol):
    """Keeps a dict of JSON values for each id."""

    def get(self, sid: str) -> dict[str, Any] | None:
        """What is kept under an id, or None."""

    def set(self, sid: str, data: dict[str, Any], *, ttl_seconds: float | None = None) -> None:
        """Keep a dict under an id, for so many seconds."""

    def delete(self, sid: str) -> None:
        """Forget an id."""


@runtime_checkable
class SlidingSessionStore(SessionStore, Protocol):
    """One that can start the time of a session anew, and leave what is kept as it is.

    A store without `touch` is given what was just read from it, over what another tab has kept meanwhile.
    """

    def touch(self, sid: str, *, ttl_seconds: float | None = None) -> None:
        """Keep what is kept under an id for so many seconds more; nothing where nothing is."""


# Ids


def new_session_id(viewer: str = "") -> str:
    """A new id of 76 characters that can stand in a URL, for the viewer of this primary key or for nobody."""
    random = secrets.token_urlsafe(24)
    return f"{random}.{_sign(random, viewer, settings.SECRET_KEY)}"


def is_genuine(sid: object, viewer: str = "") -> bool:
    """Whether an id was made here, for this viewer."""
    found = _ID.fullmatch(sid) if isinstance(sid, str) else None
    if found is None:
        return False
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(constant_time_compare(found[2], _sign(found[1], viewer, key)) for key in keys)


def _sign(random: str, viewer: str, secret: str) -> str:
    digest = salted_hmac(_SALT, f"{random}|{viewer}", secret=secret, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


# What pages call. `st` is Streamlit, or anything with its `query_params`, `session_state` and `user`.


def ensure_url_session(
    st: Any,
    store: SessionStore,
    *,
    param: str | None = None,
    initial: Mapping[str, Any] | None = None,
    ttl_seconds: float | None = None,
) -> str:
    """The id of this page's URL session; a new one, put into the URL, where there is none that counts.

    Args:
        param: the query parameter; `FLUXLIT_URL_SESSION_QUERY_PARAM` by default.
        initial: values to keep at once; their names are opted in.
        ttl_seconds: how long they are kept; `FLUXLIT_URL_SESSION_TTL_S` by default.

    Raises:
        ValueError: `ttl_seconds` is not positive, or a value is none of JSON.
    """
    name = param or get_config().url_session_query_param
    if _is_off():
        return _given(st, name) or ""
    ttl = _ttl(ttl_seconds)
    sid, blob = _find(st, store, name, ttl)
    if sid is None or blob is None:
        sid, blob = new_session_id(_viewer(st)), {}
        store.set(sid, _plain(initial or {}), ttl_seconds=ttl)
    elif initial:
        store.set(sid, {**blob, **_plain(initial)}, ttl_seconds=ttl)
    _show(st, name, sid)
    return sid


def hydrate_url_session(
    st: Any, store: SessionStore, *, param: str | None = None, merge: bool = True
) -> str | None:
    """Bring what is kept into `st.session_state`, and return the id; None when the URL has none that counts.

    Args:
        merge: leave what the session state has already; False to overwrite it.
    """
    name = param or get_config().url_session_query_param
    if _is_off():
        return None
    sid, blob = _find(st, store, name, _ttl(None))
    if sid is not None:
        _fill(st.session_state, blob or {}, merge=merge)
    return sid


def hydrate_url_session_typed(
    st: Any,
    store: SessionStore,
    model: type[Model],
    *,
    param: str | None = None,
    merge: bool = True,
    strict: bool = False,
) -> tuple[str | None, Model | None]:
    """The id, and what is kept as a dataclass or a pydantic model, which `st.session_state` gets too.

    Raises:
        ValueError: `strict`, and what is kept does not fit; otherwise the model is then None.
    """
    name = param or get_config().url_session_query_param
    if _is_off():
        return None, None
    sid, blob = _find(st, store, name, _ttl(None))
    if sid is None or blob is None:
        return sid, None
    try:
        made = schema.validate(model, blob)
    except ValueError:
        if strict:
            raise
        return sid, None
    _fill(st.session_state, schema.dump(made), merge=merge)
    return sid, made


def persist_url_session(
    st: Any,
    store: SessionStore,
    *,
    param: str | None = None,
    ttl_seconds: float | None = None,
    keys: Iterable[str] | None = None,
) -> str | None:
    """Keep what `st.session_state` has under names that were opted in; the id, or None when there is none.

    Opted in are `keys`, `FLUXLIT_URL_SESSION_KEYS`, and what is kept already. Names that sound like a secret,
    names with an underscore in front, and values that are none of JSON are never kept.

    Raises:
        ValueError: `ttl_seconds` is not positive.
    """
    name = param or get_config().url_session_query_param
    if _is_off():
        return None
    ttl = _ttl(ttl_seconds)
    sid, blob = _find(st, store, name, ttl)
    if sid is None:
        return None
    wanted = {*_names(keys), *get_config().url_session_keys, *(blob or {})}
    if not wanted:
        logger.warning("No URL session key is opted in. Name them: persist_url_session(…, keys=['step']).")
    store.set(sid, dict(_kept(st.session_state, wanted)), ttl_seconds=ttl)
    return sid


def rotate_url_session(st: Any, store: SessionStore, *, param: str | None = None) -> str | None:
    """Give what is kept a new id, and forget the old one; the new id, or None when there is none."""
    name = param or get_config().url_session_query_param
    if _is_off():
        return None
    ttl = _ttl(None)
    sid, blob = _find(st, store, name, ttl)
    if sid is None:
        return None
    return _move(st, store, name, sid, blob or {}, ttl)


def revoke_url_session(st: Any, store: SessionStore, *, param: str | None = None) -> None:
    """Forget what is kept, and take the id out of the URL. A link with it then brings nothing back."""
    name = param or get_config().url_session_query_param
    sid = _given(st, name)
    if sid is not None and is_genuine(sid, _viewer(st)):
        store.delete(sid)
    st.query_params.pop(name, None)
    st.session_state.get(KNOWN_IDS, {}).pop(name, None)


@contextlib.contextmanager
def url_session(
    st: Any, store: SessionStore, *, keys: Iterable[str], param: str | None = None
) -> Iterator[str]:
    """Bring these keys of the session state back, and keep them when the block ends, however it does.

    Example:
        with url_session(st, store, keys=["step"]):
            st.number_input("Step", key="step")
    """
    names = _names(keys)
    sid = ensure_url_session(st, store, param=param)
    hydrate_url_session(st, store, param=param)
    try:
        yield sid
    finally:
        persist_url_session(st, store, param=param, keys=names)


def keep_in_url(st: Any) -> None:
    """Put the ids in use back into the URL, from which going to another page took them."""
    for name, sid in st.session_state.get(KNOWN_IDS, {}).items():
        if name not in st.query_params:
            st.query_params[name] = sid


def _is_off() -> bool:
    config = get_config()
    return config.disable_url_session or (config.tests and not config.force_url_session_in_tests)


def _names(keys: Iterable[str] | None) -> tuple[str, ...]:
    return (keys,) if isinstance(keys, str) else tuple(keys or ())


def _ttl(given: float | None) -> float:
    return _positive("ttl_seconds", get_config().url_session_ttl_s if given is None else given)


def _positive(name: str, ttl: float) -> float:
    # Neither NaN nor infinity: no comparison with the first is ever true, and no date is the second away.
    if not (isinstance(ttl, (int, float)) and 0 < ttl < math.inf):
        msg = f"{name} is {ttl!r}. Use a number over 0; to forget a session, delete it."
        raise ValueError(msg)
    return ttl


def _find(st: Any, store: SessionStore, name: str, ttl: float) -> tuple[str | None, dict[str, Any] | None]:
    """The id in the URL, when it counts for this viewer, with what is kept under it."""
    sid, viewer = _given(st, name), _viewer(st)
    if sid is None:
        return None, None
    if is_genuine(sid, viewer):
        blob = store.get(sid)
        if blob is not None and get_config().url_session_slides:
            _slide(store, sid, blob, ttl)
        _remember(st, name, sid)
        return sid, blob
    if viewer and is_genuine(sid):
        blob = store.get(sid)
        if blob is not None:  # somebody signed in: the id that was everybody's ends here
            return _move(st, store, name, sid, blob, ttl), blob
    return None, None


def _slide(store: SessionStore, sid: str, blob: dict[str, Any], ttl: float) -> None:
    if isinstance(store, SlidingSessionStore):
        store.touch(sid, ttl_seconds=ttl)
    else:
        store.set(sid, blob, ttl_seconds=ttl)


def _move(st: Any, store: SessionStore, name: str, sid: str, blob: dict[str, Any], ttl: float) -> str:
    new = new_session_id(_viewer(st))
    store.set(new, blob, ttl_seconds=ttl)
    store.delete(sid)
    _show(st, name, new)
    return new


def _given(st: Any, name: str) -> str | None:
    found = st.query_params.get(name)
    if isinstance(found, (list, tuple)):
        found = next(iter(found), None)
    return found if isinstance(found, str) and found else None


def _viewer(st: Any) -> str:
    user = getattr(st, "user", None)
    return str((user.get("id") if isinstance(user, Mapping) else None) or "")


def _show(st: Any, name: str, sid: str) -> None:
    if _given(st, name) != sid:
        st.query_params[name] = sid
    _remember(st, name, sid)


def _remember(st: Any, name: str, sid: str) -> None:
    known = st.session_state.get(KNOWN_IDS) or {}
    if known.get(name) != sid:
        st.session_state[KNOWN_IDS] = {**known, name: sid}


def _fill(state: Any, blob: Mapping[str, Any], *, merge: bool) -> None:
    for key, value in blob.items():
        if not (merge and key in state):
            state[key] = value


def _kept(state: Any, wanted: set[str]) -> Iterator[tuple[str, Any]]:
    names = {str(key) for key in state} if "*" in wanted else wanted
    for name in sorted(names):
        if name == "*" or name.startswith("_") or name not in state:
            continue
        if _SECRET.search(name):
            logger.warning("The URL session does not keep %r: its name is that of a secret.", name)
            continue
        try:
            yield name, _plain({name: state[name]})[name]
        except ValueError:
            logger.warning(
                "The URL session does not keep %r: a %s is no JSON.", name, type(state[name]).__name__
            )


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nothing but JSON's values.

    Raises:
        ValueError: there is something else in it.
    """
    try:
        copied: dict[str, Any] = json.loads(json.dumps(dict(data), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as exc:
        msg = f"The values of {', '.join(map(repr, data))} cannot be kept in a URL session: {exc}."
        raise ValueError(msg) from None
    return copied


# Stores


class InMemorySessionStore:
    """Keeps sessions in this process: gone with it, and unknown to other sidecars. Safe for threads.

    Args:
        max_entries: the most that are kept; those that were not used for longest go first.
        default_ttl_seconds: for sessions that are kept without a time of their own.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        *,
        max_entries: int = 5000,
        default_ttl_seconds: float = 86_400.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_entries = max(1, max_entries)
        self._default_ttl = _positive("default_ttl_seconds", default_ttl_seconds)
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<InMemorySessionStore: {len(self._kept)} of {self._max_entries}>"

    def get(self, sid: str) -> dict[str, Any] | None:
        """A copy of what is kept under an id, or None."""
        with self._lock:
            expires, data = self._kept.get(sid, (0.0, {}))
            if sid not in self._kept:
                return None
            if expires <= self._clock():
                del self._kept[sid]
                return None
            self._kept.move_to_end(sid)
            return copy.deepcopy(data)

    def set(self, sid: str, data: dict[str, Any], *, ttl_seconds: float | None = None) -> None:
        """Keep a copy of a dict under an id.

        Raises:
            ValueError: the time is not positive.
        """
        ttl = self._default_ttl if ttl_seconds is None else _ttl(ttl_seconds)
        kept = copy.deepcopy(data)
        with self._lock:
            now = self._clock()
            self._kept[sid] = (now + ttl, kept)
            self._kept.move_to_end(sid)
            if len(self._kept) > self._max_entries:
                self._drop(now)

    def touch(self, sid: str, *, ttl_seconds: float | None = None) -> None:
        """Start the time of an id anew.

        Raises:
            ValueError: the time is not positive.
        """
        ttl = self._default_ttl if ttl_seconds is None else _ttl(ttl_seconds)
        with self._lock:
            if sid in self._kept:
                self._kept[sid] = (self._clock() + ttl, self._kept[sid][1])

    def delete(self, sid: str) -> None:
        """Forget an id."""
        with self._lock:
            self._kept.pop(sid, None)

    def _drop(self, now: float) -> None:
        for sid in [sid for sid, (expires, _) in self._kept.items() if expires <= now]:
            del self._kept[sid]
        while len(self._kept) > self._max_entries:
            self._kept.popitem(last=False)


class CacheSessionStore:
    """Keeps sessions in one of Django's caches; for several sidecars it has to be one they share."""

    def __init__(self, alias: str = "default") -> None:
        self._alias = alias

    def get(self, sid: str) -> dict[str, Any] | None:
        """What is kept under an id, or None."""
        text = self._cache.get(_cache_key(sid))
        return None if text is None else json.loads(text)

    def set(self, sid: str, data: dict[str, Any], *, ttl_seconds: float | None = None) -> None:
        """Keep a dict under an id.

        Raises:
            ValueError: the time is not positive.
        """
        self._cache.set(_cache_key(sid), json.dumps(data), timeout=_ttl(ttl_seconds))

    def touch(self, sid: str, *, ttl_seconds: float | None = None) -> None:
        """Start the time of an id anew.

        Raises:
            ValueError: the time is not positive.
        """
        self._cache.touch(_cache_key(sid), timeout=_ttl(ttl_seconds))

    def delete(self, sid: str) -> None:
        """Forget an id."""
        self._cache.delete(_cache_key(sid))

    @property
    def _cache(self) -> Any:
        from django.core.cache import caches

        return caches[self._alias]


class DatabaseSessionStore:
    """Keeps sessions in the database, under a digest of the id; `fluxlit_clear_url_sessions` clears them."""

    def get(self, sid: str) -> dict[str, Any] | None:
        """What is kept under an id, or None."""
        data: dict[str, Any] | None = (
            self._rows.filter(digest=_digest(sid), expires_at__gt=_now())
            .values_list("data", flat=True)
            .first()
        )
        return data

    def set(self, sid: str, data: dict[str, Any], *, ttl_seconds: float | None = None) -> None:
        """Keep a dict under an id.

        Raises:
            ValueError: the time is not positive.
        """
        values = {"data": data, "expires_at": _after(ttl_seconds)}
        # One statement, which threads and sidecars may run at once.
        self._rows.bulk_create(
            [self._rows.model(digest=_digest(sid), **values)],
            update_conflicts=True,
            update_fields=["data", "expires_at"],
            **self._unique_fields(),
        )

    def touch(self, sid: str, *, ttl_seconds: float | None = None) -> None:
        """Start the time of an id anew.

        Raises:
            ValueError: the time is not positive.
        """
        self._rows.filter(digest=_digest(sid), expires_at__gt=_now()).update(expires_at=_after(ttl_seconds))

    def delete(self, sid: str) -> None:
        """Forget an id."""
        self._rows.filter(digest=_digest(sid)).delete()

    def clear_expired(self) -> int:
        """Delete the sessions whose time is over, and say how many."""
        return int(self._rows.filter(expires_at__lte=_now()).delete()[0])

    def _unique_fields(self) -> dict[str, Any]:
        from django.db import connections, router

        connection = connections[router.db_for_write(self._rows.model)]
        can_name = connection.features.supports_update_conflicts_with_target
        return {"unique_fields": ["digest"]} if can_name else {}

    @property
    def _rows(self) -> Any:
        from fluxlit_django.models import URLSession

        return URLSession._default_manager


class DjangoSessionStore:
    """Keeps sessions in the viewer's own Django session, with which they end; for who is signed in.

    Django writes a session whole: of two processes that change the same one at once, the later wins.
    """

    _KEY = "_fluxlit_url_sessions"
    _lock = threading.Lock()

    def get(self, sid: str) -> dict[str, Any] | None:
        """What is kept under an id, or None."""
        session = self._session()
        entry = session.get(self._KEY, {}).get(_digest(sid)) if session is not None else None
        if entry is None or entry["expires"] <= time.time():
            return None
        data: dict[str, Any] = entry["data"]
        return data

    def set(self, sid: str, data: dict[str, Any], *, ttl_seconds: float | None = None) -> None:
        """Keep a dict under an id.

        Raises:
            ValueError: the time is not positive.
            RuntimeError: nobody is signed in.
        """
        entry = {"data": data, "expires": time.time() + _ttl(ttl_seconds)}
        if not self._change(lambda kept: {**kept, _digest(sid): entry}):
            msg = "There is no Django session: nobody is signed in. Use another store for public pages."
            raise RuntimeError(msg)

    def touch(self, sid: str, *, ttl_seconds: float | None = None) -> None:
        """Start the time of an id anew.

        Raises:
            ValueError: the time is not positive.
        """
        digest, expires = _digest(sid), time.time() + _ttl(ttl_seconds)

        def later(kept: dict[str, Any]) -> dict[str, Any]:
            return {**kept, digest: {**kept[digest], "expires": expires}} if digest in kept else kept

        self._change(later)

    def delete(self, sid: str) -> None:
        """Forget an id."""
        self._change(lambda kept: {digest: entry for digest, entry in kept.items() if digest != _digest(sid)})

    def _change(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
        """Write what is kept anew; False when there is no session to write it to."""
        with self._lock:
            session = self._session()
            if session is None:
                return False
            now = time.time()
            kept = {key: entry for key, entry in session.get(self._KEY, {}).items() if entry["expires"] > now}
            session[self._KEY] = change(kept)
            try:
                session.save()
            except UpdateError:  # it has ended since it was read
                return False
        return True

    def _session(self) -> Any:
        from fluxlit_django.trust import sessions

        session = sessions.current_session()
        if session is None:
            return None
        # Django takes the key from a session that it does not find, and would save it as a new one.
        session.get(self._KEY)
        return session if session.session_key else None


class ConfiguredSessionStore:
    """The store that `FLUXLIT_URL_SESSION_STORE` names."""

    def get(self, sid: str) -> dict[str, Any] | None:
        """What is kept under an id, or None."""
        return configured_store().get(sid)

    def set(self, sid: str, data: dict[str, Any], *, ttl_seconds: float | None = None) -> None:
        """Keep a dict under an id."""
        configured_store().set(sid, data, ttl_seconds=ttl_seconds)

    def touch(self, sid: str, *, ttl_seconds: float | None = None) -> None:
        """Start the time of an id anew."""
        configured_store().touch(sid, ttl_seconds=ttl_seconds)

    def delete(self, sid: str) -> None:
        """Forget an id."""
        configured_store().delete(sid)


_STORES: dict[str, SlidingSessionStore] = {
    "database": DatabaseSessionStore(),
    "cache": CacheSessionStore(),
    "session": DjangoSessionStore(),
    "memory": InMemorySessionStore(),
}


def configured_store() -> SlidingSessionStore:
    """The store that the setting names; each is one for the process."""
    return _STORES[get_config().url_session_store]


def _digest(sid: str) -> str:
    return hashlib.sha256(sid.encode()).hexdigest()


def _cache_key(sid: str) -> str:
    return f"fluxlit.url_session.{_digest(sid)}"


def _now() -> Any:
    from django.utils import timezone

    return timezone.now()


def _after(ttl_seconds: float | None) -> Any:
    return _now() + timedelta(seconds=_ttl(ttl_seconds))

"""URL sessions: whose they are, what they keep, and where."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connections
from django.test import Client, override_settings
from hypothesis import given, strategies

from fluxlit_django import url_session
from fluxlit_django.models import URLSession
from fluxlit_django.trust import sessions
from fluxlit_django.url_session import (
    CacheSessionStore,
    ConfiguredSessionStore,
    DatabaseSessionStore,
    DjangoSessionStore,
    InMemorySessionStore,
    SessionStore,
    SlidingSessionStore,
    ensure_url_session,
    hydrate_url_session,
    hydrate_url_session_typed,
    is_genuine,
    new_session_id,
    persist_url_session,
    revoke_url_session,
    rotate_url_session,
)
from tests.site import manage, site_environment


def tab(viewer: str = "", **query: Any) -> Any:
    """A browser tab, as a page sees it."""
    return SimpleNamespace(query_params=dict(query), session_state={}, user={"id": viewer} if viewer else {})


@pytest.fixture
def store() -> InMemorySessionStore:
    """An empty store."""
    return InMemorySessionStore()


# Ids


def test_id__signed_for_its_viewer() -> None:
    """An id counts for whom it was made."""
    anns = new_session_id("1")

    assert is_genuine(anns, "1")
    assert not is_genuine(anns, "2")
    assert not is_genuine(anns)
    assert is_genuine(new_session_id())


@given(strategies.one_of(strategies.text(), strategies.none(), strategies.binary(), strategies.integers()))
def test_id__of_somebody_else(sid: Any) -> None:
    """Nothing that was not made here counts, and nothing raises."""
    assert not is_genuine(sid)
    assert not is_genuine(f"{new_session_id()[:32]}.{sid}")


def test_id__after_the_key_is_changed() -> None:
    """With the old SECRET_KEY as a fallback an id goes on."""
    sid = new_session_id()

    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert is_genuine(sid)
    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[]):
        assert not is_genuine(sid)


# What pages call


def test_ensure__new_then_the_same(store: InMemorySessionStore) -> None:
    """A first visit gets an id in its URL; the next one keeps it."""
    first = tab()

    sid = ensure_url_session(first, store, initial={"step": 1})

    assert {"fluxlit_sid": sid} == first.query_params
    assert sid == ensure_url_session(tab(fluxlit_sid=[sid]), store)
    assert {"step": 1} == store.get(sid)


def test_ensure__an_id_that_a_client_chose(store: InMemorySessionStore) -> None:
    """It is not taken over: neither a made-up one nor a genuine one that is revoked."""
    chosen, unknown = "A" * 43, new_session_id()

    assert chosen != ensure_url_session(tab(fluxlit_sid=chosen), store)
    assert unknown != ensure_url_session(tab(fluxlit_sid=unknown), store)
    assert None is store.get(chosen)


def test_state__comes_back(store: InMemorySessionStore) -> None:
    """A refresh, or a new tab on the same link, has what was kept; what is live already stays."""
    first = tab()
    sid = ensure_url_session(first, store)
    first.session_state.update(step=3, name="Ann")
    persist_url_session(first, store, keys=["step", "name"])
    second = tab(fluxlit_sid=sid)
    second.session_state["name"] = "Bob"

    assert sid == hydrate_url_session(second, store)
    assert (3, "Bob") == (second.session_state["step"], second.session_state["name"])
    hydrate_url_session(second, store, merge=False)
    assert "Ann" == second.session_state["name"]


def test_persist__what_is_kept(store: InMemorySessionStore, caplog: pytest.LogCaptureFixture) -> None:
    """Only names that were opted in, without secrets, objects and names of our own."""
    page = tab()
    sid = ensure_url_session(page, store, initial={"step": 1})
    page.session_state.update(
        step=2, other=1, fluxlit_access_token="x", api=object(), nan=float("nan"), _private=1
    )

    persist_url_session(page, store, keys=["fluxlit_access_token", "api", "nan", "_private", "missing"])

    assert {"step": 2} == store.get(sid)
    assert "does not keep 'fluxlit_access_token': its name is that of a secret" in caplog.text
    assert "does not keep 'api': a object is no JSON" in caplog.text


def test_persist__one_name(store: InMemorySessionStore) -> None:
    """A string is one name, not its letters."""
    page = tab()
    sid = ensure_url_session(page, store)
    page.session_state.update(step=2, s=3)

    persist_url_session(page, store, keys="step")

    assert {"step": 2} == store.get(sid)


@override_settings(FLUXLIT={"URL_SESSION_KEYS": ["*"]})
def test_persist__all_but_secrets(store: InMemorySessionStore) -> None:
    """With `*` in the setting every name counts that is no secret."""
    page = tab()
    sid = ensure_url_session(page, store)
    page.session_state.update(a=1, password="x")

    persist_url_session(page, store)

    assert {"a": 1} == store.get(sid)


def test_persist__nothing_opted_in(store: InMemorySessionStore, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what to write."""
    page = tab()
    ensure_url_session(page, store)

    persist_url_session(page, store)

    assert "keys=['step']" in caplog.text


def test_viewer__others_links(store: InMemorySessionStore) -> None:
    """A link of one viewer brings another nothing, and gives nothing away."""
    anns = ensure_url_session(tab("1"), store, initial={"step": 1})
    bobs = tab("2", fluxlit_sid=anns)

    assert None is hydrate_url_session(bobs, store)
    assert anns != ensure_url_session(bobs, store)
    assert {"step": 1} == store.get(anns)


def test_viewer__signs_in(store: InMemorySessionStore) -> None:
    """What an anonymous visit kept goes over to the viewer, under another id; the old one is gone."""
    before = ensure_url_session(tab(), store, initial={"step": 1})
    page = tab("1", fluxlit_sid=before)

    sid = hydrate_url_session(page, store)

    assert (None, {"step": 1}) == (store.get(before), store.get(sid or ""))
    assert 1 == page.session_state["step"]
    assert sid == page.query_params["fluxlit_sid"] != before


def test_rotate_and_revoke(store: InMemorySessionStore) -> None:
    """A new id keeps the state; a revoked one brings nothing back."""
    page = tab()
    old = ensure_url_session(page, store, initial={"step": 1})

    new = rotate_url_session(page, store)
    assert (None, {"step": 1}) == (store.get(old), store.get(new or ""))
    revoke_url_session(page, store)

    assert {} == page.query_params
    assert None is store.get(new or "")
    assert None is rotate_url_session(page, store)


def test_param__configured_and_given(store: InMemorySessionStore) -> None:
    """The setting names the parameter everywhere; an argument does for one call."""
    page = tab()
    with override_settings(FLUXLIT={"URL_SESSION_QUERY_PARAM": "s"}):
        ensure_url_session(page, store)
        assert None is not hydrate_url_session(page, store)
    ensure_url_session(page, store, param="t")

    assert {"s", "t"} == set(page.query_params)


def test_keep_in_url__after_another_page(store: InMemorySessionStore) -> None:
    """The id comes back into the URL from which navigation took it, and no other is overwritten."""
    page = tab()
    sid = ensure_url_session(page, store)
    page.query_params.clear()

    url_session.keep_in_url(page)
    assert {"fluxlit_sid": sid} == page.query_params
    page.query_params["fluxlit_sid"] = "other"
    url_session.keep_in_url(page)
    assert "other" == page.query_params["fluxlit_sid"]


@dataclasses.dataclass
class Wizard:
    """What a wizard keeps."""

    step: int
    name: str = ""


def test_typed__fits_and_does_not(store: InMemorySessionStore) -> None:
    """A dataclass is filled with coerced values, as is the state; what does not fit is None, or raises."""
    sid = ensure_url_session(tab(), store, initial={"step": "3", "more": 1})
    page = tab(fluxlit_sid=sid)

    assert (sid, Wizard(3)) == hydrate_url_session_typed(page, store, Wizard)
    assert 3 == page.session_state["step"]
    store.set(sid, {"step": "three"})
    assert (sid, None) == hydrate_url_session_typed(page, store, Wizard)
    with pytest.raises(ValueError, match="'step' is 'three': use a whole number"):
        hydrate_url_session_typed(page, store, Wizard, strict=True)


def test_ttl__not_positive(store: InMemorySessionStore) -> None:
    """A time of nothing is refused, not for ever."""
    wrong: Any
    for wrong in (0, -1.0, float("nan"), float("inf"), "10"):
        with pytest.raises(ValueError, match=f"ttl_seconds is {wrong!r}. Use a number over 0"):
            ensure_url_session(tab(), store, ttl_seconds=wrong)
        with pytest.raises(ValueError, match="Use a number over 0"):
            store.set("x", {}, ttl_seconds=wrong)
        with pytest.raises(ValueError, match=f"default_ttl_seconds is {wrong!r}"):
            InMemorySessionStore(default_ttl_seconds=wrong)


class Kept:
    """A project's own store, with the three methods that one has to have."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.get = self.kept.get

    def set(self, sid: str, data: dict[str, Any], *, ttl_seconds: float | None = None) -> None:
        self.kept[sid] = data

    def delete(self, sid: str) -> None:
        self.kept.pop(sid, None)


def test_store__of_a_project() -> None:
    """Three methods are enough."""
    store = Kept()
    page = tab()
    sid = ensure_url_session(page, store, initial={"step": 1})

    assert isinstance(store, SessionStore)
    assert sid == hydrate_url_session(page, store)
    assert 1 == page.session_state["step"]
    revoke_url_session(page, store)
    assert {} == store.kept


def test_ttl__slides_or_not() -> None:
    """Reading starts the time anew, unless the setting says no."""
    now = [0.0]
    store = InMemorySessionStore(clock=lambda: now[0])
    with override_settings(FLUXLIT={"URL_SESSION_TTL_S": 10}):
        sliding = ensure_url_session(tab(), store)
        now[0] = 8.0
        hydrate_url_session(tab(fluxlit_sid=sliding), store)
        now[0] = 15.0
        assert {} == store.get(sliding)
    with override_settings(FLUXLIT={"URL_SESSION_TTL_S": 10, "URL_SESSION_SLIDES": False}):
        fixed = ensure_url_session(tab(), store)
        now[0] = 23.0
        hydrate_url_session(tab(fluxlit_sid=fixed), store)
        now[0] = 26.0
        assert None is store.get(fixed)


@pytest.mark.parametrize(
    ("config", "is_off"),
    [
        ({"DISABLE_URL_SESSION": True}, True),
        ({"TESTS": True}, True),
        ({"TESTS": True, "FORCE_URL_SESSION_IN_TESTS": True}, False),
    ],
)
def test_off(store: InMemorySessionStore, config: dict[str, Any], is_off: bool) -> None:
    """Disabled, and under FLUXLIT_TESTS unless forced, nothing is kept."""
    page = tab()
    with override_settings(FLUXLIT=config):
        sid = ensure_url_session(page, store)
        assert is_off == (sid == "") == (None is persist_url_session(page, store, keys=["a"]))


@given(
    strategies.dictionaries(
        strategies.text(),
        strategies.recursive(
            strategies.one_of(
                strategies.none(),
                strategies.booleans(),
                strategies.integers(),
                strategies.text(),
                strategies.floats(),
                strategies.binary(),
                strategies.dates(),
            ),
            lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_persist__any_state(state: dict[str, Any]) -> None:
    """No session state raises, and all that is kept is JSON."""
    store, page = InMemorySessionStore(), tab()
    sid = ensure_url_session(page, store)
    page.session_state.update(state)

    persist_url_session(page, store, keys=list(state))

    assert set(store.get(sid) or {}) <= set(state)


# Stores


@pytest.fixture(params=["memory", "cache", "database", "session"])
def any_store(request: pytest.FixtureRequest, db: Any) -> Any:
    """Each store, the last within the session of somebody signed in."""
    if request.param != "session":
        kinds = {"memory": InMemorySessionStore, "cache": CacheSessionStore, "database": DatabaseSessionStore}
        yield kinds[request.param]()
        return
    browser = Client()
    browser.force_login(get_user_model().objects.create_user("ann"))
    token = sessions.set_current_key(browser.cookies[settings.SESSION_COOKIE_NAME].value)
    yield DjangoSessionStore()
    sessions.reset_current_key(token)


def test_store__keeps_and_forgets(any_store: SessionStore) -> None:
    """Each keeps copies under ids that do not know each other."""
    data = {"a": {"b": [1]}}
    any_store.set("one", data)
    any_store.set("two", {"x": "ü"}, ttl_seconds=60)
    data["a"]["b"].append(2)

    assert isinstance(any_store, SessionStore)
    assert ({"a": {"b": [1]}}, {"x": "ü"}, None) == (
        any_store.get("one"),
        any_store.get("two"),
        any_store.get("0"),
    )
    any_store.set("one", {})
    assert {} == any_store.get("one")
    any_store.delete("one")
    any_store.delete("one")
    assert None is any_store.get("one")


def test_store__touched(any_store: SlidingSessionStore) -> None:
    """Each can start the time of a session anew; what is kept stays, and what is gone does not come back."""
    any_store.set("one", {"a": 1}, ttl_seconds=0.5)
    any_store.touch("one", ttl_seconds=60)
    any_store.touch("none", ttl_seconds=60)
    threading.Event().wait(0.6)

    assert isinstance(any_store, SlidingSessionStore)
    assert ({"a": 1}, None) == (any_store.get("one"), any_store.get("none"))


class Interrupted(InMemorySessionStore):
    """A store in which another tab keeps something between a tab's reading and whatever it does next."""

    def get(self, sid: str) -> dict[str, Any] | None:
        found = super().get(sid)
        self.set(sid, {"step": 2})
        return found


def test_slide__keeps_what_another_tab_kept() -> None:
    """Reading starts the time anew, and writes nothing back over what came in meanwhile."""
    store, sid = Interrupted(), new_session_id()
    store.set(sid, {"step": 1})

    hydrate_url_session(tab(fluxlit_sid=sid), store)

    assert {"step": 2} == InMemorySessionStore.get(store, sid)


def test_store__expires(any_store: SessionStore) -> None:
    """After its time a session is gone."""
    any_store.set("one", {"a": 1}, ttl_seconds=0.01)
    threading.Event().wait(0.05)

    assert None is any_store.get("one")


def test_store__from_32_threads() -> None:
    """Threads at once lose nothing, see whole values, and share none."""
    store = InMemorySessionStore(max_entries=50)

    def work(number: int) -> bool:
        for turn in range(200):
            sid = str((number + turn) % 60)
            store.set(sid, {"n": [turn, turn]})
            found = store.get(sid)
            if found is not None:
                found["n"].append(0)
                if len(found["n"]) != 3:
                    return False
            if turn % 7 == 0:
                store.delete(sid)
        return True

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(work, range(32)))


def test_cache_store__from_32_threads() -> None:
    """The same of the cache."""
    assert writes_and_reads_at_once(CacheSessionStore())


def test_database_store__from_32_threads(tmp_path: Path) -> None:
    """The same of the database, in a file as a site has it: in memory SQLite locks whole tables."""
    environment = site_environment(tmp_path)
    manage(environment, "migrate", "-v0")
    code = (
        "import django; django.setup(); from tests.test_url_session import *; "
        "assert writes_and_reads_at_once(DatabaseSessionStore())"
    )

    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    assert 0 == done.returncode, done.stderr


def test_session_store__from_32_threads(tmp_path: Path) -> None:
    """The same of one viewer's Django session, in which also no id is lost to another's."""
    environment = site_environment(tmp_path)
    manage(environment, "migrate", "-v0")
    code = "import django; django.setup(); from tests.test_url_session import *; keeps_all_in_one_session()"

    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    assert 0 == done.returncode, done.stderr


def keeps_all_in_one_session() -> None:
    """Fail unless 32 threads of one session each find what they kept, and all of it is there at the end."""
    browser = Client()
    browser.force_login(get_user_model().objects.create_user("ann"))
    key = browser.cookies[settings.SESSION_COOKIE_NAME].value
    store = DjangoSessionStore()

    def work(number: int) -> bool:
        sessions.set_current_key(key)
        try:
            store.set(str(number), {"n": number})
            store.set("same", {"n": [number, number]})
            same = store.get("same")
            return store.get(str(number)) == {"n": number} and same is not None and len(same["n"]) == 2
        finally:
            connections.close_all()

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(work, range(32)))
    sessions.set_current_key(key)
    assert [{"n": number} for number in range(32)] == [store.get(str(number)) for number in range(32)]


def writes_and_reads_at_once(store: SlidingSessionStore) -> bool:
    """Whether 32 threads that write and read the same id always find one of the values whole."""

    def work(number: int) -> bool:
        try:
            for turn in range(3):
                store.set("same", {"n": [number, turn]})
                store.touch("same")
                found = store.get("same")
                if found is None or len(found["n"]) != 2:
                    return False
            return True
        finally:
            connections.close_all()

    with ThreadPoolExecutor(32) as pool:
        return all(pool.map(work, range(32)))


def test_memory_store__keeps_who_is_active() -> None:
    """When it is full, those go first that were not used for longest."""
    store = InMemorySessionStore(max_entries=2)
    store.set("a", {})
    store.set("b", {})
    store.get("a")
    store.set("c", {})

    assert ({}, None, {}) == (store.get("a"), store.get("b"), store.get("c"))


@pytest.mark.django_db
def test_database_store__cleared_by_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The command deletes what is over, and the table has no id in it."""
    store = DatabaseSessionStore()
    store.set("old", {}, ttl_seconds=0.01)
    store.set("new", {})
    threading.Event().wait(0.05)

    call_command("fluxlit_clear_url_sessions")

    assert "Deleted 1 URL session.\n" == capsys.readouterr().out
    assert 64 == len(URLSession.objects.get().digest)


@pytest.mark.django_db
def test_session_store__of_nobody() -> None:
    """Without a session nothing is found, and keeping says what to use."""
    assert None is DjangoSessionStore().get("x")
    with pytest.raises(RuntimeError, match="Use another store"):
        DjangoSessionStore().set("x", {})


@pytest.mark.django_db
def test_session_store__of_a_session_that_has_ended() -> None:
    """After the sign-out nothing is found or kept, and no session is made in its place."""
    browser = Client()
    browser.force_login(get_user_model().objects.create_user("ann"))
    token = sessions.set_current_key(browser.cookies[settings.SESSION_COOKIE_NAME].value)
    store = DjangoSessionStore()
    store.set("x", {})
    browser.logout()

    assert None is store.get("x")
    store.delete("x")
    with pytest.raises(RuntimeError, match="nobody is signed in"):
        store.set("x", {})
    assert 0 == Session.objects.count()
    sessions.reset_current_key(token)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["database", "cache", "memory"])
def test_configured_store(name: str) -> None:
    """`site` uses the store that the setting names."""
    store = ConfiguredSessionStore()
    with override_settings(FLUXLIT={"URL_SESSION_STORE": name}):
        store.set("x", {"a": 1})
        assert {"a": 1} == store.get("x")
        store.delete("x")
        assert None is store.get("x")


@pytest.mark.django_db
def test_admin__shows_names_only(admin_client: Client) -> None:
    """Staff see which keys there are and can delete; values stay hidden."""
    DatabaseSessionStore().set("x", {"step": "a-value"})
    row = URLSession.objects.get()

    page = admin_client.get(f"/admin/fluxlit/urlsession/{row.pk}/change/").content.decode()

    assert "step" in page
    assert "a-value" not in page

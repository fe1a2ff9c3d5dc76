"""Who may, and for how long that answer counts."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from fluxlit_django.conf import AppConfig
from fluxlit_django.gateway import access, identity
from fluxlit_django.gateway.access import Decision, Gatekeeper, Verdict
from fluxlit_django.gateway.identity import Viewer

ADA = Viewer("1", "ada")
PUBLIC = AppConfig(name="open", mount="/open", access="public")
LOGIN = AppConfig(name="default", mount="", access="login")
STAFF = AppConfig(name="staff", mount="/staff", access="staff")


def cookie(key: str) -> list[tuple[bytes, bytes]]:
    """Headers with a session's cookie."""
    return [(b"cookie", f"sessionid={key}".encode())]


def sign_in(user) -> str:
    """The key of a new session of a user."""
    session = SessionStore()
    session["_auth_user_id"] = str(user.pk)
    session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    session["_auth_user_hash"] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


@pytest.fixture
def ada(db):
    """A user without any rights."""
    return get_user_model().objects.create_user("ada", password="p")


@pytest.mark.parametrize(
    ("app", "verdict"), [(PUBLIC, Verdict.ALLOW), (LOGIN, Verdict.SIGN_IN), (STAFF, Verdict.SIGN_IN)]
)
@pytest.mark.parametrize("user", [None, AnonymousUser()])
def test_decide__nobody(app, verdict, user) -> None:
    """Who is not signed in may see what is public, and can sign in for the rest."""
    decision = access.decide(app, user)

    assert Decision(verdict, None) == decision


@pytest.mark.parametrize(
    ("app", "verdict"), [(PUBLIC, Verdict.ALLOW), (LOGIN, Verdict.ALLOW), (STAFF, Verdict.FORBID)]
)
def test_decide__signed_in(ada, app, verdict) -> None:
    """Who is signed in and may not is told so, instead of being asked to sign in again."""
    decision = access.decide(app, ada)

    assert verdict is decision.verdict
    assert verdict is Verdict.FORBID or decision.viewer is not None


def test_decide_for_session(ada) -> None:
    """A session's key leads to its user, and tells when the session ends."""
    decision = access.decide_for_session(LOGIN, sign_in(ada))

    assert decision.allowed
    assert "ada" == decision.viewer.username
    assert 0 < decision.session_ends_in_s <= 14 * 24 * 3600


def test_decide_for_session__ends_as_it_was_saved(ada) -> None:
    """The time that is left counts from when the session was saved, and not from when it is asked for."""
    key = sign_in(ada)
    expires = timezone.now() + timedelta(seconds=100)
    SessionStore.get_model_class().objects.filter(session_key=key).update(expire_date=expires)

    decision = access.decide_for_session(LOGIN, key)

    assert 90 < decision.session_ends_in_s <= 100


@pytest.mark.parametrize(
    "engine", ["django.contrib.sessions.backends.cache", "django.contrib.sessions.backends.file"]
)
def test_decide_for_session__store_that_does_not_tell(ada, settings, tmp_path, engine) -> None:
    """A store that knows no time of saving gives the most that may be left, and knows dates all the same."""
    settings.SESSION_ENGINE, settings.SESSION_FILE_PATH = engine, str(tmp_path)
    session = import_module(engine).SessionStore()
    session.update(SessionStore(sign_in(ada)).items())
    session.set_expiry(timezone.now() + timedelta(seconds=100))
    session.create()

    decision = access.decide_for_session(LOGIN, session.session_key)

    assert 90 < decision.session_ends_in_s <= 100


def _inactive(user, key):
    user.is_active = False
    user.save()


def _new_password(user, key):
    user.set_password("another")
    user.save()


def _deleted(user, key):
    user.delete()


def _logged_out(user, key):
    SessionStore(key).flush()


def _expired(user, key):
    session = SessionStore(key)
    session.set_expiry(-1)
    session.save()


@pytest.mark.parametrize("change", [_inactive, _new_password, _deleted, _logged_out, _expired])
def test_decide_for_session__counts_no_more(ada, change) -> None:
    """A session whose user is gone, inactive or has a new password is nobody's."""
    key = sign_in(ada)

    change(ada, key)

    assert Decision(Verdict.SIGN_IN, None) == access.decide_for_session(LOGIN, key)


@pytest.mark.parametrize("key", ["", "x", "0" * 32, "../../etc/passwd", "' or 1=1 --", "\udce9" * 9])
def test_decide_for_session__unknown_key(db, key) -> None:
    """A key that nobody has is nobody's, whatever is in it."""
    assert Decision(Verdict.SIGN_IN, None) == access.decide_for_session(LOGIN, key.replace("\udce9", "é"))


class Reader:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, app: AppConfig, key: str) -> Decision:
        self.asked.append((app.name, key))
        return Decision(Verdict.ALLOW, ADA)


async def test_gatekeeper__remembers_for_seconds() -> None:
    """One answer counts for its time, for one app and one session."""
    now, reader = 100.0, Reader()
    gatekeeper = Gatekeeper(reader, remember_s=2.0, clock=lambda: now)

    for headers in (cookie("a"), cookie("a"), cookie("b")):
        await gatekeeper.decide(LOGIN, headers)
    await gatekeeper.decide(STAFF, cookie("a"))
    assert [("default", "a"), ("default", "b"), ("staff", "a")] == reader.asked

    now += 1.9
    await gatekeeper.decide(LOGIN, cookie("a"))
    assert 3 == len(reader.asked)

    now += 0.1
    await gatekeeper.decide(LOGIN, cookie("a"))
    assert 4 == len(reader.asked)


async def test_gatekeeper__afresh() -> None:
    """When asked to, it reads again, and remembers the new answer."""
    reader = Reader()
    gatekeeper = Gatekeeper(reader, clock=lambda: 0.0)

    await gatekeeper.decide(LOGIN, cookie("a"))
    await gatekeeper.decide(LOGIN, cookie("a"), afresh=True)
    await gatekeeper.decide(LOGIN, cookie("a"))

    assert 2 == len(reader.asked)


async def test_gatekeeper__remembers_a_limited_number() -> None:
    """Made-up keys can't fill the memory; the oldest answers go first."""
    reader = Reader()
    gatekeeper = Gatekeeper(reader, remember_most=2, clock=lambda: 0.0)

    for key in ("a", "b", "c", "b", "c", "a"):
        await gatekeeper.decide(LOGIN, cookie(key))

    assert ["a", "b", "c", "a"] == [key for _, key in reader.asked]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], ""),
        ([(b"cookie", b"theme=x")], ""),
        ([(b"cookie", b"sessionid=abc")], "abc"),
        ([(b"cookie", b"a=1; sessionid=abc; b=2")], "abc"),
        ([(b"cookie", b"a=1"), (b"cookie", b"sessionid=abc")], "abc"),
        ([(b"cookie", b'sessionid="abc"')], "abc"),
        ([(b"cookie", b"sessionid=\xff")], "ÿ"),
        ([(b"cookie", b"xsessionid=abc")], ""),
    ],
)
def test_session_key(fields, expected) -> None:
    """The session's key, as Django reads it from the cookies."""
    assert expected == identity.session_key(fields)


def test_session_key__renamed_cookie(settings) -> None:
    """The cookie's name is Django's setting."""
    settings.SESSION_COOKIE_NAME = "sid"

    assert "abc" == identity.session_key([(b"cookie", b"sessionid=no; sid=abc")])

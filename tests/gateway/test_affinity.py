"""Which sidecar a browser belongs to."""

from __future__ import annotations

from collections import Counter

import pytest

from fluxlit_django.conf import AppConfig
from fluxlit_django.control import SidecarStatus
from fluxlit_django.exceptions import UpstreamUnavailable
from fluxlit_django.gateway import affinity
from fluxlit_django.gateway.affinity import Affinity
from fluxlit_django.gateway.upstream import Directory, SessionHomes

APP = AppConfig("default", "")


def sidecar(name: str, generation: int = 1, state: str = "ready") -> SidecarStatus:
    """A sidecar of the default app; its address tells name and generation."""
    address = f"unix:/run/{name}.{generation}.sock"
    return SidecarStatus(name, "default", address, state, generation=generation)


def chosen(sidecars, wanted: Affinity, home: str | None = None) -> tuple[str, int]:
    """Name and generation of the first choice."""
    first = Directory(sidecars).candidates(APP, wanted, home)[0]
    return first.name, first.generation


def scope(*fields: tuple[bytes, bytes], client: str = "203.0.113.5") -> dict:
    """A request of a browser."""
    return {"headers": list(fields), "client": (client, 50_000)}


def test_cookie__round_trip():
    """What is signed can be read again."""
    wanted = Affinity(affinity.new_key(), 7)

    assert affinity.parse_cookie_value(affinity.make_cookie(wanted)) == wanted


@pytest.mark.parametrize("value", ["", "x", "abc.1", "abc.1:forged", ".", "\x00", "a" * 5000])
def test_cookie__forged(value):
    """Nobody but us makes one."""
    assert affinity.parse_cookie_value(value) is None


def test_of_request__cookie():
    """The cookie counts, wherever it stands among others."""
    wanted = Affinity("abc", 3)
    cookie = f"a=1; {affinity.COOKIE_NAME}={affinity.make_cookie(wanted)}; b=2"

    assert affinity.of_request(scope((b"cookie", cookie.encode()))) == wanted


def test_of_request__cookies_blocked():
    """A browser without a cookie is the same one at each request, and another browser is another one."""
    first = affinity.of_request(scope((b"user-agent", b"Firefox")))
    again = affinity.of_request(scope((b"accept", b"*/*"), (b"user-agent", b"Firefox")))
    other = affinity.of_request(scope((b"user-agent", b"Chrome")))
    elsewhere = affinity.of_request(scope((b"user-agent", b"Firefox"), client="203.0.113.6"))

    assert first == again
    assert len({first, other, elsewhere}) == 3


def test_candidates__spread_and_stay():
    """Browsers spread over the sidecars; when one is added, only some move, all of them there."""
    keys = [f"key-{number}" for number in range(600)]
    three = [sidecar(f"default-{index}") for index in range(3)]
    four = [*three, sidecar("default-3")]

    before = [chosen(three, Affinity(key, 1)) for key in keys]
    after = [chosen(four, Affinity(key, 1)) for key in keys]

    assert min(Counter(before).values()) > 120
    moved = [now for then, now in zip(before, after, strict=True) if then != now]
    assert set(moved) == {("default-3", 1)}
    assert len(moved) < 250


@pytest.mark.parametrize("key", ["a", "b", "c", "d"])
def test_candidates__stay_at_their_name(key):
    """A replacement takes the browsers of the one it replaces: the name decides, not the generation."""
    before = [sidecar("default-0"), sidecar("default-1")]
    after = [sidecar("default-0", 2), sidecar("default-1", 3)]

    assert chosen(before, Affinity(key, 1))[0] == chosen(after, Affinity(key, 3))[0]


@pytest.mark.parametrize(
    ("generation", "expected"),
    [(1, 1), (2, 1), (3, 3), (4, 3), (9, 3), (None, 3)],
    ids=["its own drains", "the newest of its time", "new", "newer", "of an earlier run", "unknown"],
)
def test_candidates__generation(generation, expected):
    """While a replaced sidecar drains, the browsers that began with it stay; all others get the new one."""
    sidecars = [sidecar("default-0", 3), sidecar("default-0", 1, "draining")]

    assert chosen(sidecars, Affinity("key", generation)) == ("default-0", expected)


def test_candidates__own_generation_is_gone():
    """When the old one has ended, its browsers are at the new one."""
    sidecars = [sidecar("default-0", 3), sidecar("default-0", 1, "stopped")]

    assert chosen(sidecars, Affinity("key", 1)) == ("default-0", 3)


def test_candidates__only_a_draining_one():
    """If the new one has failed, the draining one is better than none."""
    sidecars = [sidecar("default-0", 2, "failed"), sidecar("default-0", 1, "draining")]

    assert chosen(sidecars, Affinity("key", None)) == ("default-0", 1)


def test_candidates__no_stranger_at_a_draining_one():
    """A browser of unknown generation is never sent to a draining sidecar while anything else serves."""
    sidecars = [sidecar("default-0", 1, "draining"), sidecar("default-1", 1)]

    found = {chosen(sidecars, Affinity(f"key-{number}", None)) for number in range(50)}

    assert found == {("default-1", 1)}


def test_candidates__known_home():
    """A session that was seen somewhere is looked for there first, then where its browser belongs."""
    sidecars = [sidecar("default-0", 2), sidecar("default-0", 1, "draining"), sidecar("default-1")]
    home = "unix:/run/default-1.1.sock"

    found = Directory(sidecars).candidates(APP, Affinity("key", None), home)

    assert found[0].address == home
    assert len(found) == 3


def test_candidates__none():
    """Without a sidecar that could answer there is an error for the 503."""
    with pytest.raises(UpstreamUnavailable):
        Directory([sidecar("default-0", state="failed")]).candidates(APP, Affinity("key"))


def test_newest_generation():
    """The newest of all apps; 1 before anything is known."""
    other = SidecarStatus("explore-0", "explore", "unix:/x", "ready", generation=5)

    assert Directory([sidecar("default-0", 2), other]).newest_generation() == 5
    assert Directory().newest_generation() == 1


def test_session_homes__forget_the_oldest():
    """The table never grows beyond its size; what is seen again is kept."""
    homes = SessionHomes(most=2)

    homes.learn("a", "one")
    homes.learn("b", "two")
    homes.learn("a", "one")
    homes.learn("c", "three")

    assert [homes.find(session) for session in "abc"] == ["one", None, "three"]

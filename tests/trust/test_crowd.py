"""Who knocks must not take all the room."""

from __future__ import annotations

import contextlib

import pytest

from fluxlit_django.gateway.crowd import Crowd


def test_enter__beyond_the_share_of_one_address():
    """One address has its share, and leaves the rest to others."""
    crowd = Crowd(most=5, most_of_one=2)

    taken = [crowd.enter(address) for address in ("10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2")]

    assert [True, True, False, True] == taken


def test_enter__beyond_all_room():
    """All addresses together have no more than there is."""
    crowd = Crowd(most=2, most_of_one=2)

    assert [True, True, False] == [crowd.enter(f"10.0.0.{number}") for number in range(3)]


def test_leave__makes_room():
    """Whoever leaves makes room for another, and is forgotten."""
    crowd = Crowd(most=1, most_of_one=1)
    crowd.enter("10.0.0.1")

    crowd.leave("10.0.0.1")

    assert crowd.enter("10.0.0.2")


def test_place__is_free_again_afterwards():
    """A place is taken for a block, however that ends; who gets none takes none away."""
    crowd = Crowd(most=1, most_of_one=1)

    with contextlib.suppress(ValueError), crowd.place("a") as first, crowd.place("a") as second:
        raise ValueError

    assert (True, False, True) == (first, second, crowd.enter("b"))


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("", "", True),
        ("unix", "unix", True),
    ],
)
def test_enter__what_counts_as_one(first, second, is_one):
    """An IPv6 network of 64 bits is one household; an address that is none is itself."""
    crowd = Crowd(most=9, most_of_one=1)
    crowd.enter(first)

    assert is_one is not crowd.enter(second)

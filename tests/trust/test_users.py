"""What sidecars are told of a user, and under which names."""

from __future__ import annotations

from fluxlit_django.trust import users


def test_headers__as_the_setting_says():
    """Each field has a header of its own, and the id is always there."""
    expected = {"x-fluxlit-user-id": "id", "x-fluxlit-user-cost-centre": "cost_centre"}

    assert expected == users.headers(["cost_centre"])
    assert expected == users.headers(["cost_centre", "id"])

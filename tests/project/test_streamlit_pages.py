"""What the Streamlit pages decide by themselves; how they look and work is for the browser tests."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from fluxlit_django.trust import users
from project.shop import streamlit_pages


@pytest.mark.parametrize(
    ("value", "old", "shown"),
    [
        (110, 100, "+10.0%"),
        (90, 100, "-10.0%"),
        (1, 3, "-66.7%"),
        (5, 0, None),
        (5, None, None),
        ("1.5", 1, "+50.0%"),
    ],
)
def test_change__in_per_cent(value, old, shown):
    """A change is shown with its sign, and not at all without something to compare with."""
    assert shown == streamlit_pages.change(value, old)


def test_may_import__staff_with_the_permission(clerk, member):
    """Only active staff with the permission may, and it is asked of the database each time."""
    permission = Permission.objects.get(codename="add_order")

    def may_import(user):
        return streamlit_pages.may_import(users.find(str(user.pk)))

    without = may_import(clerk)
    clerk.user_permissions.add(permission)
    member.user_permissions.add(permission)

    with_it = may_import(clerk), may_import(member)
    clerk.is_active = False
    clerk.save()

    assert (False, (True, False), False) == (without, with_it, may_import(clerk))
    assert not streamlit_pages.may_import(users.find(""))

"""A browser's place in the admin: Django's test client, signed in."""

import pytest
from django.contrib.auth.models import Permission, User


@pytest.fixture
def make_staff(client):
    """Sign in a member of staff who has just these permissions, named without the app's label."""

    def make(*codenames):
        user = User.objects.create_user("sam", password="pw", is_staff=True)
        found = Permission.objects.filter(content_type__app_label="fluxlit", codename__in=codenames)
        assert len(codenames) == len(found)
        user.user_permissions.set(found)
        client.force_login(user)
        return client

    return make

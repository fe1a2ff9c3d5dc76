"""Who may open a page, and what others see instead."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission

from fluxlit_django import FluxLit
from fluxlit_django.testing import FluxLitTestClient


@pytest.fixture
def app() -> FluxLit:
    """Pages with each kind of rule, and one for everybody."""
    app = FluxLit(title="Office")
    kinds: dict[str, dict[str, Any]] = {
        "/": {},
        "/members": {"login_required": True},
        "/staff": {"staff_only": True},
        "/orders": {"permission": "shop.view_order"},
        "/desk": {"access": "group:Desk"},
        "/ann": {"access": lambda user: user.get_username() == "ann"},
        "/dotted": {"access": f"{__name__}.is_bob"},
        "/both": {"staff_only": True, "permission": "shop.view_order"},
    }
    for path, rule in kinds.items():
        app.page(path, title=path, **rule)(lambda st: st.write("secret of the page"))
    return app


async def is_bob(user: Any) -> bool:
    """A rule may be async."""
    return bool(user.get_username() == "bob")


def make_user(name: str, **fields: Any) -> Any:
    return get_user_model().objects.create_user(name, **fields)


def opened(client: FluxLitTestClient, app: FluxLit) -> list[str]:
    """The pages that show themselves to this viewer, asked for one by one."""
    found = []
    for record in app.page_records:
        at = client.streamlit(target=app, query_params={"page": record.path})
        if any(block.value == "secret of the page" for block in at.markdown):
            found.append(record.path)
    return found


pytestmark = pytest.mark.django_db


def test_anonymous(app: FluxLit) -> None:
    """Nobody opens only what is everybody's, and is asked to sign in."""
    client = FluxLitTestClient(app)

    at = client.streamlit(query_params={"page": "/orders"})

    assert ["/"] == opened(client, app)
    assert "Sign in to open" in at.info[0].value
    assert [] == list(at.exception)


def test_anonymous__led_back_after_the_sign_in(app: FluxLit) -> None:
    """The button leads to the login page, and from there to the page as it was asked for."""
    at = FluxLitTestClient(app).streamlit(query_params={"page": "/orders", "day": "1"})

    [button] = at.get("link_button")
    assert "/accounts/login/?next=/orders%3Fday%3D1" == button.proto.url


def test_signed_in(app: FluxLit) -> None:
    """A user without any rights opens what asks for a login alone; the rest is refused by name."""
    client = FluxLitTestClient(app)
    client.force_login(make_user("cat"))

    at = client.streamlit(query_params={"page": "/orders"})

    assert ["/", "/members"] == opened(client, app)
    assert ["You may not open “/orders”."] == [box.value for box in at.error]


def test_each_rule(app: FluxLit) -> None:
    """Each rule is passed by whom it names; several rules all have to."""
    client = FluxLitTestClient(app)
    ann = make_user("ann")
    ann.groups.add(Group.objects.create(name="Desk"))
    bob = make_user("bob", is_staff=True)
    bob.user_permissions.add(Permission.objects.get(codename="view_order"))

    client.force_login(ann)
    anns = opened(client, app)
    client.force_login(bob)
    bobs = opened(client, app)

    assert ["/", "/members", "/desk", "/ann"] == anns
    assert ["/", "/members", "/staff", "/orders", "/dotted", "/both"] == bobs


def test_permission__taken_away_between_runs(app: FluxLit) -> None:
    """The next run of an open page asks again."""
    client = FluxLitTestClient(app)
    user = make_user("ann", is_staff=True)
    client.force_login(user)
    at = client.streamlit(query_params={"page": "staff"})
    user.is_staff = False
    user.save()

    client.force_login(user)
    again = client.streamlit(query_params={"page": "staff"})

    assert "secret of the page" == at.markdown[0].value
    assert [] == list(again.markdown)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"permission": "view_order"}, "The permission is 'view_order'. Use app.codename"),
        ({"access": "perm:"}, "The access rule is 'perm:': use public, login"),
        ({"access": "nobody"}, "The access rule is 'nobody'"),
    ],
)
def test_rule__that_is_none(options: dict[str, Any], message: str) -> None:
    """A rule that is none is refused where the page is registered."""
    with pytest.raises(ValueError, match=message):
        FluxLit().page("/x", **options)

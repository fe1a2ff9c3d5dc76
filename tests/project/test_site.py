"""Sign-in, sign-out, the error pages and the admin."""

from __future__ import annotations

import pytest
from django.core.exceptions import BadRequest, PermissionDenied
from django.test import Client, RequestFactory
from django.test.utils import override_script_prefix

from project import views


def test_login__leads_back_to_the_page(client, member):
    """After signing in, the page that was asked for."""
    response = client.post(
        "/accounts/login/?next=/products",
        {"username": "member", "password": "a-password", "next": "/products"},
    )

    assert (302, "/products") == (response.status_code, response.headers["Location"])


def test_login__leads_to_the_start_page(client, member):
    """Without a page to go back to, the start page."""
    response = client.post("/accounts/login/", {"username": "member", "password": "a-password"})

    assert "/" == response.headers["Location"]


def test_login__leads_to_the_start_page_under_a_prefix(client, member):
    """Under a prefix, the start page is there."""
    with override_script_prefix("/shop/"):
        response = client.post("/accounts/login/", {"username": "member", "password": "a-password"})

    assert "/shop/" == response.headers["Location"]


def test_login__never_leads_away(client, member):
    """Another site in `next` is ignored."""
    response = client.post(
        "/accounts/login/", {"username": "member", "password": "a-password", "next": "https://evil.example/"}
    )

    assert "/" == response.headers["Location"]


def test_login__wrong_password(client, member):
    """The form comes back with a message and the user name."""
    response = client.post("/accounts/login/", {"username": "member", "password": "wrong"})

    assert 200 == response.status_code
    assert "Please enter a correct username and password" in response.text
    assert 'value="member"' in response.text


def test_login__needs_the_csrf_token(member):
    """A form that was open too long gets a page, not a stack trace."""
    response = Client(enforce_csrf_checks=True).post("/accounts/login/", {"username": "member"})

    assert 403 == response.status_code
    assert "The form was open for too long" in response.text


def test_logout__asks_first(client, member):
    """A link shows the question and signs nobody out; the button does."""
    client.force_login(member)

    question = client.get("/accounts/logout/")
    still_in = "_auth_user_id" in client.session
    answer = client.post("/accounts/logout/")

    assert "Sign out?" in question.text
    assert still_in
    assert "You are signed out" in answer.text
    assert "_auth_user_id" not in client.session


def test_password_change__own_page(client, member):
    """A member can set another password."""
    client.force_login(member)
    passwords = {
        "old_password": "a-password",
        "new_password1": "another-fine-1",
        "new_password2": "another-fine-1",
    }

    form = client.get("/accounts/password/")
    response = client.post("/accounts/password/", passwords, follow=True)

    assert "New password" in form.text
    assert "Your password is changed" in response.text


@pytest.mark.parametrize(
    ("view", "arguments", "status", "heading"),
    [
        (views.bad_request, (BadRequest(),), 400, "That request cannot be read"),
        (views.permission_denied, (PermissionDenied(),), 403, "This is not open to you"),
        (views.page_not_found, (Exception(),), 404, "There is nothing here"),
        (views.server_error, (), 500, "Something went wrong"),
    ],
)
def test_errors__page_for_people_json_for_the_api(view, arguments, status, heading):
    """One page or one JSON object, self-contained."""
    page = view(RequestFactory().get("/somewhere"), *arguments)
    answer = view(RequestFactory().get("/api/somewhere"), *arguments)

    assert (status, status) == (page.status_code, answer.status_code)
    assert heading in page.content.decode()
    assert "https://" not in page.content.decode()
    assert "application/json" == answer.headers["Content-Type"]


def test_too_large__is_json(client, member):
    """A body above Django's limit is refused with JSON under /api/."""
    client.force_login(member)
    member.is_staff = member.is_superuser = True
    member.save()

    response = client.post("/api/orders/1/status", b"{" * 3_000_000, content_type="application/json")

    assert (400, "bad_request") == (response.status_code, response.json()["error"]["code"])


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        "/admin/shop/order/?q=anna&status__exact=paid",
        "/admin/shop/customer/?q=anna",
        "/admin/shop/product/?category__exact=kitchen",
        "/admin/shop/order/add/",
        "/admin/shop/order/?o=-7",
    ],
)
def test_admin__pages(admin_client, shop, path):
    """Every list and form of the shop opens."""
    response = admin_client.get(path)

    assert 200 == response.status_code


def test_admin__order_with_lines(admin_client, shop):
    """An order's page has its lines and its total."""
    response = admin_client.get(f"/admin/shop/order/{shop.orders[0].pk}/change/")

    assert "Pot (POT-1)" in response.text
    assert "20.00 €" in response.text


def test_https__leads_everybody_there(client, settings):
    """With the redirect to HTTPS on, nothing is exempt from it; pages' own calls count as HTTPS."""
    settings.SECURE_SSL_REDIRECT = True

    page, answer = client.get("/accounts/login/"), client.get("/api/summary")

    assert (301, 301) == (page.status_code, answer.status_code)


def test_static__admin_style(client):
    """Static files come from servestatic, through the middleware."""
    response = client.get("/static/admin/css/base.css")

    assert 200 == response.status_code
    assert "text/css" in response.headers["Content-Type"]

"""The API: what it answers, to whom, and how it says no."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Permission
from django.test import Client


def post_status(client: Client, order_id: int, body: object, **options):
    """Ask for another status."""
    data = body if isinstance(body, str) else json.dumps(body)
    return client.post(f"/api/orders/{order_id}/status", data, content_type="application/json", **options)


@pytest.fixture
def manager(clerk):
    """Staff who may change orders."""
    clerk.user_permissions.add(Permission.objects.get(codename="change_order"))
    return clerk


def test_products__open_to_anyone(client, shop):
    """The range is public, money is a string."""
    response = client.get("/api/products")

    assert 200 == response.status_code
    assert {"count": 2, "page": 1, "page_size": 50} == {
        name: response.json()[name] for name in ("count", "page", "page_size")
    }
    pot = {"sku": "POT-1", "name": "Pot", "category": "kitchen", "price": "10.00", "stock": 0}
    assert pot in response.json()["results"]


@pytest.mark.parametrize(
    ("query", "skus"),
    [
        ("?category=kitchen", ["POT-1"]),
        ("?search=PE", ["PEN-1"]),
        ("?search=nothing", []),
        ("?page=2&page_size=1", ["PEN-1"]),
        ("?page=9", []),
    ],
)
def test_products__filters(client, shop, query, skus):
    """Parameters narrow the list."""
    response = client.get(f"/api/products{query}")

    assert skus == [product["sku"] for product in response.json()["results"]]


def test_products__not_on_sale(client, shop):
    """What is no longer sold is not listed."""
    shop.pot.is_active = False
    shop.pot.save()

    response = client.get("/api/products")

    assert ["PEN-1"] == [product["sku"] for product in response.json()["results"]]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/api/products?category=cars", "category"),
        ("/api/products?page=0", "page"),
        ("/api/products?page=-1", "page"),
        ("/api/products?page=1&page=2", "page"),
        ("/api/products?page_size=201", "page_size"),
        ("/api/products?page=²", "page"),
        ("/api/products?search=%00", "search"),
        ("/api/products?search=", "search"),
        ("/api/products?color=red", "color"),
        ("/api/summary?days=0", "days"),
        ("/api/summary?days=many", "days"),
        ("/api/orders?status=lost", "status"),
        ("/api/orders?since=2026-02-30", "since"),
        ("/api/orders?until=yesterday", "until"),
        ("/api/orders?country=XX", "country"),
    ],
)
def test_parameters__named_when_wrong(client, member, path, parameter):
    """400 names the parameter and says what it takes."""
    client.force_login(member)

    response = client.get(path)

    assert 400 == response.status_code
    assert "invalid_parameter" == response.json()["error"]["code"]
    assert parameter == response.json()["error"]["parameter"]
    assert response.json()["error"]["message"].startswith(f"{parameter}: ")


def test_orders__need_a_login(client, shop):
    """Orders are nobody's business."""
    response = client.get("/api/orders")

    assert 401 == response.status_code
    assert "not_signed_in" == response.json()["error"]["code"]


def test_orders__newest_first_with_totals(client, member, shop):
    """A member sees all orders, uncached."""
    client.force_login(member)

    response = client.get("/api/orders")

    results = response.json()["results"]
    assert ["A-3", "A-2", "A-1"] == [order["reference"] for order in results]
    assert {"customer": "Anna Weber", "items": 2, "total": "20.00"}.items() <= results[2].items()
    assert "private, no-store" == response.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("query", "references"),
    [
        ("?status=paid", ["A-2"]),
        ("?country=DE", ["A-3", "A-1"]),
        ("?customer=byrne", ["A-2"]),
        ("?since=2026-01-11", ["A-3", "A-2"]),
        ("?until=2026-01-10", ["A-1"]),
        ("?since=2026-01-10&until=2026-01-20&country=IE", ["A-2"]),
    ],
)
def test_orders__filters(client, member, shop, query, references):
    """Parameters narrow the list, days are included."""
    client.force_login(member)

    response = client.get(f"/api/orders{query}")

    assert references == [order["reference"] for order in response.json()["results"]]


def test_summary__compares_with_before(client, shop):
    """Totals up to the last order's day, and of as many days before."""
    response = client.get("/api/summary?days=10")

    summary = response.json()
    now, before = summary["now"], summary["before"]
    assert ("2026-01-11", "2026-01-20", "5.00") == (now["first_day"], now["last_day"], now["revenue"])
    assert ("2026-01-01", "20.00") == (before["first_day"], before["revenue"])
    assert [{"category": "stationery", "revenue": "5.00", "orders": 1}] == summary["categories"]


def test_summary__of_an_empty_shop(client, db):
    """Nothing sold is zero, not an error."""
    response = client.get("/api/summary")

    assert 200 == response.status_code
    assert "0.00" == response.json()["now"]["average_order"]


def test_status__moves_an_order_on(client, manager, shop):
    """Staff who may change orders can send a paid one."""
    client.force_login(manager)

    response = post_status(client, shop.orders[1].pk, {"status": "shipped"})

    shop.orders[1].refresh_from_db()
    assert 200 == response.status_code
    assert "shipped" == response.json()["status"] == shop.orders[1].status


def test_status__is_idempotent(client, manager, shop):
    """Asking for the status an order has already changes nothing."""
    client.force_login(manager)

    response = post_status(client, shop.orders[0].pk, {"status": "delivered"})

    assert 200 == response.status_code


@pytest.mark.parametrize(
    ("order", "body", "status", "code"),
    [
        (0, {"status": "placed"}, 409, "impossible_status"),
        (0, {"status": "lost"}, 400, "invalid_parameter"),
        (0, {}, 400, "invalid_parameter"),
        (0, [], 400, "invalid_parameter"),
        (0, {"status": ["paid"]}, 400, "invalid_parameter"),
        (0, "{", 400, "invalid_json"),
        (0, "", 400, "invalid_json"),
        (0, "[" * 100_000, 400, "invalid_json"),
        (None, {"status": "paid"}, 404, "not_found"),
    ],
)
def test_status__refused(client, manager, shop, order, body, status, code):
    """What cannot be done is refused with a reason, and nothing changes."""
    client.force_login(manager)
    order_id = 10**12 if order is None else shop.orders[order].pk

    response = post_status(client, order_id, body)

    shop.orders[0].refresh_from_db()
    assert (status, code) == (response.status_code, response.json()["error"]["code"])
    assert "delivered" == shop.orders[0].status


def test_status__who_may(client, member, clerk, shop):
    """Nobody, a member, and staff without the permission may not."""
    anonymous = post_status(client, shop.orders[1].pk, {"status": "shipped"})
    client.force_login(member)
    as_member = post_status(client, shop.orders[1].pk, {"status": "shipped"})
    client.force_login(clerk)
    as_clerk = post_status(client, shop.orders[1].pk, {"status": "shipped"})

    assert [401, 403, 403] == [anonymous.status_code, as_member.status_code, as_clerk.status_code]


def test_status__needs_the_csrf_token(manager, shop):
    """Another site cannot post in the name of a viewer."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(manager)

    response = post_status(client, shop.orders[1].pk, {"status": "shipped"})

    assert (403, "csrf_failed") == (response.status_code, response.json()["error"]["code"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("post", "/api/products", "GET, HEAD"),
        ("delete", "/api/summary", "GET, HEAD"),
        ("get", "/api/orders/1/status", "POST"),
    ],
)
def test_method__not_allowed(client, db, method, path, allowed):
    """405 names the methods that are."""
    response = getattr(client, method)(path)

    assert (405, "method_not_allowed") == (response.status_code, response.json()["error"]["code"])
    assert allowed == response.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["/api/", "/api/nothing", "/api/products/", "/api/orders/x/status", "/api/a%0Ab"]
)
def test_unknown_path__is_json(client, path):
    """404 under /api/ is JSON, whatever the path."""
    response = client.get(path)

    assert (404, "not_found") == (response.status_code, response.json()["error"]["code"])


async def test_products__async(async_client, transactional_db):
    """The views run in an event loop too."""
    response = await async_client.get("/api/products")

    assert 200 == response.status_code

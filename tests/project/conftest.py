"""A small shop for the tests of the demo project."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from types import SimpleNamespace

import pytest

from project.shop.models import Category, Country, Customer, Order, OrderLine, Product, Status


@pytest.fixture
def shop(db) -> SimpleNamespace:
    """Two customers, two products; three orders of 20, 5 and 30 euros, the last one cancelled."""
    anna = Customer.objects.create(name="Anna Weber", email="anna@mail.example", country=Country.GERMANY)
    cian = Customer.objects.create(name="Cian Byrne", email="cian@mail.example", country=Country.IRELAND)
    pot = Product.objects.create(sku="POT-1", name="Pot", category=Category.KITCHEN, price=Decimal("10.00"))
    pen = Product.objects.create(sku="PEN-1", name="Pen", category=Category.STATIONERY, price=Decimal("2.50"))
    orders = [
        make_order("A-1", anna, Status.DELIVERED, dt.date(2026, 1, 10), {pot: 2}),
        make_order("A-2", cian, Status.PAID, dt.date(2026, 1, 20), {pen: 2}),
        make_order("A-3", anna, Status.CANCELLED, dt.date(2026, 1, 20), {pot: 3}),
    ]
    return SimpleNamespace(anna=anna, cian=cian, pot=pot, pen=pen, orders=orders)


def make_order(
    reference: str, customer: Customer, status: str, day: dt.date, items: dict[Product, int]
) -> Order:
    """One order at noon."""
    placed_at = dt.datetime.combine(day, dt.time(12), tzinfo=dt.timezone.utc)
    order = Order.objects.create(reference=reference, customer=customer, status=status, placed_at=placed_at)
    for product, quantity in items.items():
        OrderLine.objects.create(order=order, product=product, quantity=quantity, unit_price=product.price)
    return order


@pytest.fixture
def member(django_user_model):
    """Somebody who may sign in and nothing else."""
    return django_user_model.objects.create_user("member", "member@mail.example", "a-password")


@pytest.fixture
def clerk(django_user_model):
    """Staff, without any permission."""
    return django_user_model.objects.create_user("clerk", "clerk@mail.example", "a-password", is_staff=True)

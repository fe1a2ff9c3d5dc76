"""The shop's models hold what they promise."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from project.shop.models import Order, OrderLine, Product, Status


def test_with_totals__sums_lines(shop):
    """An order costs the sum of its lines, and one without lines nothing."""
    empty = Order.objects.create(reference="A-9", customer=shop.anna)
    OrderLine.objects.create(order=shop.orders[0], product=shop.pen, quantity=3, unit_price=Decimal("2.50"))

    totals = {order.reference: (order.items, order.total) for order in Order.objects.with_totals()}

    assert totals[empty.reference] == (0, 0)
    assert totals["A-1"] == (5, Decimal("27.50"))


def test_sold__leaves_out_cancelled(shop):
    """A cancelled order is no revenue."""
    sold = Order.objects.sold()

    assert {"A-1", "A-2"} == {order.reference for order in sold}


@pytest.mark.parametrize(
    ("status", "becomes", "allowed"),
    [
        (Status.PLACED, Status.PAID, True),
        (Status.PLACED, Status.DELIVERED, False),
        (Status.PAID, Status.CANCELLED, True),
        (Status.SHIPPED, Status.CANCELLED, False),
        (Status.DELIVERED, Status.PLACED, False),
        (Status.CANCELLED, Status.PAID, False),
    ],
)
def test_can_become__follows_the_life_of_an_order(status, becomes, allowed):
    """An order only moves forward."""
    order = Order(status=status)

    assert allowed == order.can_become(becomes)


@pytest.mark.parametrize(
    "change",
    [
        lambda shop: Product.objects.filter(pk=shop.pot.pk).update(price=0),
        lambda shop: Order.objects.filter(pk=shop.orders[0].pk).update(status="lost"),
        lambda shop: OrderLine.objects.update(quantity=0),
        lambda shop: OrderLine.objects.update(unit_price=-1),
        lambda shop: OrderLine.objects.create(order=shop.orders[0], product=shop.pot, unit_price=1),
        lambda shop: Order.objects.create(reference="A-1", customer=shop.anna),
    ],
)
def test_constraints__refuse_nonsense(shop, change):
    """The database itself refuses what would make the sums wrong."""
    with pytest.raises(IntegrityError), transaction.atomic():
        change(shop)


def test_delete__keeps_what_orders_need(shop):
    """A customer or product with orders stays."""
    with pytest.raises(ProtectedError):
        shop.anna.delete()
    with pytest.raises(ProtectedError):
        shop.pot.delete()


def test_str__is_readable(shop):
    """Each thing says what it is."""
    line = OrderLine.objects.get(order=shop.orders[0])

    assert ["Anna Weber", "Pot (POT-1)", "A-1", "2 × Pot (POT-1)"] == [
        str(thing) for thing in (shop.anna, shop.pot, shop.orders[0], line)
    ]

"""The sums that the API and the pages show."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from project.shop import reports
from project.shop.models import Order, OrderLine

JANUARY = reports.Selection(dt.date(2026, 1, 1), dt.date(2026, 1, 31))


def test_selection__before_is_as_long_and_adjacent():
    """January is compared with the 31 days before it."""
    before = JANUARY.before

    assert (dt.date(2025, 12, 1), dt.date(2025, 12, 31)) == (before.first_day, before.last_day)
    assert 31 == before.days


def test_sum_up__counts_what_was_sold(shop):
    """Cancelled orders count nowhere."""
    totals = reports.sum_up(JANUARY)

    assert reports.Totals(Decimal("25.00"), orders=2, customers=2, items=4) == totals
    assert Decimal("12.50") == totals.average_order


def test_sum_up__of_nothing(db):
    """An empty shop sold nothing, at an average of nothing."""
    totals = reports.sum_up(JANUARY)

    assert reports.Totals(Decimal("0.00"), 0, 0, 0) == totals
    assert Decimal("0.00") == totals.average_order


def test_sum_up__bounds_are_included(shop):
    """The first and the last day count, the days around them do not."""
    day = dt.date(2026, 1, 10)

    assert Decimal("20.00") == reports.sum_up(reports.Selection(day, day)).revenue
    assert 0 == reports.sum_up(reports.Selection(dt.date(2026, 1, 11), dt.date(2026, 1, 19))).orders


def test_sum_up__filters(shop):
    """Categories and countries narrow the selection."""
    kitchen = reports.Selection(JANUARY.first_day, JANUARY.last_day, categories=("kitchen",))
    ireland = reports.Selection(JANUARY.first_day, JANUARY.last_day, countries=("IE",))

    assert Decimal("20.00") == reports.sum_up(kitchen).revenue
    assert Decimal("5.00") == reports.sum_up(ireland).revenue


def test_breakdowns__add_up(shop):
    """Each breakdown has the whole revenue, the largest part first."""
    by_country = reports.revenue_by_country(JANUARY)
    by_category = reports.revenue_by_category(JANUARY)
    by_day = reports.revenue_by_day(JANUARY)
    top = reports.top_products(JANUARY)

    assert ["DE", "IE"] == [row["country"] for row in by_country]
    assert ["kitchen", "stationery"] == [row["category"] for row in by_category]
    assert ["POT-1", "PEN-1"] == [row["sku"] for row in top]
    assert {Decimal("25.00")} == {
        sum(row["revenue"] for row in rows) for rows in (by_country, by_category, by_day, top)
    }


def test_trend__equal_stretches(shop):
    """31 days in at most 3 stretches are 2 of 11 days, ending on the last one."""
    trend = reports.trend(JANUARY, points=3)

    assert [Decimal("25.00"), Decimal("0.00")] == [point.revenue for point in trend]


def test_trend__one_day(shop):
    """A single day is a single point."""
    trend = reports.trend(reports.Selection(dt.date(2026, 1, 10), dt.date(2026, 1, 10)))

    assert [1] == [point.orders for point in trend]


def test_find_days__of_all_orders(shop):
    """The first and the last day with an order; None without any."""
    assert (dt.date(2026, 1, 10), dt.date(2026, 1, 20)) == reports.find_days()

    OrderLine.objects.all().delete()
    Order.objects.all().delete()

    assert reports.find_days() is None

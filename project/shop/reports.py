"""What the shop sold: the questions that the API and the pages ask of the ORM."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db.models import Count, DecimalField, F, Max, Min, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from project.shop.models import Order, OrderLine, Status

CENT = Decimal("0.01")
AMOUNT = Coalesce(Sum(F("quantity") * F("unit_price")), Decimal(0), output_field=DecimalField())


@dataclass(frozen=True)
class Selection:
    """Which sales to look at: days (both included), and categories and countries; none means all of them."""

    first_day: dt.date
    last_day: dt.date
    categories: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()

    @property
    def days(self) -> int:
        """How many days it covers."""
        return (self.last_day - self.first_day).days + 1

    @property
    def before(self) -> Selection:
        """As many days just before it, to compare with."""
        length = dt.timedelta(days=self.days)
        return replace(self, first_day=self.first_day - length, last_day=self.last_day - length)


@dataclass(frozen=True)
class Totals:
    """The sums of a selection. Money is in euros."""

    revenue: Decimal
    orders: int
    customers: int
    items: int

    @property
    def average_order(self) -> Decimal:
        """Revenue per order; 0 when there is none."""
        return (self.revenue / self.orders).quantize(CENT) if self.orders else Decimal("0.00")

    def plus(self, other: Totals) -> Totals:
        """Both together; a customer of both counts twice."""
        return Totals(
            self.revenue + other.revenue,
            self.orders + other.orders,
            self.customers + other.customers,
            self.items + other.items,
        )


def find_days() -> tuple[dt.date, dt.date] | None:
    """The days of the first and the last order; None when there is no order."""
    bounds = Order.objects.aggregate(first=Min("placed_at"), last=Max("placed_at"))
    if bounds["first"] is None:
        return None
    return timezone.localdate(bounds["first"]), timezone.localdate(bounds["last"])


def sold_lines(selection: Selection) -> QuerySet[OrderLine]:
    """The lines of all orders in the selection that count as revenue."""
    lines = OrderLine.objects.exclude(order__status=Status.CANCELLED).filter(
        order__placed_at__gte=_midnight(selection.first_day),
        order__placed_at__lt=_midnight(selection.last_day + dt.timedelta(days=1)),
    )
    if selection.categories:
        lines = lines.filter(product__category__in=selection.categories)
    if selection.countries:
        lines = lines.filter(order__customer__country__in=selection.countries)
    return lines


def sum_up(selection: Selection) -> Totals:
    """The totals of the selection."""
    sums = sold_lines(selection).aggregate(
        revenue=AMOUNT,
        orders=Count("order", distinct=True),
        customers=Count("order__customer", distinct=True),
        items=Coalesce(Sum("quantity"), 0),
    )
    return Totals(**sums | {"revenue": _money(sums["revenue"])})


def revenue_by_day(selection: Selection) -> list[dict[str, Any]]:
    """`day`, `category` and `revenue`, one entry for each day and category that sold anything."""
    rows = (
        sold_lines(selection)
        .values(day=TruncDate("order__placed_at"), category=F("product__category"))
        .annotate(revenue=AMOUNT)
        .order_by("day", "category")
    )
    return [row | {"revenue": _money(row["revenue"])} for row in rows]


def trend(selection: Selection, points: int = 15) -> list[Totals]:
    """The totals of equal stretches of the selection, up to so many, the last one ending on its last day."""
    length = -(-selection.days // points)
    stretches = selection.days // length
    first_day = selection.last_day - dt.timedelta(days=length * stretches - 1)
    rows = (
        sold_lines(replace(selection, first_day=first_day))
        .values(day=TruncDate("order__placed_at"))
        .annotate(
            revenue=AMOUNT,
            orders=Count("order", distinct=True),
            customers=Count("order__customer", distinct=True),
            items=Sum("quantity"),
        )
        .order_by("day")
    )
    sums = [Totals(Decimal("0.00"), 0, 0, 0)] * stretches
    for row in rows:
        index = (row.pop("day") - first_day).days // length
        sums[index] = sums[index].plus(Totals(**row | {"revenue": _money(row["revenue"])}))
    return sums


def revenue_by_country(selection: Selection) -> list[dict[str, Any]]:
    """`country`, `orders` and `revenue`, the largest revenue first."""
    rows = (
        sold_lines(selection)
        .values(country=F("order__customer__country"))
        .annotate(revenue=AMOUNT, orders=Count("order", distinct=True))
        .order_by("-revenue")
    )
    return [row | {"revenue": _money(row["revenue"])} for row in rows]


def revenue_by_category(selection: Selection) -> list[dict[str, Any]]:
    """`category`, `orders` and `revenue`, the largest revenue first."""
    rows = (
        sold_lines(selection)
        .values(category=F("product__category"))
        .annotate(revenue=AMOUNT, orders=Count("order", distinct=True))
        .order_by("-revenue")
    )
    return [row | {"revenue": _money(row["revenue"])} for row in rows]


def top_products(selection: Selection, limit: int = 10) -> list[dict[str, Any]]:
    """`sku`, `name`, `category`, `items`, `orders` and `revenue` of what sold best."""
    rows = (
        sold_lines(selection)
        .values(sku=F("product__sku"), name=F("product__name"), category=F("product__category"))
        .annotate(items=Sum("quantity"), orders=Count("order", distinct=True), revenue=AMOUNT)
        .order_by("-revenue", "sku")[:limit]
    )
    return [row | {"revenue": _money(row["revenue"])} for row in rows]


def _midnight(day: dt.date) -> dt.datetime:
    return timezone.make_aware(dt.datetime.combine(day, dt.time()))


def _money(amount: Decimal) -> Decimal:
    """SQLite adds as floats: back to cents."""
    return amount.quantize(CENT)

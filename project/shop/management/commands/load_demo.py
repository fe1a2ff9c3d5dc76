"""`manage.py load_demo`: fill an empty shop with the demo's data."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from project.shop import demo
from project.shop.models import Customer, Order, OrderLine, Product

BATCH = 500


class Command(BaseCommand):
    """Load the demo's data once; a shop that has any products, customers or orders is left alone."""

    help = "Fills an empty shop with made-up products, customers and 18 months of orders."

    def add_arguments(self, parser: CommandParser) -> None:
        # Up to yesterday by default, so that a fresh demo looks alive. Dates and seasons follow from the
        # day, all else from a fixed seed: the same day gives the same rows on every machine.
        parser.add_argument("--until", metavar="YYYY-MM-DD", help="last day with orders (default: yesterday)")

    def handle(self, *args: Any, until: str | None = None, **options: Any) -> None:
        if Product.objects.exists() or Customer.objects.exists():
            self.stdout.write(
                f"The shop has data already ({Order.objects.count():,} orders): nothing to load."
            )
            return
        with transaction.atomic():
            self._load(_read_day(until))

    def _load(self, last_day: dt.date) -> None:
        products = demo.make_products()
        Product.objects.bulk_create(products)
        self.stdout.write(f"Loaded {len(products)} products.")
        customers = demo.make_customers(last_day)
        Customer.objects.bulk_create(customers, batch_size=BATCH)
        self.stdout.write(f"Loaded {len(customers)} customers.")
        made = list(demo.make_orders(products, customers, last_day))
        for start in range(0, len(made), BATCH):
            batch = made[start : start + BATCH]
            Order.objects.bulk_create([order for order, _ in batch])
            OrderLine.objects.bulk_create([line for _, lines in batch for line in lines], batch_size=BATCH)
            self._show_progress(start + len(batch), len(made))
        self.stdout.write(self.style.SUCCESS(f"Loaded {len(made):,} orders up to {last_day}."))

    def _show_progress(self, done: int, total: int) -> None:
        """One line that counts up on a terminal; nothing in a log file."""
        if self.stdout.isatty():
            self.stdout.write(
                f"\rLoading orders: {done:,} of {total:,}", ending="\n" if done == total else ""
            )
            self.stdout.flush()


def _read_day(given: str | None) -> dt.date:
    if given is None:
        return timezone.localdate() - dt.timedelta(days=1)
    try:
        return dt.date.fromisoformat(given)
    except ValueError:
        msg = f"--until {given}: use a date such as 2026-01-31."
        raise CommandError(msg) from None

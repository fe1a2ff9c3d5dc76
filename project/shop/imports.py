"""Orders from a CSV file: read it, check it against the shop, save it.

One line for each product of an order; lines with the same reference make one order.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from project.shop.models import Customer, Order, OrderLine, Product, Status

REQUIRED_COLUMNS = ("reference", "placed_at", "email", "sku", "quantity")
OPTIONAL_COLUMNS = ("unit_price", "status")
MAX_LINES = 20_000
SAMPLE_PREFIX = "CSV-"
BATCH = 20

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_.-]{0,19}")


@dataclass(frozen=True)
class LineError:
    """What is wrong on one line of the file; `column` is "" when it is the line as a whole."""

    line: int
    column: str
    message: str


@dataclass(frozen=True)
class LineDraft:
    """One product of an order. Without a price, the product's price counts."""

    line: int
    sku: str
    quantity: int
    unit_price: Decimal | None


@dataclass(frozen=True)
class OrderDraft:
    """One order as the file has it."""

    reference: str
    placed_at: dt.datetime
    email: str
    status: str
    lines: tuple[LineDraft, ...]


@dataclass(frozen=True)
class ParsedFile:
    """The orders of a file, and what is wrong with it."""

    orders: tuple[OrderDraft, ...] = ()
    errors: tuple[LineError, ...] = ()

    @property
    def line_count(self) -> int:
        """How many lines of orders there are."""
        return sum(len(order.lines) for order in self.orders)


def parse_orders(data: bytes) -> ParsedFile:
    """Read a file without asking the shop: UTF-8, commas or semicolons, a header in the first line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data[: exc.start].count(b"\n") + 1
        return ParsedFile(errors=(LineError(line, "", "Not UTF-8 text: save the file as CSV UTF-8."),))
    header = text.split("\n", 1)[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        if wrong := tuple(_check_header(reader.fieldnames or ())):
            return ParsedFile(errors=wrong)
        return _group(_read_rows(reader))
    except csv.Error as exc:
        return ParsedFile(errors=(LineError(max(reader.reader.line_num, 1), "", f"Not CSV: {exc}."),))


def _check_header(names: Iterable[str]) -> Iterator[LineError]:
    names = list(names)
    for name in REQUIRED_COLUMNS:
        if name not in names:
            yield LineError(1, name, "The column is missing.")
    for name in dict.fromkeys(names):
        if name not in REQUIRED_COLUMNS + OPTIONAL_COLUMNS:
            yield LineError(
                1, name[:40], f"Not a column; known are {', '.join(REQUIRED_COLUMNS + OPTIONAL_COLUMNS)}."
            )
        elif names.count(name) > 1:
            yield LineError(1, name, "The column is there twice.")


def _read_rows(reader: csv.DictReader[str]) -> Iterator[tuple[int, dict[str, Any] | None, list[LineError]]]:
    """Line number, parsed values (None when a value is wrong), and errors, row by row."""
    for count, row in enumerate(reader, start=1):
        line = reader.line_num
        if count > MAX_LINES:
            yield line, None, [LineError(line, "", f"Too long: use at most {MAX_LINES:,} lines a file.")]
            return
        if None in row:
            yield line, None, [LineError(line, "", "More values than columns.")]
            continue
        values: dict[str, Any] = {}
        errors = []
        for name, parse in _PARSERS.items():
            try:
                values[name] = parse((row.get(name) or "").strip())
            except ValueError as exc:
                errors.append(LineError(line, name, str(exc)))
        yield line, None if errors else values, errors


def _group(rows: Iterable[tuple[int, dict[str, Any] | None, list[LineError]]]) -> ParsedFile:
    orders: dict[str, dict[str, Any]] = {}
    errors: list[LineError] = []
    for line, values, row_errors in rows:
        errors += row_errors
        if values is None:
            continue
        draft = LineDraft(line, values.pop("sku"), values.pop("quantity"), values.pop("unit_price"))
        order = orders.setdefault(values["reference"], values | {"lines": []})
        for name in ("placed_at", "email", "status"):
            if order[name] != values[name]:
                errors.append(LineError(line, name, f"Differs from the first line of {values['reference']}."))
        if any(other.sku == draft.sku for other in order["lines"]):
            errors.append(LineError(line, "sku", f"{draft.sku} is in {values['reference']} already."))
        order["lines"].append(draft)
    drafts = tuple(OrderDraft(**order | {"lines": tuple(order["lines"])}) for order in orders.values())
    if not drafts and not errors:
        errors.append(LineError(1, "", "The file has no orders."))
    return ParsedFile(drafts, tuple(errors))


def _parse_reference(raw: str) -> str:
    if not _REFERENCE.fullmatch(raw):
        msg = "Use 1 to 20 letters, digits and / _ . -"
        raise ValueError(msg)
    return raw


def _parse_time(raw: str) -> dt.datetime:
    try:
        # Python 3.10 does not read the Z.
        moment = dt.datetime.fromisoformat(f"{raw[:-1]}+00:00" if raw.endswith("Z") else raw)
        moment = moment if moment.tzinfo else timezone.make_aware(moment)
        # Far enough from both ends of the calendar for every time zone.
        if 1990 <= moment.year <= 2100:
            return moment
    except (ValueError, OverflowError):
        pass
    msg = f"{raw[:40]!r} is no time: use one such as 2026-01-31 or 2026-01-31 14:05"
    raise ValueError(msg)


def _parse_email(raw: str) -> str:
    try:
        validate_email(raw)
    except ValidationError:
        msg = f"{raw[:40]!r} is no e-mail address"
        raise ValueError(msg) from None
    return raw.lower()


def _parse_sku(raw: str) -> str:
    if not 0 < len(raw) <= 16 or not raw.isprintable():
        msg = "Use the SKU of a product"
        raise ValueError(msg)
    return raw.upper()


def _parse_quantity(raw: str) -> int:
    if not (raw.isascii() and raw.isdigit() and len(raw) < 6 and int(raw) >= 1):
        msg = f"{raw[:40]!r} is no quantity: use a whole number from 1 to 99999"
        raise ValueError(msg)
    return int(raw)


def _parse_price(raw: str) -> Decimal | None:
    if not raw:
        return None
    try:
        price = Decimal(raw)
    except InvalidOperation:
        price = Decimal(-1)
    if not price.is_finite() or not 0 <= price < 1_000_000 or price != price.quantize(Decimal("0.01")):
        msg = f"{raw[:40]!r} is no price: use an amount such as 12.50"
        raise ValueError(msg)
    return price


def _parse_status(raw: str) -> str:
    status = raw.lower() or Status.PLACED
    if status not in Status.values:
        msg = f"{raw[:40]!r} is no status: use one of {', '.join(Status.values)}"
        raise ValueError(msg)
    return str(status)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "reference": _parse_reference,
    "placed_at": _parse_time,
    "email": _parse_email,
    "sku": _parse_sku,
    "quantity": _parse_quantity,
    "unit_price": _parse_price,
    "status": _parse_status,
}


def check_orders(parsed: ParsedFile) -> ParsedFile:
    """Add what the shop knows: customers and products that do not exist, orders that are there already."""
    customers, products = _customer_ids(), _products()
    known = _known_references(parsed.orders)
    errors = list(parsed.errors)
    for order in parsed.orders:
        first = order.lines[0].line
        if order.reference in known:
            errors.append(LineError(first, "reference", f"{order.reference} is in the shop already."))
        if order.email not in customers:
            errors.append(LineError(first, "email", f"No customer has the address {order.email}."))
        for line in order.lines:
            if line.sku not in products:
                errors.append(LineError(line.line, "sku", f"No product has the SKU {line.sku}."))
    return ParsedFile(parsed.orders, tuple(sorted(errors, key=lambda error: error.line)))


def save_orders(orders: tuple[OrderDraft, ...], report: Callable[[int], None]) -> int:
    """Save checked orders, all of them or none, and return how many lines they have.

    `report` is called with the number of orders saved so far; what it raises undoes everything.

    Raises:
        IntegrityError: an order of the same reference has come in since the check.
    """
    customers, products = _customer_ids(), _products()
    lines_saved = 0
    with transaction.atomic():
        for start in range(0, len(orders), BATCH):
            batch = orders[start : start + BATCH]
            made = Order.objects.bulk_create(
                Order(
                    reference=draft.reference,
                    customer_id=customers[draft.email],
                    status=draft.status,
                    placed_at=draft.placed_at,
                )
                for draft in batch
            )
            lines = [
                OrderLine(
                    order=order,
                    product=products[line.sku],
                    quantity=line.quantity,
                    unit_price=products[line.sku].price if line.unit_price is None else line.unit_price,
                )
                for order, draft in zip(made, batch, strict=True)
                for line in draft.lines
            ]
            OrderLine.objects.bulk_create(lines)
            lines_saved += len(lines)
            report(start + len(batch))
    return lines_saved


def make_sample(count: int = 60) -> str:
    """A file of that many orders which fits the shop as it is now."""
    emails = list(Customer.objects.order_by("pk").values_list("email", flat=True)[:200])
    products = list(Product.objects.filter(is_active=True).order_by("pk"))
    output = io.StringIO(newline="")
    writer = csv.writer(output)
    writer.writerow((*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS))
    if not emails or not products:
        return output.getvalue()
    first = Order.objects.filter(reference__startswith=SAMPLE_PREFIX).count() + 1
    rng = random.Random(first)
    now = timezone.localtime().replace(second=0, microsecond=0, tzinfo=None)
    for number in range(first, first + count):
        placed_at = now - dt.timedelta(minutes=rng.randrange(21 * 24 * 60))
        email = rng.choice(emails)
        for product in rng.sample(products, k=min(rng.choice((1, 1, 2, 3)), len(products))):
            row = (f"{SAMPLE_PREFIX}{number:05}", placed_at, email, product.sku, rng.choice((1, 1, 2, 4)))
            writer.writerow((*row, product.price, Status.PAID))
    return output.getvalue()


def _customer_ids() -> dict[str, int]:
    return {email.lower(): pk for email, pk in Customer.objects.values_list("email", "pk")}


def _products() -> dict[str, Product]:
    return {product.sku.upper(): product for product in Product.objects.all()}


def _known_references(orders: tuple[OrderDraft, ...]) -> set[str]:
    references = [order.reference for order in orders]
    known: set[str] = set()
    for start in range(0, len(references), 500):
        batch = references[start : start + 500]
        known.update(Order.objects.filter(reference__in=batch).values_list("reference", flat=True))
    return known

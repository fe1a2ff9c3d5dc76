"""Orders from a CSV file."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.db import IntegrityError

from project.shop import imports
from project.shop.models import Order, OrderLine

HEADER = "reference,placed_at,email,sku,quantity,unit_price,status\n"
GOOD = "B-1,2026-02-01 10:00,anna@mail.example,POT-1,2,9.50,paid\n"


def parse(text: str) -> imports.ParsedFile:
    """What is in a file of this text."""
    return imports.parse_orders(text.encode())


def test_parse__one_order_of_two_lines():
    """Lines of one reference are one order; price and status may be left out."""
    parsed = parse(
        "reference,placed_at,email,sku,quantity\n"
        "B-1,2026-02-01,Anna@Mail.example,pot-1,2\n"
        "B-1,2026-02-01,anna@mail.example,PEN-1,1\n"
    )

    assert () == parsed.errors
    assert 2 == parsed.line_count
    assert parsed.orders == (
        imports.OrderDraft(
            reference="B-1",
            placed_at=dt.datetime(2026, 2, 1, tzinfo=dt.timezone.utc),
            email="anna@mail.example",
            status="placed",
            lines=(imports.LineDraft(2, "POT-1", 2, None), imports.LineDraft(3, "PEN-1", 1, None)),
        ),
    )


@pytest.mark.parametrize(
    "data",
    [
        (HEADER + GOOD).encode(),
        b"\xef\xbb\xbf" + (HEADER + GOOD).encode(),
        (HEADER + GOOD).replace("\n", "\r\n").encode(),
        (HEADER + GOOD).replace(",", ";").encode(),
        (HEADER + GOOD + "\n\n").encode(),
        (HEADER + '"B-1","2026-02-01T10:00Z","anna@mail.example","POT-1","2","9.50","paid"').encode(),
    ],
)
def test_parse__what_spreadsheets_write(data):
    """A byte-order mark, CRLF, semicolons, empty lines and quotes are all the same file."""
    parsed = imports.parse_orders(data)

    assert () == parsed.errors
    assert [(Decimal("9.50"), 2)] == [(line.unit_price, line.quantity) for line in parsed.orders[0].lines]
    assert dt.datetime(2026, 2, 1, 10, tzinfo=dt.timezone.utc) == parsed.orders[0].placed_at


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (",2026-02-01,anna@mail.example,POT-1,2,,", "reference"),
        ("B 1,2026-02-01,anna@mail.example,POT-1,2,,", "reference"),
        (f"{'B' * 21},2026-02-01,anna@mail.example,POT-1,2,,", "reference"),
        ("B-1,2026-02-30,anna@mail.example,POT-1,2,,", "placed_at"),
        ("B-1,soon,anna@mail.example,POT-1,2,,", "placed_at"),
        ("B-1,0001-01-01T00:00+14:00,anna@mail.example,POT-1,2,,", "placed_at"),
        ("B-1,9999-12-31T23:59-12:00,anna@mail.example,POT-1,2,,", "placed_at"),
        ("B-1,2026-02-01,anna,POT-1,2,,", "email"),
        ("B-1,2026-02-01,anna@mail.example,,2,,", "sku"),
        ("B-1,2026-02-01,anna@mail.example,POT-1,0,,", "quantity"),
        ("B-1,2026-02-01,anna@mail.example,POT-1,-1,,", "quantity"),
        ("B-1,2026-02-01,anna@mail.example,POT-1,1.5,,", "quantity"),
        ("B-1,2026-02-01,anna@mail.example,POT-1,²,,", "quantity"),
        ("B-1,2026-02-01,anna@mail.example,POT-1,100000,,", "quantity"),
        ("B-1,2026-02-01,anna@mail.example,POT-1,2,-1,", "unit_price"),
        ("B-1,2026-02-01,anna@mail.example,POT-1,2,1.005,", "unit_price"),
        ("B-1,2026-02-01,anna@mail.example,POT-1,2,NaN,", "unit_price"),
        ("B-1,2026-02-01,anna@mail.example,POT-1,2,1E+50,", "unit_price"),
        ("B-1,2026-02-01,anna@mail.example,POT-1,2,,lost", "status"),
        ("B-1,2026-02-01,anna@mail.example,POT-1", "quantity"),
        ("B-1,2026-02-01,anna@mail.example,POT-1,2,,,more", ""),
        ("A-1,2026-02-01 10:00,anna@mail.example,POT-1,1,,paid", "sku"),
        ("A-1,2026-02-02 10:00,anna@mail.example,PEN-1,1,,paid", "placed_at"),
        ("A-1,2026-02-01 10:00,cian@mail.example,PEN-1,1,,paid", "email"),
        ("A-1,2026-02-01 10:00,anna@mail.example,PEN-1,1,,", "status"),
    ],
)
def test_parse__names_line_and_column(row, column):
    """A wrong line is named with its column; the good line before it is none."""
    parsed = parse(HEADER + GOOD.replace("B-1", "A-1") + row + "\n")

    assert [(3, column)] == [(error.line, error.column) for error in parsed.errors]


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"", 1, "reference"),
        (HEADER.encode(), 1, ""),
        (b"reference,placed_at,email,sku\n", 1, "quantity"),
        (b"reference,placed_at,email,sku,quantity,colour\n", 1, "colour"),
        (b"reference,placed_at,email,sku,quantity,sku\n", 1, "sku"),
        ((HEADER + GOOD).encode() + b"B-2,\xff", 3, ""),
        ((HEADER + GOOD).encode("utf-16"), 1, ""),
        ((HEADER + '"B-1"x,2026-02-01').encode(), 2, ""),
        ((HEADER + '"never closed').encode(), 2, ""),
        ((HEADER + "x" * 200_000).encode(), 2, ""),
    ],
)
def test_parse__damaged_file(data, line, column):
    """What is no such file at all is said in one line."""
    parsed = imports.parse_orders(data)

    assert () == parsed.orders
    assert (line, column) == (parsed.errors[0].line, parsed.errors[0].column)


def test_parse__too_long():
    """A file above the limit is refused at the first line too many."""
    parsed = parse(HEADER + "".join(GOOD.replace("B-1", f"B-{n}") for n in range(imports.MAX_LINES + 5)))

    assert [imports.MAX_LINES + 2] == [error.line for error in parsed.errors]


def test_check__names_what_the_shop_does_not_know(shop):
    """Unknown customers and products, and orders that are there, each by line."""
    parsed = parse(
        HEADER
        + "A-1,2026-02-01,anna@mail.example,POT-1,1,,\n"
        + "B-1,2026-02-01,nobody@mail.example,POT-1,1,,\n"
        + "B-1,2026-02-01,nobody@mail.example,CAR-1,1,,\n"
    )

    checked = imports.check_orders(parsed)

    assert [(2, "reference"), (3, "email"), (4, "sku")] == [
        (error.line, error.column) for error in checked.errors
    ]


def test_save__all_orders(shop):
    """Orders come in with the price of the file, or of the product when it has none."""
    parsed = parse(HEADER + GOOD + GOOD.replace("B-1", "B-2").replace("9.50", ""))
    reports: list[int] = []

    lines = imports.save_orders(imports.check_orders(parsed).orders, reports.append)

    prices = OrderLine.objects.filter(order__reference__startswith="B-").values_list("unit_price", flat=True)
    assert [Decimal("9.50"), Decimal("10.00")] == list(prices)
    assert (2, [2]) == (lines, reports)


def test_save__nothing_when_it_breaks_off(shop):
    """A stop in the middle undoes what was saved."""
    orders = parse(HEADER + "".join(GOOD.replace("B-1", f"B-{n}") for n in range(120))).orders

    def stop(done: int) -> None:
        if done > imports.BATCH:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imports.save_orders(orders, stop)

    assert not Order.objects.filter(reference__startswith="B-").exists()


def test_save__nothing_when_an_order_came_in_meanwhile(shop):
    """The same reference twice undoes the whole file."""
    orders = parse(HEADER + GOOD.replace("B-1", "B-0") + GOOD.replace("B-1", "A-1")).orders

    with pytest.raises(IntegrityError):
        imports.save_orders(orders, lambda done: None)

    assert not Order.objects.filter(reference="B-0").exists()


def test_sample__fits_the_shop(shop):
    """The sample is free of errors, and the next one is of other orders."""
    first = imports.check_orders(parse(imports.make_sample(10)))
    imports.save_orders(first.orders, lambda done: None)

    second = imports.check_orders(parse(imports.make_sample(10)))

    assert (() == first.errors, () == second.errors, 10) == (True, True, len(second.orders))


def test_sample__of_an_empty_shop(db):
    """Without products there is only the header."""
    assert HEADER.strip() == imports.make_sample().strip()

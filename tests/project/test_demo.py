"""The commands that make the demo."""

from __future__ import annotations

import io
import re

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from project.shop.models import Customer, Order, OrderLine, Product


def run(name: str, *arguments: str) -> str:
    """The output of a command."""
    output = io.StringIO()
    call_command(name, *arguments, stdout=output, no_color=True)
    return output.getvalue()


def snapshot() -> list[tuple[object, ...]]:
    """All lines with what they belong to."""
    return list(
        OrderLine.objects.order_by("order__reference", "product__sku").values_list(
            "order__reference",
            "order__placed_at",
            "order__status",
            "order__customer__email",
            "order__customer__name",
            "product__sku",
            "quantity",
            "unit_price",
        )
    )


@pytest.mark.django_db
def test_load_demo__the_same_every_time():
    """The same last day gives the same rows."""
    run("load_demo", "--until", "2026-06-30")
    first = snapshot()
    OrderLine.objects.all().delete()
    Order.objects.all().delete()
    Customer.objects.all().delete()
    Product.objects.all().delete()

    run("load_demo", "--until", "2026-06-30")

    assert first == snapshot()
    assert (60, 400, 4_000) == (Product.objects.count(), Customer.objects.count(), Order.objects.count())
    assert "2026-06-30" == f"{Order.objects.latest('placed_at').placed_at:%Y-%m-%d}"


@pytest.mark.django_db
def test_load_demo__second_run_does_nothing(django_assert_max_num_queries):
    """A shop with data is left alone, at the price of two queries."""
    run("load_demo")
    before = snapshot()

    with django_assert_max_num_queries(2):
        output = run("load_demo")

    assert "nothing to load" in output
    assert before == snapshot()


@pytest.mark.django_db
def test_load_demo__valid_rows():
    """What is loaded passes the models' own validation."""
    run("load_demo")

    for model in (Product, Customer):
        for thing in model.objects.all():
            thing.full_clean()
    for order in Order.objects.all()[:50]:
        order.full_clean()
    assert not Order.objects.filter(lines=None).exists()


@pytest.mark.django_db
def test_load_demo__wrong_day():
    """A day that is none is named."""
    with pytest.raises(CommandError, match=r"--until soon: use a date"):
        run("load_demo", "--until", "soon")


@pytest.mark.django_db
def test_demo_admin__random_password_printed_once(monkeypatch):
    """The password is shown when it is made, never again, and works."""
    monkeypatch.delenv("FLUXLIT_DEMO_PASSWORD", raising=False)

    first, second = run("demo_admin"), run("demo_admin")

    password = re.search(r"password (\S+)", first)[1]
    user = get_user_model().objects.get(username="admin")
    assert user.is_superuser
    assert user.check_password(password)
    assert password not in second


@pytest.mark.django_db
def test_demo_admin__password_from_the_environment(monkeypatch):
    """The variable sets the password of a new administrator and of an existing one, and is not printed."""
    monkeypatch.setenv("FLUXLIT_DEMO_PASSWORD", "first-of-two")
    output = run("demo_admin")
    monkeypatch.setenv("FLUXLIT_DEMO_PASSWORD", "second-of-two")

    output += run("demo_admin")

    assert get_user_model().objects.get(username="admin").check_password("second-of-two")
    assert "of-two" not in output


@pytest.mark.django_db
def test_prepare_demo__all_of_it_and_again():
    """Data and administrator are there after one command; the second one leaves them as they are."""
    first, second = run("prepare_demo"), run("prepare_demo")

    assert ("Loaded 4,000 orders" in first, "Made the administrator" in first) == (True, True)
    assert ("has data already" in second, "keeps the password" in second) == (True, True)

"""The shop's API. Every answer is JSON, every error has the shape `{"error": {"code", "message", …}}`."""

from __future__ import annotations

import datetime as dt
import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path, re_path
from django.utils import timezone
from ninja import Schema

from fluxlit_django import site
from project.shop import reports
from project.shop.models import Category, Country, Order, Product, Status
from project.shop.parameters import (
    ParameterError,
    one_of,
    parse_day,
    parse_words,
    read_parameters,
    whole_number,
)
from project.views import error_response

View = Callable[..., Awaitable[HttpResponse]]

PAGING = {"page": whole_number(1, 100_000), "page_size": whole_number(1, 200)}


class ApiError(Exception):
    """An answer other than success: status, code, message, and details."""

    def __init__(self, status: int, code: str, message: str, **details: str) -> None:
        super().__init__(message)
        self.response = error_response(status, code, message, **details)


def endpoint(method: str, *, login: bool = False) -> Callable[[View], View]:
    """Let only this method through (HEAD goes with GET) and, if asked, only people who are signed in."""
    allowed = ["GET", "HEAD"] if method == "GET" else [method]

    def decorate(view: View) -> View:
        @functools.wraps(view)
        async def answer(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            if request.method not in allowed:
                response = error_response(405, "method_not_allowed", f"Use {' or '.join(allowed)} here.")
                response.headers["Allow"] = ", ".join(allowed)
                return response
            if login and not (await request.auser()).is_authenticated:
                return error_response(401, "not_signed_in", "Sign in first.")
            try:
                response = await view(request, **kwargs)
            except ParameterError as exc:
                return error_response(400, "invalid_parameter", str(exc), parameter=exc.parameter)
            except ApiError as exc:
                return exc.response
            response.headers["Cache-Control"] = "private, no-store" if login else "no-cache"
            return response

        return answer

    return decorate


@endpoint("GET")
async def list_products(request: HttpRequest) -> HttpResponse:
    """GET /api/products: what is on sale. Parameters: category, search, page, page_size."""
    parsers = {"category": one_of(Category.values), "search": parse_words, **PAGING}
    given = read_parameters(request.GET, parsers)
    products = Product.objects.filter(is_active=True)
    if "category" in given:
        products = products.filter(category=given["category"])
    if "search" in given:
        products = products.filter(name__icontains=given["search"])
    return JsonResponse(await take_page(products, given, show_product))


@endpoint("GET", login=True)
async def list_orders(request: HttpRequest) -> HttpResponse:
    """GET /api/orders: newest first. Parameters: status, country, customer, since, until, page, page_size."""
    parsers = {
        "status": one_of(Status.values),
        "country": one_of(Country.values),
        "customer": parse_words,
        "since": parse_day,
        "until": parse_day,
        **PAGING,
    }
    given = read_parameters(request.GET, parsers)
    # Said again, because a sum over lines drops the model's own order.
    orders = Order.objects.with_totals().select_related("customer").order_by("-placed_at", "-pk")
    if "status" in given:
        orders = orders.filter(status=given["status"])
    if "country" in given:
        orders = orders.filter(customer__country=given["country"])
    if "customer" in given:
        orders = orders.filter(customer__name__icontains=given["customer"])
    if "since" in given:
        orders = orders.filter(placed_at__date__gte=given["since"])
    if "until" in given:
        orders = orders.filter(placed_at__date__lte=given["until"])
    return JsonResponse(await take_page(orders, given, show_order))


@endpoint("GET")
async def show_summary(request: HttpRequest) -> HttpResponse:
    """GET /api/summary: totals of the last days, and of as many days before. Parameter: days (30)."""
    given = read_parameters(request.GET, {"days": whole_number(1, 730)})
    return JsonResponse(await sync_to_async(summarise)(given.get("days", 30)))


@endpoint("POST", login=True)
async def set_status(request: HttpRequest, order_id: int) -> HttpResponse:
    """POST /api/orders/<id>/status with `{"status": "paid"}`; for staff who may change orders."""
    user = await request.auser()
    if not (user.is_staff and await user.ahas_perm("shop.change_order")):
        raise ApiError(403, "permission_denied", "Only staff who may change orders can do that.")
    status = read_status(request.body)
    order = await sync_to_async(change_status)(order_id, status)
    return JsonResponse(show_order(order))


async def not_found(request: HttpRequest) -> HttpResponse:
    """404 for every other address under /api/."""
    return error_response(404, "not_found", f"There is nothing at {request.path_info}.")


async def take_page(
    rows: QuerySet[Any], given: dict[str, Any], show: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    """One page of rows, as the API shows them, with the count of them all."""
    page, size = given.get("page", 1), given.get("page_size", 50)
    start = (page - 1) * size
    return {
        "count": await rows.acount(),
        "page": page,
        "page_size": size,
        "results": [show(row) async for row in rows[start : start + size]],
    }


def show_product(product: Product) -> dict[str, Any]:
    """A product as the API shows it; money is a string, so that no cent is lost."""
    return {
        "sku": product.sku,
        "name": product.name,
        "category": product.category,
        "price": str(product.price),
        "stock": product.stock,
    }


def show_order(order: Any) -> dict[str, Any]:
    """An order, annotated by `with_totals`, as the API shows it."""
    return {
        "id": order.pk,
        "reference": order.reference,
        "customer": order.customer.name,
        "country": order.customer.country,
        "status": order.status,
        "placed_at": order.placed_at.isoformat(),
        "items": order.items,
        "total": str(order.total.quantize(reports.CENT)),
    }


def summarise(days: int) -> dict[str, Any]:
    """The totals of the days up to the last order's, beside those of the days before."""
    bounds = reports.find_days()
    last_day = bounds[1] if bounds else timezone.localdate()
    now = reports.Selection(last_day - dt.timedelta(days=days - 1), last_day)
    return {
        "days": days,
        "now": show_totals(now),
        "before": show_totals(now.before),
        "categories": [row | {"revenue": str(row["revenue"])} for row in reports.revenue_by_category(now)],
        "countries": [row | {"revenue": str(row["revenue"])} for row in reports.revenue_by_country(now)],
    }


def show_totals(selection: reports.Selection) -> dict[str, Any]:
    """The totals of a selection as the API shows them."""
    totals = reports.sum_up(selection)
    return {
        "first_day": selection.first_day.isoformat(),
        "last_day": selection.last_day.isoformat(),
        "revenue": str(totals.revenue),
        "orders": totals.orders,
        "customers": totals.customers,
        "items": totals.items,
        "average_order": str(totals.average_order),
    }


def read_status(body: bytes) -> str:
    """The status that a request body asks for.

    Raises:
        ApiError: it is not JSON, or names no status.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise ApiError(400, "invalid_json", 'The body is not JSON: send {"status": "paid"}.') from None
    status = data.get("status") if isinstance(data, dict) else None
    if status not in Status.values:
        message = f"status: use one of {', '.join(Status.values)}."
        raise ApiError(400, "invalid_parameter", message, parameter="status")
    return str(status)


def change_status(order_id: int, status: str) -> Order:
    """Move an order on, if its status allows it; the one it has already is no change.

    Raises:
        ApiError: there is no such order (404), or it cannot go there (409).
    """
    with transaction.atomic():
        order = Order.objects.select_for_update().filter(pk=order_id).first()
        if order is None:
            raise ApiError(404, "not_found", f"There is no order {order_id}.")
        if status != order.status:
            if not order.can_become(status):
                message = f"Order {order.reference} is {order.status} and cannot become {status}."
                raise ApiError(409, "impossible_status", message)
            order.status = status
            order.save(update_fields=["status"])
    return Order.objects.with_totals().select_related("customer").get(pk=order_id)


class Stock(Schema):
    """What is left of a product."""

    sku: str
    name: str
    stock: int


@site.api.get("/stock", response=list[Stock], summary="What is running low")
def list_stock(request: HttpRequest, below: int = 10) -> QuerySet[Product]:
    """Products on sale of which fewer than `below` are left."""
    return Product.objects.filter(is_active=True, stock__lt=below).order_by("stock", "name")


urlpatterns = [
    path("products", list_products, name="api-products"),
    path("orders", list_orders, name="api-orders"),
    path("orders/<int:order_id>/status", set_status, name="api-order-status"),
    path("summary", show_summary, name="api-summary"),
    path("", site.api_urls),  # with its documentation at /api/docs
    re_path(r"^.*\Z", not_found),
]

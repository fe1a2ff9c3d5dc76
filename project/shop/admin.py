"""The shop in Django's admin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from project.shop.models import Customer, Order, OrderLine, Product


class OrderLineInline(admin.TabularInline):
    """The lines of an order, on its page."""

    model = OrderLine
    autocomplete_fields = ("product",)
    fields = ("product", "quantity", "unit_price", "amount")
    readonly_fields = ("amount",)
    extra = 0

    @admin.display(description="amount")
    def amount(self, line: OrderLine) -> str:
        return format_money(line.amount) if line.pk else "–"


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    """Customers, with how often they bought."""

    list_display = ("name", "email", "city", "country", "joined_on", "order_count")
    list_filter = ("country", "joined_on")
    search_fields = ("name", "email", "city")
    date_hierarchy = "joined_on"
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Customer]:
        return super().get_queryset(request).annotate(order_count=Count("orders"))

    @admin.display(description="orders", ordering="order_count")
    def order_count(self, customer: Any) -> int:
        return int(customer.order_count)


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """Products; price, stock and whether they are on sale can be changed in the list."""

    list_display = ("name", "sku", "category", "price", "stock", "is_active")
    list_editable = ("price", "stock", "is_active")
    list_filter = ("category", "is_active")
    search_fields = ("name", "sku")
    list_per_page = 50


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders with their lines and totals."""

    list_display = ("reference", "customer", "status", "placed_at", "items", "total", "country")
    list_filter = ("status", "placed_at", "customer__country")
    list_select_related = ("customer",)
    search_fields = ("reference", "customer__name", "customer__email")
    search_help_text = "Reference, or a customer's name or e-mail address"
    date_hierarchy = "placed_at"
    autocomplete_fields = ("customer",)
    inlines = (OrderLineInline,)
    readonly_fields = ("total",)
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return Order.objects.with_totals().order_by("-placed_at", "-pk")

    @admin.display(description="country", ordering="customer__country")
    def country(self, order: Order) -> str:
        return order.customer.get_country_display()

    @admin.display(description="items", ordering="items")
    def items(self, order: Any) -> int:
        return int(order.items)

    @admin.display(description="total", ordering="total")
    def total(self, order: Any) -> str:
        return format_money(order.total) if order.pk else "–"


def format_money(amount: Decimal) -> str:
    """Euros and cents: 1,234.50 €."""
    return f"{amount:,.2f} €"

"""What the shop keeps: customers, products, orders."""

from __future__ import annotations

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone


class Country(models.TextChoices):
    """Where the shop delivers."""

    AUSTRIA = "AT", "Austria"
    DENMARK = "DK", "Denmark"
    FRANCE = "FR", "France"
    GERMANY = "DE", "Germany"
    IRELAND = "IE", "Ireland"
    NETHERLANDS = "NL", "Netherlands"
    SPAIN = "ES", "Spain"
    UNITED_KINGDOM = "GB", "United Kingdom"


class Category(models.TextChoices):
    """The departments of the shop."""

    KITCHEN = "kitchen", "Kitchen"
    TABLE = "table", "Table"
    TEXTILES = "textiles", "Textiles"
    LIGHTING = "lighting", "Lighting"
    STATIONERY = "stationery", "Stationery"
    GARDEN = "garden", "Garden"


class Status(models.TextChoices):
    """The life of an order."""

    PLACED = "placed", "Placed"
    PAID = "paid", "Paid"
    SHIPPED = "shipped", "Shipped"
    DELIVERED = "delivered", "Delivered"
    CANCELLED = "cancelled", "Cancelled"


NEXT_STATUSES: dict[str, frozenset[str]] = {
    Status.PLACED: frozenset({Status.PAID, Status.CANCELLED}),
    Status.PAID: frozenset({Status.SHIPPED, Status.CANCELLED}),
    Status.SHIPPED: frozenset({Status.DELIVERED}),
    Status.DELIVERED: frozenset(),
    Status.CANCELLED: frozenset(),
}
"""Where an order can go from each status."""


class Customer(models.Model):
    """A person who buys."""

    name = models.CharField(max_length=120)
    email = models.EmailField(unique=True)
    country = models.CharField(max_length=2, choices=Country)
    city = models.CharField(max_length=80, blank=True)
    joined_on = models.DateField(default=timezone.localdate)

    class Meta:
        ordering = ("name", "pk")
        indexes = (models.Index(fields=("country",)), models.Index(fields=("name",)))

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """A thing on sale. The price is in euros, VAT included."""

    sku = models.CharField("SKU", max_length=16, unique=True)
    name = models.CharField(max_length=120)
    category = models.CharField(max_length=16, choices=Category)
    price = models.DecimalField(
        max_digits=8,
        decimal_places=2,
        validators=[MinValueValidator(Decimal("0.01"))],
        help_text="Euros, VAT included.",
    )
    stock = models.PositiveIntegerField(default=0)
    is_active = models.BooleanField("on sale", default=True)

    class Meta:
        ordering = ("category", "name")
        indexes = (models.Index(fields=("category", "name")),)
        constraints = (
            models.CheckConstraint(condition=Q(price__gt=0), name="shop_product_price_above_zero"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.sku})"


class OrderQuerySet(models.QuerySet["Order"]):
    """Orders, with the sums that several places show."""

    def with_totals(self) -> OrderQuerySet:
        """Add `items` and `total`, computed from the lines."""
        return self.annotate(
            items=Coalesce(Sum("lines__quantity"), 0),
            total=Coalesce(
                Sum(F("lines__quantity") * F("lines__unit_price")),
                Decimal(0),
                output_field=models.DecimalField(),
            ),
        )

    def sold(self) -> OrderQuerySet:
        """Orders that count as revenue: all but the cancelled."""
        return self.exclude(status=Status.CANCELLED)


class Order(models.Model):
    """A purchase. What it costs is the sum of its lines."""

    reference = models.CharField(max_length=20, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="orders")
    status = models.CharField(max_length=12, choices=Status, default=Status.PLACED)
    placed_at = models.DateTimeField(default=timezone.now)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ("-placed_at", "-pk")
        indexes = (models.Index(fields=("-placed_at", "-id")), models.Index(fields=("status", "-placed_at")))
        constraints = (
            models.CheckConstraint(condition=Q(status__in=Status.values), name="shop_order_status_known"),
        )

    def __str__(self) -> str:
        return self.reference

    def can_become(self, status: str) -> bool:
        """Whether the order may go from its status to this one."""
        return status in NEXT_STATUSES[self.status]


class OrderLine(models.Model):
    """So many of one product, at the price of the day."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="lines")
    quantity = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1)])
    unit_price = models.DecimalField(
        max_digits=8, decimal_places=2, validators=[MinValueValidator(Decimal(0))]
    )

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(fields=("order", "product"), name="shop_line_product_once_per_order"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="shop_line_quantity_above_zero"),
            models.CheckConstraint(condition=Q(unit_price__gte=0), name="shop_line_price_not_negative"),
        )

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product}"

    @property
    def amount(self) -> Decimal:
        """Quantity times price."""
        return self.quantity * self.unit_price

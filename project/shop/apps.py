"""The Django app."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """A small shop for homeware."""

    name = "project.shop"
    verbose_name = "Shop"

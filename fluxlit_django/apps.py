"""The Django app."""

from __future__ import annotations

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import InMemoryChannelLayer, channel_layers
from django.apps import AppConfig
from django.conf import settings


class FluxLitConfig(AppConfig):
    """Streamlit inside Django."""

    name = "fluxlit_django"
    label = "fluxlit"
    verbose_name = "FluxLit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks and listen for what ends a viewer's access."""
        from fluxlit_django import checks, revocation  # noqa: F401

        if not getattr(settings, "CHANNEL_LAYERS", None):
            channel_layers.set(DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer())
        revocation.connect()

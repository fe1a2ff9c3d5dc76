"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class FluxLitConfig(AppConfig):
    """Streamlit inside Django."""

    name = "fluxlit_django"
    label = "fluxlit"
    verbose_name = "FluxLit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from fluxlit_django import checks  # noqa: F401

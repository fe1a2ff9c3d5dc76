"""Streamlit inside Django: one port, one login, one command."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["ApiClient", "FluxLit", "Page", "PageMeta", "site"]

if TYPE_CHECKING:
    from fluxlit_django.client import ApiClient
    from fluxlit_django.pages.registry import FluxLit, PageMeta, site
    from fluxlit_django.pages.registry import PageMeta as Page

_HOMES = {
    "ApiClient": ("fluxlit_django.client", "ApiClient"),
    "FluxLit": ("fluxlit_django.pages.registry", "FluxLit"),
    "Page": ("fluxlit_django.pages.registry", "PageMeta"),
    "PageMeta": ("fluxlit_django.pages.registry", "PageMeta"),
    "site": ("fluxlit_django.pages.registry", "site"),
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: `INSTALLED_APPS` alone loads nothing else."""
    try:
        module, attribute = _HOMES[name]
    except KeyError:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg) from None
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

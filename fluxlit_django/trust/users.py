"""Viewers as Django's users. Imports no model before it is asked for one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError


def header(field: str) -> str:
    """The request header in which the gateway tells a sidecar a field of `st.user`."""
    return f"x-fluxlit-user-{field.replace('_', '-')}"


def headers(fields: Iterable[str]) -> dict[str, str]:
    """The headers that only the gateway can set, and the key of `st.user` that each one fills."""
    return {header(name): name for name in ("id", *fields)}


def nobody() -> Any:
    """The anonymous user."""
    from django.contrib.auth.models import AnonymousUser  # a module of models: not before Django is set up

    return AnonymousUser()


def find(user_id: str) -> Any:
    """The active user with this primary key, else the anonymous user. Reads the database."""
    try:
        user = get_user_model()._default_manager.filter(pk=user_id).first()
    except (ValueError, ValidationError):
        user = None
    return user if user is not None and user.is_active else nobody()

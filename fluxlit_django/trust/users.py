"""Viewers as Django's users. Imports no model before it is asked for one."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError


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

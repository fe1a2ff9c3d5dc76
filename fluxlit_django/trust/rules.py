"""Access rules: who may, in the words that `conf.parse_access` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.utils.module_loading import import_string

Rule = str | Callable[[Any], Any]
"""A word such as `staff` or `perm:shop.view_order`, or a function of the user, sync or async."""


def passes(rule: Rule, user: Any) -> bool:
    """Whether a user, possibly the anonymous one, passes a rule. May read the database."""
    if callable(rule):
        return _call(rule, user)
    kind, _, name = rule.partition(":")
    if kind == "public":
        return True
    if kind == "login":
        return bool(user.is_authenticated)
    if kind == "staff":
        return bool(user.is_staff)
    if kind == "perm":
        return bool(user.has_perm(name))
    if kind == "group":
        return bool(user.is_authenticated and user.groups.filter(name=name).exists())
    return _call(import_string(rule), user)


def _call(rule: Callable[[Any], Any], user: Any) -> bool:
    return bool(async_to_sync(rule)(user) if iscoroutinefunction(rule) else rule(user))

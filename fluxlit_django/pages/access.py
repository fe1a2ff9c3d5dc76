"""Who may open a page: the rules that it was registered with, and what they say of a viewer."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Any

from fluxlit_django import conf
from fluxlit_django.trust.rules import Rule, passes


class Verdict(enum.Enum):
    """What the rules of a page say."""

    ALLOW = "allow"
    SIGN_IN = "sign in"
    FORBID = "forbid"


def read_rules(
    *, permission: str | None, login_required: bool, staff_only: bool, access: Rule | None
) -> tuple[Rule, ...]:
    """The rules that a page's registration asks for, all of which have to pass.

    Raises:
        ValueError: one is no rule.
    """
    return tuple(_read_rules(permission, login_required, staff_only, access))


def _read_rules(
    permission: str | None, login_required: bool, staff_only: bool, access: Rule | None
) -> Iterator[Rule]:
    if login_required:
        yield "login"
    if staff_only:
        yield "staff"
    if permission is not None:
        name = str(permission).removeprefix("perm:")
        try:
            yield conf.parse_access(f"perm:{name}")
        except ValueError:
            msg = f"The permission is {permission!r}. Use app.codename, for example shop.view_order."
            raise ValueError(msg) from None
    if access is None:
        return
    if callable(access):
        yield access
        return
    try:
        yield conf.parse_access(access)
    except ValueError as exc:
        msg = f"The access rule is {access!r}: {exc}."
        raise ValueError(msg) from None


def decide(rules: Sequence[Rule], user: Any) -> Verdict:
    """What the rules say of a user, possibly the anonymous one. May read the database."""
    if all(passes(rule, user) for rule in rules):
        return Verdict.ALLOW
    return Verdict.FORBID if user.is_authenticated else Verdict.SIGN_IN

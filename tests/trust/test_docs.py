"""docs/trust.md says what the code does."""

from __future__ import annotations

import re

from fluxlit_django import audit
from fluxlit_django.gateway import headers, routes
from fluxlit_django.gateway.routes import Audience
from tests.site import ROOT

PAGE = (ROOT / "docs" / "trust.md").read_text()


def part(start: str, end: str) -> str:
    """The page between two marks."""
    return PAGE.partition(start)[2].partition(end)[0]


def test_headers__all_that_pass_are_listed():
    """The table lists the headers that reach a sidecar as they were sent, and no others."""
    rows = [line for line in part("<!-- headers", "These cannot be").splitlines() if "| as sent" in line]
    listed = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row.partition("| as sent")[0])}

    assert {name.decode() for name in headers.TO_SIDECAR} == listed


def test_headers__all_that_never_pass_are_listed():
    """The page names the headers that no setting opens."""
    listed = re.findall(r"`([a-z-]+)`", part("<!-- never -->", "<!-- /never -->"))

    assert sorted(name.decode() for name in headers.NEVER_TO_SIDECAR) == sorted(listed)


def test_routes__all_are_listed():
    """The table of routes is the gateway's own."""
    rows = re.findall(r"^\| `(/[^`]+)` \| (.*) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)

    assert [row_of(route) for route in routes.TABLE] == rows


def row_of(route: routes.Route) -> tuple[str, str, str, str]:
    """A route as the table shows it."""
    setting = f"`FLUXLIT_{route.setting.upper()}`"
    audience = {
        Audience.OPERATORS: setting,
        Audience.OPERATING_VIEWERS: f"viewers, and {setting}",
    }.get(route.audience, route.audience.value)
    methods = " ".join(f"`{method}`" for method in sorted(route.methods))
    body = "the cap" if route.max_body is None else f"{route.max_body // 1024} KiB"
    return route.path, methods, audience, body


def test_attacks__all_are_listed():
    """The table has a row for each attack of the audit, in its order."""
    rows = re.findall(r"^\| ([A-Z][^|]+?) \|", part("<!-- attacks", "The tests run"), re.MULTILINE)

    titles = [(attack.__doc__ or "").strip().rstrip(".") for attack in audit.ATTACKS]
    assert ["Attack", *titles] == rows

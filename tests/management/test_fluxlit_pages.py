"""The manifest and the validation of pages, from the command line."""

from __future__ import annotations

import io
import json
import re

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from fluxlit_django import FluxLit

good = FluxLit(title="Good")
good.page("/orders")(lambda st: None)
bad = FluxLit(title="Bad")
bad.page("/orders")(lambda st, orders: None)


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command("fluxlit_pages", *arguments, stdout=output)
    return output.getvalue()


def test_manifest__of_the_demo() -> None:
    """The configured app's pages, in the order of the navigation, twice the same."""
    manifest = json.loads(run("manifest"))

    assert ["/", "/products", "/import"] == [page["path"] for page in manifest["pages"]][:3]
    assert run("manifest") == run("manifest")


def test_manifest__of_a_target() -> None:
    """An app can be named."""
    assert "Good" == json.loads(run("manifest", "--target", f"{__name__}:good"))["title"]


def test_validate__nothing_wrong() -> None:
    """A clean app says nothing; in JSON, how many pages there are."""
    target = f"{__name__}:good"

    assert "" == run("validate", "--strict", "--target", target)
    assert {"pages": 1, "problems": []} == json.loads(run("validate", "--json", "--target", target))


def test_validate__strict() -> None:
    """A parameter that nothing fills is a problem when asked, or by the setting."""
    assert "" == run("validate", "--target", f"{__name__}:bad")
    with pytest.raises(CommandError, match="'orders' that nothing provides"):
        run("validate", "--strict", "--target", f"{__name__}:bad")
    with (
        override_settings(FLUXLIT={"STRICT_PAGE_SIGNATURES": True}),
        pytest.raises(CommandError, match="'orders' that nothing provides"),
    ):
        run("validate", "--target", f"{__name__}:bad")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "nowhere:app"], "there is no module 'nowhere'"),
        (["--target", f"{__name__}:nothing"], "has no 'nothing'"),
        (["--target", "no-colon"], "use package.module:attribute"),
        (["--app", "explore"], "has no pages of its own"),
        (["--app", "unknown"], "There is no Streamlit app named 'unknown'"),
    ],
)
def test_validate__no_app(arguments: list[str], message: str) -> None:
    """An app that cannot be loaded is named."""
    with pytest.raises(CommandError, match=message):
        run("validate", *arguments)


def test_validate__upstream_with_a_password(settings) -> None:
    """What another Streamlit's URL has before its host is not shown."""
    settings.FLUXLIT = {"APPS": {"far": {"STREAMLIT_UPSTREAM": "http://ann:s3cret@h"}}}

    with pytest.raises(CommandError, match=re.escape("it runs http://[REDACTED]@h.")):
        run("validate", "--app", "far")

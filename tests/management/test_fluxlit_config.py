"""`manage.py fluxlit_config`: what it shows, and when it fails."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from fluxlit_django import conf

PAGE = Path(__file__).parent.parent.parent / "docs" / "diagnostics.md"


def run(*arguments: str) -> tuple[str, int]:
    """The command's output and exit code."""
    output = io.StringIO()
    try:
        call_command("fluxlit_config", *arguments, stdout=output)
    except SystemExit as exc:
        return output.getvalue(), int(exc.code or 0)
    return output.getvalue(), 0


def report(*arguments: str) -> dict[str, Any]:
    """The JSON that it prints."""
    found: dict[str, Any] = json.loads(run("--json", *arguments)[0])
    return found


@pytest.mark.parametrize(
    ("fluxlit", "plain", "strict"),
    [
        ({}, 0, 0),
        ({"FORWARDED_ALLOW_IPS": "0.0.0.0/0"}, 0, 1),
        ({"GATEWAY_FORWARD_CLIENT_HEADERS_TO_STREAMLIT": ["cookie"]}, 0, 1),
        ({"FORWARDED_ALLOW_IPS": "10.0.0.5", "GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES": 0}, 0, 1),
        ({"WORKERS": 0}, 1, 1),
    ],
)
def test_exit_code(settings, fluxlit, plain, strict):
    """An error fails always, a warning under --strict, JSON or not."""
    settings.FLUXLIT = fluxlit

    assert [plain, plain, strict, strict] == [
        run(*arguments)[1] for arguments in ((), ("--json",), ("--strict",), ("--strict", "--json"))
    ]


def test_json(settings):
    """Programs get the binding, what follows from the settings, all settings, and the problems."""
    settings.FLUXLIT = {"SCRIPT": "dashboard.py", "FORWARDED_ALLOW_IPS": ["*"], "INTERNAL_API_BASE": ""}

    found = report()

    assert found["target"].endswith("/dashboard.py")
    assert {"host": "127.0.0.1", "port": 8000, "log_level": "info"} == found["binding"]
    assert {
        "public_mount_path": "",
        "derived_internal_api_base": "http://127.0.0.1:8000/api",
        "ambient_internal_api_base": None,
    } == found["computed"]
    assert {field.name for field in conf.setting_fields()} == set(found["settings"])
    assert ["*"] == found["settings"]["forwarded_allow_ips"]
    (warning,) = found["warnings"]
    assert ("warn", "forwarded_allow_ips_broad", "docs/diagnostics.md#forwarded_allow_ips_broad") == (
        warning["level"],
        warning["code"],
        warning["doc"],
    )
    fields = {field["name"]: field for field in found["fields"]}
    assert ("settings", "default") == (
        fields["FLUXLIT_SCRIPT"]["source"],
        fields["FLUXLIT_GATEWAY_PORT"]["source"],
    )


def test_secrets__are_nowhere(settings, monkeypatch):
    """Neither face of the report has a password in it, right or wrong as the value may be."""
    monkeypatch.setenv("FLUXLIT_PUBLIC_BASE_URL", "https://ann:s3cret@shop.example")
    monkeypatch.setenv("FLUXLIT_TEST_PAGE_OVERRIDES", '{"key": "s3cret"}')
    monkeypatch.setenv("FLUXLIT_INTERNAL_API_BASE", "http://ann:s3cret@api.example/other")
    settings.FLUXLIT = {
        "ROOT_PATH": "/s3",
        "APPS": {"a": {"STREAMLIT_UPSTREAM": "http://ann:s3cret@h:1"}, "b": {"ACCESS": "https://x:s3cret@y"}},
    }

    for arguments in ((), ("-v", "2"), ("--json",)):
        output, code = run(*arguments)
        assert 1 == code
        assert "s3cret" not in output
    assert "https://[REDACTED]@shop.example" == report()["settings"]["public_base_url"]


def test_text(settings):
    """People see each setting on a line, what is not the default with its source, and the problems last."""
    settings.FLUXLIT = {"TITLE": "Shop", "FORWARDED_ALLOW_IPS": ["*"]}

    lines = run("--no-color")[0].splitlines()

    assert ["FLUXLIT_TITLE", "Shop", "(settings)"] == next(
        line.split() for line in lines if line.startswith("FLUXLIT_TITLE")
    )
    assert [
        "[WARN] forwarded_allow_ips_broad: FLUXLIT_FORWARDED_ALLOW_IPS has *: anybody may claim any address.",
        "    Name your proxies' addresses, or their own network.",
        "1 problem found.",
    ] == lines[-3:]
    assert "    Title of the default app's pages. Default: FluxLit." in run("-v", "2")[0].splitlines()


def test_page__lists_every_problem():
    """docs/diagnostics.md has a row for each id, with its code and the anchor that reports lead to."""
    page = PAGE.read_text()

    for id, code in conf.CODES.items():
        shown = "<setting>_invalid" if code == "value_invalid" else code
        assert f'| `{id}` | `{shown}` | <a id="{code}"></a>' in page
    assert len(conf.CODES) == page.count("<a id=")

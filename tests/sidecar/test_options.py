from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fluxlit_django.exceptions import ConfigError
from fluxlit_django.sidecar.options import check_config_files
from tests.sidecar import process
from tests.streamlit_protocol import StreamlitClient

NAMES = [
    "server.baseUrlPath",
    "server.cookieSecret",
    "server.enableCORS",
    "server.enableXsrfProtection",
    "server.fileWatcherType",
    "server.headless",
    "server.maxUploadSize",
    "server.runOnSave",
    "server.trustedUserHeaders",
    "browser.gatherUsageStats",
    "client.showErrorDetails",
    "logger.hideWelcomeMessage",
    "runner.postScriptGC",
]

USER_HEADERS = {
    "x-fluxlit-user-id": "id",
    "x-fluxlit-user-username": "username",
    "x-fluxlit-user-email": "email",
    "x-fluxlit-user-name": "name",
    "x-fluxlit-user-groups": "groups",
    "x-fluxlit-user-is-staff": "is_staff",
}

SCRIPT = f"""
import json
import streamlit as st
from streamlit import config
st.code(json.dumps({{name: config.get_option(name) for name in {NAMES}}}))
"""


async def options_of(folder: Path, **env: str) -> dict[str, Any]:
    """The options in force in a sidecar with this environment."""
    script = folder / "options.py"
    script.write_text(SCRIPT)
    with process.running(env={"FLUXLIT_SCRIPT": str(script), **env}, cwd=folder) as sidecar:
        async with StreamlitClient(sidecar.address, base_path=env.get("FLUXLIT_MOUNT", "")) as client:
            options: dict[str, Any] = json.loads((await client.rerun()).texts()[0])
            return options


async def test_options__nothing_set(tmp_path: Path) -> None:
    """The defaults of a tuned sidecar behind a gateway."""
    options = await options_of(tmp_path)

    assert len(options.pop("server.cookieSecret")) == 64
    assert {
        "server.baseUrlPath": "",
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.fileWatcherType": "none",
        "server.headless": True,
        "server.maxUploadSize": 256,
        "server.runOnSave": False,
        "server.trustedUserHeaders": USER_HEADERS,
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "full",
        "logger.hideWelcomeMessage": True,
        "runner.postScriptGC": False,
    } == options


async def test_options__user_wins_over_defaults(tmp_path: Path) -> None:
    """What the user set stays, in a file and in the environment; what the gateway needs is forced."""
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text(
        "[runner]\npostScriptGC = true\n"
        '[server]\nmaxUploadSize = 9999\nbaseUrlPath = "mine"\nheadless = false\n'
        '[server.trustedUserHeaders]\nX-Tenant = "tenant"\nX-Mail = "email"\n'
    )
    env = {
        "STREAMLIT_SERVER_FILE_WATCHER_TYPE": "poll",
        "STREAMLIT_SERVER_COOKIE_SECRET": "my own",
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "true",
        "STREAMLIT_CLIENT_SHOW_ERROR_DETAILS": "type",
        "FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES": str(10 << 20),
        "FLUXLIT_MOUNT": "/explore",
    }

    options = await options_of(tmp_path, **env)

    assert options["runner.postScriptGC"]
    assert "poll" == options["server.fileWatcherType"]
    assert "my own" == options["server.cookieSecret"]
    assert options["browser.gatherUsageStats"]
    assert "type" == options["client.showErrorDetails"]
    assert 10 == options["server.maxUploadSize"]
    assert "explore" == options["server.baseUrlPath"]
    assert options["server.headless"]
    # Browsers may send what the file names, so none of it says who the viewer is.
    assert USER_HEADERS == options["server.trustedUserHeaders"]


async def test_options__no_upload_cap(tmp_path: Path) -> None:
    """Without a cap of the gateway's, Streamlit's own limit holds; sidecars share one cookie secret."""
    first = await options_of(tmp_path, FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES="0")
    second = await options_of(tmp_path, FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES="1000")

    assert (200, 1) == (first["server.maxUploadSize"], second["server.maxUploadSize"])
    assert first["server.cookieSecret"] == second["server.cookieSecret"]


def test_check_config_files__not_toml(tmp_path: Path) -> None:
    """A broken file is named; a missing one is none of ours."""
    broken = tmp_path / "config.toml"
    broken.write_text("[theme\n")

    with pytest.raises(ConfigError, match=r"config\.toml cannot be read: .*Correct the file"):
        check_config_files([str(tmp_path / "none.toml"), str(broken)])

"""Streamlit's configuration in a sidecar: what the user set, with what this package decides on top."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from django.conf import settings
from django.utils.crypto import salted_hmac
from streamlit import config as streamlit_config
from streamlit.config_option import ConfigOption
from streamlit.errors import Error as StreamlitError
from streamlit.web import bootstrap

from fluxlit_django.conf import MIB, AppConfig, Config
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.trust import users

if sys.version_info >= (3, 11):
    import tomllib
else:  # The parser that Streamlit brings for Python 3.10.
    import toml as tomllib

logger = logging.getLogger(__name__)

_COOKIE_SECRET_SALT = "fluxlit_django.sidecar.cookie_secret"
_USER_HEADERS = "server.trustedUserHeaders"
_UPLOAD_SIZE = "server.maxUploadSize"  # MB
_AGENT = "server.enableAgentApi"  # of Streamlit 1.67
_XSRF_SAME_SITE = "server.xsrfCookieSameSite"  # since Streamlit 1.59


def configure(config: Config, app: AppConfig, script: str) -> None:
    """Load Streamlit's options for this app into the process.

    Raises:
        ConfigError: a `config.toml` or a `STREAMLIT_*` variable cannot be used.
    """
    # As `streamlit run` does before it reads a file: `.streamlit` beside the script counts (Streamlit 1.67).
    streamlit_config._main_script_path = script
    config_files = streamlit_config.get_config_files("config.toml")
    check_config_files(config_files)
    try:
        from_environment = read_environment(script)
        bootstrap.load_config_options(from_environment)
    except click.ClickException as exc:
        msg = f"Streamlit's configuration cannot be used: {exc.format_message()}"
        raise ConfigError(msg) from exc
    except (OSError, RuntimeError, ValueError, StreamlitError) as exc:
        msg = f"Streamlit's configuration ({', '.join(config_files)}, STREAMLIT_*) cannot be used: {exc}"
        raise ConfigError(msg) from exc
    warn_of_user_headers(streamlit_config.get_option(_USER_HEADERS))
    decided = decide(config, app)
    for name, value in decided.items():
        streamlit_config.set_option(name, value, ConfigOption.STREAMLIT_DEFINITION)
    if config.reload:
        bootstrap._install_config_watchers({**from_environment, **decided})


def check_config_files(paths: Iterable[str]) -> None:
    """Refuse a file that Streamlit (1.67) would log as broken and then do without.

    Raises:
        ConfigError: a file is not TOML; the message names it.
    """
    for path in filter(Path.is_file, map(Path, paths)):
        try:
            tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            msg = f"{path} cannot be read: {exc}. Correct the file or remove it."
            raise ConfigError(msg) from exc


def read_environment(script: str) -> dict[str, Any]:
    """The options that `STREAMLIT_*` variables set, read as `streamlit run` reads them.

    Streamlit 1.67 leaves these variables to its command line's parser, so that parser is asked.
    """
    if not any(name.startswith("STREAMLIT_") for name in os.environ):
        return {}
    # Only then: to import the command line takes 5 % of a start.
    from streamlit.web import cli

    group = click.Context(cli.main, info_name="streamlit", auto_envvar_prefix="STREAMLIT")
    with cli.main_run.make_context("run", [script], parent=group) as context:
        return {name: value for name, value in context.params.items() if name not in {"target", "args"}}


def decide(config: Config, app: AppConfig) -> dict[str, Any]:
    """The options this package sets: always the forced ones, the defaults only where the user set nothing."""
    options = _forced(config, app)
    options |= {name: value for name, value in _defaults(config, app).items() if _is_unset(name)}
    upload_size = _upload_size(config)
    if upload_size is not None:
        options[_UPLOAD_SIZE] = upload_size
    return options


def _forced(config: Config, app: AppConfig) -> dict[str, Any]:
    return {
        "server.headless": True,
        "server.baseUrlPath": (config.root_path + app.mount).strip("/"),
        _USER_HEADERS: users.headers(config.user_fields),
    }


def _defaults(config: Config, app: AppConfig) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        # Rich prints tracebacks past the log, with no request id and all their secrets.
        "logger.enableRich": False,
        # Every sidecar takes the others' cookies, so that a browser may move between them.
        "server.cookieSecret": salted_hmac(_COOKIE_SECRET_SALT, "streamlit", algorithm="sha256").hexdigest(),
        # A full collection after each rerun took 60 % of a small app's CPU time; `tuning` collects when idle.
        "runner.postScriptGC": False,
        "browser.gatherUsageStats": False,
        "logger.hideWelcomeMessage": True,
    }
    if not (app.script or settings.DEBUG):
        # `errors` shows an error id instead, where Streamlit lets it.
        defaults["client.showErrorDetails"] = "none"
    if _has_foreign_frames(app) and settings.SESSION_COOKIE_SECURE and _has_option(_XSRF_SAME_SITE):
        # Without it, a browser keeps the token of an upload from a frame of another site. It is Secure then,
        # so that only a site behind TLS can have it.
        defaults[_XSRF_SAME_SITE] = "none"
    if config.streamlit_script_health_access:
        defaults["server.scriptHealthCheckEnabled"] = True
    if config.streamlit_agent_access and _has_option(_AGENT):
        defaults[_AGENT] = True
    if config.reload:
        return defaults | {"server.runOnSave": True}
    return defaults | {"server.fileWatcherType": "none"}


def _has_option(name: str) -> bool:
    return name in streamlit_config.get_config_options()


def _has_foreign_frames(app: AppConfig) -> bool:
    return bool(set(app.frame_ancestors) - {"self", "none"})


def _is_unset(name: str) -> bool:
    return not streamlit_config.is_manually_set(name)


def warn_of_user_headers(chosen: Iterable[str]) -> None:
    """Tell of headers that somebody else's configuration would take for who the viewer is.

    A browser may send them, so that anybody could be anybody in `st.user`.
    """
    for name in chosen:
        logger.warning(
            "server.trustedUserHeaders has %s, which a browser may send: st.user does not show it. "
            "FLUXLIT_USER_FIELDS adds what Django knows of a viewer.",
            name,
        )


def _upload_size(config: Config) -> int | None:
    cap = config.gateway_max_proxy_request_body_bytes
    if not cap:
        return None
    # The option counts in whole MB; of a cap below one, the gateway refuses the rest.
    largest = max(1, cap // MIB)
    if _is_unset(_UPLOAD_SIZE):
        return largest
    return min(largest, int(streamlit_config.get_option(_UPLOAD_SIZE)))

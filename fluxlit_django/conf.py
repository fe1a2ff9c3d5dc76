"""Configuration: one list of fields, one function, one frozen value.

A value comes from the first of: a command-line flag, the environment (`FLUXLIT_<NAME>`),
`settings.FLUXLIT["<NAME>"]`, the field's default. No other module reads the environment.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.apps import apps as django_apps
from django.conf import settings
from django.core.signals import setting_changed

from fluxlit_django.env_file import place_of
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.redaction.names import REDACTED, redact

FLAGS_VARIABLE = "FLUXLIT_FLAGS"
"""Environment variable in which `fluxlit_run` hands its flags to its children, as a JSON object."""

PAGES_MODULE = "streamlit_pages"
"""The module looked for in every installed app, as `admin` is by Django's admin."""

DEFAULT_APP = "default"
MIB = 1 << 20

USER_FIELDS = ("id", "username", "email", "name", "groups", "is_staff")
"""What `st.user` tells of a viewer by default. The id is always there."""

_APP_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HEADER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_ACCESS = re.compile(r"public|login|staff|perm:\w+\.\w+|group:.+|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_ORIGIN = re.compile(r"https?://(?:\*\.)?[A-Za-z0-9.-]+(?::\d+)?")
_USER_FIELD = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_MOUNT_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")
_HOST = re.compile(r"[\w.-]*|\[?[\da-fA-F:.]*(?:%[\w.-]+)?\]?")
_ENVIRONMENT_ONLY = {"FLAGS", "DEMO_PASSWORD", "CONTROL_FD", "LISTEN_FD"}
_MISSING: Any = object()


# Parsers: each takes what a source holds and returns the field's type, or raises ValueError with the remedy.


def parse_bool(raw: Any) -> bool:
    """A truth value: a bool, or one of the words 1/0, true/false, yes/no, on/off."""
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower()
    if word in environ.Env.BOOLEAN_TRUE_STRINGS:
        return True
    if word in {"false", "off", "n", "no", "0", ""}:
        return False
    msg = "use true or false"
    raise ValueError(msg)


def parse_list(raw: Any) -> tuple[str, ...]:
    """A list of strings: a JSON array, a comma-separated string, or a Python list."""
    if isinstance(raw, str):
        text = raw.strip()
        if text.startswith("["):
            try:
                raw = json.loads(text)
            except ValueError:
                msg = 'use a JSON array such as ["a", "b"], or a comma-separated list such as a,b'
                raise ValueError(msg) from None
        else:
            raw = text.split(",")
    if not isinstance(raw, (list, tuple)) or not all(isinstance(item, str) for item in raw):
        msg = "use a list of strings"
        raise ValueError(msg)
    return tuple(item.strip() for item in raw if item.strip())


def parse_text(raw: Any) -> str:
    """A string, without the white space around it."""
    return str(raw).strip()


def one_of(*words: str) -> Callable[[Any], str]:
    """A parser that accepts just these words."""

    def parse(raw: Any) -> str:
        word = parse_text(raw)
        if word not in words:
            msg = f"use {', '.join(words[:-1])} or {words[-1]}"
            raise ValueError(msg)
        return word

    return parse


def whole_number(low: int, high: int) -> Callable[[Any], int]:
    """A parser for whole numbers between two bounds, both included."""

    def parse(raw: Any) -> int:
        try:
            number = int(str(raw).strip())
        except ValueError:
            number = low - 1
        if isinstance(raw, bool) or not low <= number <= high:
            msg = f"use a whole number from {low} to {high}"
            raise ValueError(msg)
        return number

    return parse


def seconds(low: float, high: float = 86_400.0) -> Callable[[Any], float]:
    """A parser for a duration between two bounds, both included."""

    def parse(raw: Any) -> float:
        try:
            number = float(str(raw).strip())
        except ValueError:
            number = -1.0
        if isinstance(raw, bool) or not low <= number <= high:
            msg = f"use a number of seconds from {low:g} to {high:g}"
            raise ValueError(msg)
        return number

    return parse


def parse_parameter_name(raw: Any) -> str:
    """The name of a query parameter."""
    name = parse_text(raw)
    if not re.fullmatch(r"[A-Za-z][\w-]{0,63}", name, re.ASCII):
        msg = "use a name of letters, digits, _ and -, such as fluxlit_sid"
        raise ValueError(msg)
    return name


def parse_models(raw: Any) -> tuple[str, ...]:
    """Models as app_label.ModelName, in lower case."""
    labels = parse_list(raw)
    for label in labels:
        if not re.fullmatch(r"\w+\.\w+", label):
            msg = f"use app_label.ModelName, such as shop.Order (not {label})"
            raise ValueError(msg)
    return tuple(label.lower() for label in labels)


def parse_mount(raw: Any) -> str:
    """A URL path prefix without a slash at its end: "" for the root, or "/explore"."""
    path = parse_text(raw).strip("/")
    if not path:
        return ""
    if not all(_MOUNT_SEGMENT.fullmatch(part) and part not in {".", ".."} for part in path.split("/")):
        msg = "use a path such as / or /explore, of letters, digits and . _ ~ -"
        raise ValueError(msg)
    return f"/{path}"


def parse_api_mount(raw: Any) -> str:
    """A mount that is not the root."""
    mount = parse_mount(raw)
    if not mount:
        msg = "use a path other than /, for example /api"
        raise ValueError(msg)
    return mount


def parse_metrics_path(raw: Any) -> str:
    """A path that is not the root, without a slash at its end."""
    path = parse_mount(raw)
    if not path:
        msg = "use a path other than /, for example /__fluxlit/metrics"
        raise ValueError(msg)
    return path


def parse_host(raw: Any) -> str:
    """An IP address or a host name, to listen on."""
    host = parse_text(raw)
    if not _HOST.fullmatch(host):
        msg = "use an address or a host name, such as 127.0.0.1 or 0.0.0.0 for all"
        raise ValueError(msg)
    return host


def parse_url(raw: Any) -> str:
    """An absolute http or https URL that others are made from, or "" for none; without a slash at its end."""
    url = parse_text(raw).rstrip("/")
    if url and not _is_base(url):
        msg = "use an absolute URL such as http://127.0.0.1:8501, without ? and #"
        raise ValueError(msg)
    return url


def _is_base(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # of an address in brackets, or of the port
        return False
    is_plain = not (parts.query or parts.fragment or re.search(r"\s", url))
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and is_plain


def parse_ancestors(raw: Any) -> tuple[str, ...]:
    """Who may show an app in a frame: self, origins such as https://portal.example, or none."""
    words = tuple(dict.fromkeys(word.rstrip("/") for word in parse_list(raw)))
    wrong = [word for word in words if word not in {"self", "none"} and not _ORIGIN.fullmatch(word)]
    if wrong or ("none" in words and len(words) > 1):
        msg = (
            f"use none, or self and origins such as https://portal.example (not {', '.join(wrong or words)})"
        )
        raise ValueError(msg)
    return words


def parse_object(raw: Any) -> str:
    """A JSON object, given as such or as a Python dict; "" for an empty one."""
    msg = 'use a JSON object such as {"limit": 5}'
    try:
        found = json.loads(raw or "{}") if isinstance(raw, str) else raw
        text = json.dumps(found)
    except (TypeError, ValueError, RecursionError):
        raise ValueError(msg) from None
    if not isinstance(found, dict):
        raise ValueError(msg)
    return text if found else ""


def parse_script(raw: Any) -> str:
    """The absolute path of a Python file, relative ones taken from the working directory; "" for none."""
    path = parse_text(raw)
    if not path:
        return ""
    if not path.endswith(".py"):
        msg = "use the path of a Python file, ending in .py"
        raise ValueError(msg)
    return str(Path(path).expanduser().absolute())


def parse_target(raw: Any) -> str:
    """A FluxLit instance as `package.module:attribute`; "" for none."""
    target = parse_text(raw)
    module, colon, attribute = target.partition(":")
    if target and not (colon and module and attribute.isidentifier()):
        msg = "use package.module:attribute, for example shop.pages:app"
        raise ValueError(msg)
    return target


def parse_access(raw: Any) -> str:
    """An access rule: public, login, staff, perm:app.codename, group:name, or the path of a callable."""
    rule = parse_text(raw)
    if not _ACCESS.fullmatch(rule):
        msg = "use public, login, staff, perm:app.codename, group:name or package.module.function"
        raise ValueError(msg)
    return rule


def parse_optional_access(raw: Any) -> str:
    """An access rule, or "" for nobody."""
    return parse_access(raw) if parse_text(raw) else ""


def parse_user_fields(raw: Any) -> tuple[str, ...]:
    """Names of `USER_FIELDS` and of attributes of the user model."""
    names = tuple(dict.fromkeys(parse_list(raw)))
    wrong = [name for name in names if not _USER_FIELD.fullmatch(name)]
    if wrong or len(names) > 32:
        msg = f"use at most 32 names such as email or is_staff (not {', '.join(wrong) or len(names)})"
        raise ValueError(msg)
    return names


def parse_networks(raw: Any) -> tuple[str, ...]:
    """IP addresses and networks, or `*` for all."""
    entries = parse_list(raw)
    for entry in entries:
        try:
            _ = entry == "*" or ipaddress.ip_network(entry, strict=False)
        except ValueError:
            msg = f"use addresses and networks such as 10.0.0.5 or 10.0.0.0/8 (not {entry})"
            raise ValueError(msg) from None
    return entries


def parse_header_names(raw: Any) -> tuple[str, ...]:
    """Header names, in lower case, without repeats."""
    names = tuple(dict.fromkeys(name.lower() for name in parse_list(raw)))
    wrong = [name for name in names if not _HEADER_NAME.fullmatch(name)]
    if wrong or len(names) > 32:
        msg = f"use at most 32 header names of letters, digits and - (not {', '.join(wrong) or len(names)})"
        raise ValueError(msg)
    return names


def setting(
    default: Any,
    parse: Callable[[Any], Any],
    help: str,
    *,
    unit: str = "",
    flag: str = "",
    secret: bool = False,
) -> Any:
    """Declare a field of `Config`.

    Everything shown of a setting (documentation, flags, checks, admin) is derived from this.
    """
    metadata = {"parse": parse, "help": help, "unit": unit, "flag": flag, "secret": secret}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class AppConfig:
    """One mounted Streamlit application."""

    name: str
    mount: str
    """"" for the root, else a path such as `/explore`."""
    script: str = ""
    """Absolute path of an unmodified script; "" when the app is made of pages."""
    target: str = ""
    """`module:attribute` of the FluxLit instance to run; "" for the default `site`."""
    access: str = "login"
    sidecars: int = 1
    upstream: str = ""
    """URL of a Streamlit that somebody else runs; "" when the supervisor runs it."""
    frame_ancestors: tuple[str, ...] = ("self",)
    """Sites that may show the app in a frame; empty for what the project says of its other pages."""

    @property
    def url_path(self) -> str:
        """The app's path as shown to people, always ending in a slash."""
        return f"{self.mount}/"

    def require_script(self) -> None:
        """Make sure that the script, if there is one, can be read.

        Raises:
            ConfigError: it cannot; the message names the setting, the path, the reason and the remedy.
        """
        if not self.script:
            return
        try:
            Path(self.script).open("rb").close()
        except OSError as exc:
            setting = f'FLUXLIT["APPS"]["{self.name}"]["SCRIPT"]'
            if self.name == DEFAULT_APP:
                setting = "FLUXLIT_SCRIPT"
            msg = f"{setting} is {self.script!r}: {exc.strerror}. Use the path of a Python file."
            raise ConfigError(msg) from exc


@dataclasses.dataclass(frozen=True)
class Config:
    """The effective configuration. Read it with `get_config()`."""

    title: str = setting("FluxLit", parse_text, "Title of the default app's pages.")
    script: str = setting("", parse_script, "Unmodified Streamlit script to run as the default app.")
    app: str = setting("", parse_target, "FluxLit instance to run as the default app, as module:attribute.")
    mount: str = setting("", parse_mount, "Path under which the default app is served.")
    access: str = setting(
        "login",
        parse_access,
        "Who may open the default app: public, login, staff, perm:…, group:… or a callable.",
    )

    gateway_host: str = setting("127.0.0.1", parse_host, "Address to listen on.", flag="--host")
    gateway_port: int = setting(8000, whole_number(0, 65535), "Port to listen on.", flag="--port")
    workers: int = setting(1, whole_number(1, 64), "Gateway worker processes.", flag="--workers")
    streamlit_workers: int = setting(
        1, whole_number(1, 64), "Sidecars of the default app.", flag="--streamlit-workers"
    )
    server: str = setting(
        "uvicorn", one_of("uvicorn", "daphne"), "ASGI server of the gateway.", flag="--server"
    )
    reload: bool = setting(
        False, parse_bool, "Restart what imports a changed file; for development.", flag="--reload"
    )
    log_level: str = setting(
        "info", one_of("debug", "info", "warning", "error"), "Least level that is logged.", flag="--log-level"
    )

    root_path: str = setting("", parse_mount, "Public path prefix added by a proxy in front.")
    api_mount_path: str = setting("/api", parse_api_mount, "Path of the project's API and of the probes.")
    internal_api_base: str = setting(
        "", parse_url, "URL by which pages call the API; derived from host and port when empty."
    )
    public_base_url: str = setting(
        "", parse_url, "URL under which viewers reach the site; taken from each request when empty."
    )
    frame_ancestors: tuple[str, ...] = setting(
        ("self",),
        parse_ancestors,
        "Sites that may show the default app in a frame: none, self, origins; empty for Django's own rule.",
    )
    api_transport: str = setting(
        "http",
        one_of("http", "inprocess"),
        "How pages call the API: over the network, or in their own process.",
    )
    strict_page_signatures: bool = setting(
        False, parse_bool, "Refuse a page with a parameter that nothing fills when it is registered."
    )
    url_session_query_param: str = setting(
        "fluxlit_sid", parse_parameter_name, "Query parameter that carries the id of a URL session."
    )
    url_session_store: str = setting(
        "database",
        one_of("database", "cache", "session", "memory"),
        "Where `site` keeps URL sessions.",
    )
    url_session_ttl_s: float = setting(
        86_400.0, seconds(1, 31_536_000), "Time for which a URL session is kept.", unit="seconds"
    )
    url_session_slides: bool = setting(
        True, parse_bool, "Start the time of a URL session anew whenever it is read."
    )
    url_session_keys: tuple[str, ...] = setting(
        (), parse_list, "Keys of the session state that every URL session keeps; * for all but secrets."
    )
    disable_url_session: bool = setting(False, parse_bool, "Make URL sessions do nothing.")
    force_url_session_in_tests: bool = setting(
        False, parse_bool, "Let URL sessions work under FLUXLIT_TESTS."
    )
    watched_models: tuple[str, ...] = setting(
        (), parse_models, "Models, as app.Model, whose changes `model_version` counts."
    )
    tests: bool = setting(
        False, parse_bool, "Say that this process runs tests: overrides count, URL sessions do not."
    )
    test_page_overrides: str = setting(
        "",
        parse_object,
        "Values for parameters of pages by name, as a JSON object; under FLUXLIT_TESTS only.",
        secret=True,
    )
    streamlit_upstream: str = setting(
        "", parse_url, "URL of a Streamlit that somebody else runs as the default app."
    )
    runtime_dir: str = setting(
        "", parse_text, "Directory of the sidecars' sockets; a new private one when empty."
    )

    assets_dir: str = setting(
        "", parse_text, "Directory of Streamlit's compressed frontend; below the user's cache when empty."
    )

    streamlit_start_timeout_s: float = setting(
        60.0, seconds(1), "Longest time a sidecar may take until it serves.", unit="seconds"
    )
    streamlit_preimport: tuple[str, ...] = setting(
        (), parse_list, "Modules that a sidecar imports before it serves, such as pandas."
    )
    streamlit_warm_up: bool = setting(
        False,
        parse_bool,
        "Run the script once, for nobody, before a sidecar serves. Off, as a script may have effects.",
    )
    streamlit_max_sessions: int = setting(
        0, whole_number(0, 1_000_000), "Most open sessions of one sidecar; 0 for any number."
    )
    streamlit_max_rss_mb: int = setting(
        0,
        whole_number(0, 1 << 24),
        "Memory above which a sidecar is replaced, sessions going on until they end; 0 for never.",
        unit="MiB",
    )
    streamlit_drain_timeout_s: float = setting(
        300.0, seconds(0), "Time that the sessions of a replaced sidecar get to end.", unit="seconds"
    )
    graceful_shutdown_timeout_s: float = setting(
        10.0, seconds(0, 3600), "Time that running reruns and transfers get at a stop.", unit="seconds"
    )
    gateway_upstream_connect_timeout_s: float = setting(
        10.0, seconds(0.1), "Longest time to connect to a sidecar.", unit="seconds"
    )
    gateway_upstream_read_timeout_s: float = setting(
        120.0, seconds(0.1), "Longest silence of a sidecar during a response.", unit="seconds"
    )
    gateway_ws_open_timeout_s: float = setting(
        30.0, seconds(0.1), "Longest time to open a sidecar's WebSocket.", unit="seconds"
    )
    gateway_ws_ping_interval_s: float = setting(
        20.0, seconds(1), "Time between pings on both WebSocket hops.", unit="seconds"
    )
    gateway_ws_max_message_bytes: int = setting(
        32 * MIB, whole_number(1024, 1 << 31), "Largest WebSocket message from a browser.", unit="bytes"
    )
    gateway_max_sockets: int = setting(
        10_000, whole_number(0, 1_000_000), "Most open WebSockets of a gateway worker; 0 for any number."
    )
    gateway_max_concurrent_upstream_http: int = setting(
        1024,
        whole_number(0, 1_000_000),
        "Most requests of a gateway worker to sidecars at a time, an eighth of it for one viewer; 0 for any.",
    )
    gateway_request_head_timeout_s: float = setting(
        20.0, seconds(0.1), "Longest time that a browser may take for a request's headers.", unit="seconds"
    )
    gateway_request_body_timeout_s: float = setting(
        60.0,
        seconds(0.1),
        "Longest time in which a browser gives none of a request's body, or takes none of a response's.",
        unit="seconds",
    )
    gateway_max_proxy_request_body_bytes: int = setting(
        256 * MIB,
        whole_number(0, 1 << 40),
        "Largest request body for a sidecar; 0 for no limit.",
        unit="bytes",
    )
    max_request_body_bytes: int = setting(
        256 * MIB, whole_number(0, 1 << 40), "Largest request body for Django; 0 for any.", unit="bytes"
    )
    viewer_token_ttl_s: float = setting(
        300.0, seconds(10), "Time for which a page's token for the API counts.", unit="seconds"
    )
    log_format: str = setting(
        "console", one_of("console", "json"), "Form of log lines: for people, or one JSON object each."
    )
    enable_gateway_access_log: bool = setting(
        True, parse_bool, "Log one line for each request and each WebSocket, at its end."
    )
    enable_gateway_prometheus_metrics: bool = setting(
        False, parse_bool, "Serve metrics for Prometheus, summed over all workers."
    )
    gateway_prometheus_metrics_path: str = setting(
        "/__fluxlit/metrics", parse_metrics_path, "Path of the metrics."
    )
    gateway_prometheus_metrics_token: str = setting(
        "", parse_text, "Bearer token without which the metrics are refused; none when empty.", secret=True
    )
    gateway_prometheus_metrics_allow_ips: tuple[str, ...] = setting(
        (), parse_networks, "Addresses and networks that may read the metrics; all when empty."
    )
    trust_proxy: bool = setting(
        False, parse_bool, "Say that a proxy is in front; needs FLUXLIT_FORWARDED_ALLOW_IPS."
    )
    forwarded_allow_ips: tuple[str, ...] = setting(
        (), parse_networks, "Proxies whose X-Forwarded-* headers count: addresses and networks."
    )
    edge_idle_timeout_s: float = setting(
        60.0,
        seconds(1),
        "Time after which the proxy in front closes a quiet connection; pings must come more often.",
        unit="seconds",
    )
    strict_startup: bool = setting(
        False, parse_bool, "Let fluxlit_run refuse to start for a warning too, not only for an error."
    )
    access_recheck_s: float = setting(
        30.0,
        seconds(1),
        "Longest time until an open socket asks again whether its viewer may.",
        unit="seconds",
    )
    gateway_forward_client_headers_to_streamlit: tuple[str, ...] = setting(
        (), parse_header_names, "Further request headers that reach a sidecar."
    )
    gateway_forward_cookies_to_streamlit: tuple[str, ...] = setting(
        (), parse_list, "Further cookies that reach a sidecar, besides Streamlit's own."
    )

    user_fields: tuple[str, ...] = setting(
        USER_FIELDS,
        parse_user_fields,
        "What st.user tells of the viewer, beside the id: these, or attributes of your user model.",
    )
    streamlit_metrics_access: str = setting(
        "",
        parse_optional_access,
        "Who may read Streamlit's own metrics, at /_stcore/metrics; empty for nobody.",
    )
    streamlit_script_health_access: str = setting(
        "",
        parse_optional_access,
        "Who may run the script as a health check, at /_stcore/script-health-check; empty for nobody.",
    )
    streamlit_agent_access: str = setting(
        "",
        parse_optional_access,
        "Which viewers may drive an app by program, at /_stcore/agent/…; empty for none.",
    )

    live_sessions_interval_s: float = setting(
        5.0, seconds(0), "Time between a gateway worker's reports to the admin; 0 for none.", unit="seconds"
    )
    history_days: int = setting(
        90, whole_number(0, 36_500), "Days for which starts and events are kept; 0 for ever.", unit="days"
    )
    history_events: int = setting(
        100_000, whole_number(0, 1 << 31), "Most events that are kept; 0 for any number."
    )

    apps: tuple[AppConfig, ...] = ()
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)
    """Where each field's value came from: `flag`, `environment`, `settings` or `default`."""

    def get_app(self, name: str) -> AppConfig:
        """The app of this name.

        Raises:
            ConfigError: there is none.
        """
        for app in self.apps:
            if app.name == name:
                return app
        msg = f"There is no Streamlit app named {name!r}; known are: {', '.join(a.name for a in self.apps)}."
        raise ConfigError(msg)


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing wrong with the configuration; its id is stable, `fluxlit.E…` or `fluxlit.W…`."""

    id: str
    message: str
    hint: str = ""
    setting: str = ""
    """The field that cannot be used, for `fluxlit.E001`."""

    @property
    def is_error(self) -> bool:
        """Whether nothing can run with this configuration."""
        return self.id.startswith("fluxlit.E")

    @property
    def code(self) -> str:
        """The id in words, for programs that filter reports."""
        return f"{self.setting}_invalid" if self.setting else CODES.get(self.id, self.id)


CODES: Mapping[str, str] = {
    "fluxlit.E001": "value_invalid",
    "fluxlit.E002": "setting_unknown",
    "fluxlit.E003": "app_invalid",
    "fluxlit.E004": "mount_shared",
    "fluxlit.E005": "trust_proxy_without_addresses",
    "fluxlit.E006": "root_path_conflict",
    "fluxlit.E008": "metrics_path_shadows",
    "fluxlit.E010": "asgi_application_missing",
    "fluxlit.E011": "asgi_application_without_streamlit",
    "fluxlit.E012": "user_field_unknown",
    "fluxlit.E013": "middleware_order",
    "fluxlit.E020": "pages_unimportable",
    "fluxlit.E021": "page_invalid",
    "fluxlit.W001": "variable_unknown",
    "fluxlit.W002": "gateway_forward_blocked_names",
    "fluxlit.W010": "allowed_hosts_empty",
    "fluxlit.W011": "allowed_hosts_any",
    "fluxlit.W012": "public_base_url_not_in_allowed_hosts",
    "fluxlit.W014": "static_url_over_mount",
    "fluxlit.W015": "static_url_outside_root_path",
    "fluxlit.W017": "ping_interval_over_edge_idle_timeout",
    "fluxlit.W018": "version_untested",
    "fluxlit.W019": "login_url_unknown",
    "fluxlit.W020": "channel_layer_in_memory",
    "fluxlit.W021": "cache_in_memory",
    "fluxlit.W022": "url_session_store_in_memory",
    "fluxlit.W023": "viewer_token_middleware_missing",
    "fluxlit.W024": "page_shadowed",
    "fluxlit.W025": "sessions_in_cookies",
    "fluxlit.W030": "public_base_url_path_mismatch",
    "fluxlit.W031": "forwarded_allow_ips_broad",
    "fluxlit.W032": "gateway_max_body_unlimited_trust_proxy",
    "fluxlit.W033": "subpath_without_trust_proxy",
    "fluxlit.W034": "oauth_public_base_url",
    "fluxlit.W035": "internal_api_base_path",
    "fluxlit.W036": "internal_api_base_mismatch",
    "fluxlit.W037": "https_without_trust_proxy",
    "fluxlit.W038": "gateway_upstream_timeouts",
    "fluxlit.W040": "tests_mode",
    "fluxlit.W041": "reload_outside_debug",
    "fluxlit.W042": "metrics_public",
}
"""The word for every id there is. Ids and words stay: people silence the ones and filter by the others."""


@dataclasses.dataclass(frozen=True)
class Effective:
    """What one setting is, fit to be shown: no secret is in it."""

    name: str
    """The environment variable, `FLUXLIT_…`."""
    value: Any
    source: str
    """`flag`, `environment`, `settings` or `default`."""
    place: str
    """More about the source where more is known: the flag, or the file and line of a `.env`."""
    default: Any
    unit: str
    help: str


def setting_fields() -> Iterator[dataclasses.Field[Any]]:
    """The fields of `Config` that a user can set."""
    return (field for field in dataclasses.fields(Config) if "parse" in field.metadata)


def explain(config: Config) -> list[Effective]:
    """Every setting with its value and where that came from, secrets and passwords in URLs left out."""
    return [_explain(config, field) for field in setting_fields()]


def _explain(config: Config, field: dataclasses.Field[Any]) -> Effective:
    name, value = f"FLUXLIT_{field.name.upper()}", getattr(config, field.name)
    source = config.sources.get(field.name, "default")
    place = {"flag": field.metadata["flag"], "environment": place_of(name)}.get(source, "")
    return Effective(
        name=name,
        value=REDACTED if field.metadata["secret"] and value else redact(value),
        source=source,
        place=place,
        default=field.default,
        unit=field.metadata["unit"],
        help=field.metadata["help"],
    )


@functools.cache
def get_config() -> Config:
    """The effective configuration of this process.

    Raises:
        ConfigError: a value cannot be used; the message names each one and its remedy.
    """
    config, problems = load_config()
    errors = [problem for problem in problems if problem.is_error]
    if errors:
        raise ConfigError("\n".join(f"{error.message} {error.hint}".strip() for error in errors))
    return config


def load_config() -> tuple[Config, list[Problem]]:
    """Read all sources; a value that cannot be used is reported and replaced by its default."""
    problems: list[Problem] = []
    user_settings = getattr(settings, "FLUXLIT", {})
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for field in setting_fields():
        raw, source = _lookup(field.name, user_settings)
        sources[field.name] = source
        values[field.name] = field.default
        if raw is not _MISSING:
            try:
                values[field.name] = field.metadata["parse"](raw)
            except ValueError as exc:
                problems.append(_bad_value(_shown_name(field, source), raw, str(exc), field))
    if sources["root_path"] == "default" and settings.FORCE_SCRIPT_NAME:
        values["root_path"], sources["root_path"] = _forced_script_name(), "settings"
    problems += _unknown_names(user_settings)
    config = Config(**values, sources=sources)
    problems += _conflicts(config)
    apps = tuple(_apps(config, user_settings.get("APPS", {}), problems))
    return dataclasses.replace(config, apps=apps), problems


def _conflicts(config: Config) -> Iterator[Problem]:
    if config.trust_proxy and not config.forwarded_allow_ips:
        message = "FLUXLIT_TRUST_PROXY is set, and FLUXLIT_FORWARDED_ALLOW_IPS names no proxy."
        hint = "Set it to the addresses or networks of your proxies, for example 10.0.0.0/8."
        yield Problem("fluxlit.E005", message, hint)
    if settings.FORCE_SCRIPT_NAME and config.root_path != _forced_script_name():
        message = f"FLUXLIT_ROOT_PATH is {config.root_path!r}, FORCE_SCRIPT_NAME {_forced_script_name()!r}."
        yield Problem("fluxlit.E006", message, "Set only one of them, or both to the same prefix.")
    public_path = urlsplit(config.public_base_url).path
    if config.public_base_url and public_path != config.root_path:
        message = (
            f"FLUXLIT_PUBLIC_BASE_URL is {redact(config.public_base_url)!r}, "
            "and its path is not FLUXLIT_ROOT_PATH."
        )
        end = f"Let the URL end in {config.root_path!r}" if config.root_path else "Take its path away"
        hint = f"{end}, or set FLUXLIT_ROOT_PATH to {public_path or '/'!r}: links would lead elsewhere."
        yield Problem("fluxlit.W030", message, hint)


def _forced_script_name() -> str:
    """Django's own setting of the public path prefix, in the form of ours."""
    return str(settings.FORCE_SCRIPT_NAME or "").rstrip("/")


def _lookup(name: str, user_settings: Mapping[str, Any]) -> tuple[Any, str]:
    flags = json.loads(os.environ.get(FLAGS_VARIABLE, "{}"))
    if name in flags:
        return flags[name], "flag"
    if f"FLUXLIT_{name.upper()}" in os.environ:
        return os.environ[f"FLUXLIT_{name.upper()}"], "environment"
    if name.upper() in user_settings:
        return user_settings[name.upper()], "settings"
    return _MISSING, "default"


def _shown_name(field: dataclasses.Field[Any], source: str) -> str:
    if source == "flag":
        return str(field.metadata["flag"])
    if source == "settings":
        return f'FLUXLIT["{field.name.upper()}"]'
    variable = f"FLUXLIT_{field.name.upper()}"
    place = place_of(variable)
    return f"{variable} ({place})" if place else variable


def _bad_value(name: str, raw: Any, remedy: str, field: dataclasses.Field[Any]) -> Problem:
    is_secret = field.metadata["secret"]
    shown = "a value that is kept secret" if is_secret else repr(redact(raw))
    said = f"{name} is {shown}: {redact(remedy) if not is_secret else 'mend it'}."
    return Problem("fluxlit.E001", said, setting=field.name)


def _unknown_names(user_settings: Mapping[str, Any]) -> Iterator[Problem]:
    known = {field.name.upper() for field in setting_fields()}
    for key in user_settings:
        if key not in known | {"APPS"}:
            yield Problem("fluxlit.E002", f'FLUXLIT["{key}"] is not a setting.', _nearest(key, known))
    for variable in os.environ:
        key = variable.removeprefix("FLUXLIT_")
        if key != variable and key not in known | _ENVIRONMENT_ONLY:
            yield Problem(
                "fluxlit.W001",
                f"{variable} is in the environment and is not a setting.",
                _nearest(key, known),
            )


def _nearest(key: str, known: set[str]) -> str:
    matches = difflib.get_close_matches(key, known, n=1)
    return f"Did you mean {matches[0]}?" if matches else "Remove it."


_APP_KEYS = {"SCRIPT", "APP", "MOUNT", "ACCESS", "STREAMLIT_WORKERS", "STREAMLIT_UPSTREAM", "FRAME_ANCESTORS"}


def _apps(config: Config, raw_apps: Any, problems: list[Problem]) -> Iterator[AppConfig]:
    if not isinstance(raw_apps, Mapping):
        problems.append(Problem("fluxlit.E003", 'FLUXLIT["APPS"] is not a dict.', "Use {name: {…}, …}."))
        raw_apps = {}
    mounts: dict[str, str] = {}
    if _has_default_app(config, raw_apps):
        mounts[config.mount] = DEFAULT_APP
        yield AppConfig(
            name=DEFAULT_APP,
            mount=config.mount,
            script=config.script,
            target=config.app,
            access=config.access,
            sidecars=config.streamlit_workers,
            upstream=config.streamlit_upstream,
            frame_ancestors=config.frame_ancestors,
        )
    for name, raw in raw_apps.items():
        app = _named_app(name, raw, problems)
        if app is None:
            continue
        if app.mount in mounts:
            message = f"The apps {mounts[app.mount]!r} and {name!r} share the mount {app.url_path!r}."
            problems.append(Problem("fluxlit.E004", message, "Give each its own MOUNT."))
            continue
        mounts[app.mount] = name
        yield app


def _has_default_app(config: Config, raw_apps: Mapping[str, Any]) -> bool:
    """The default app is there when something names it, and when nothing else is."""
    return bool(config.script or config.app or config.streamlit_upstream or not raw_apps or pages_modules())


def _named_app(name: str, raw: Any, problems: list[Problem]) -> AppConfig | None:
    if not _APP_NAME.fullmatch(name) or name == DEFAULT_APP or not isinstance(raw, Mapping):
        message = f'FLUXLIT["APPS"] has an entry {name!r} that is not an app.'
        hint = f"Use a name of letters, digits and - other than {DEFAULT_APP!r}, and a dict for its value."
        problems.append(Problem("fluxlit.E003", message, hint))
        return None
    for key in set(raw) - _APP_KEYS:
        message = f'FLUXLIT["APPS"]["{name}"]["{key}"] is not a setting.'
        problems.append(Problem("fluxlit.E002", message, _nearest(key, _APP_KEYS)))
    fields = {field.name.upper(): field for field in setting_fields()}
    values: dict[str, Any] = {key: fields[key].default for key in _APP_KEYS} | {"MOUNT": f"/{name}"}
    for key in _APP_KEYS & set(raw):
        try:
            values[key] = fields[key].metadata["parse"](raw[key])
        except ValueError as exc:
            shown = f'FLUXLIT["APPS"]["{name}"]["{key}"]'
            problems.append(_bad_value(shown, raw[key], str(exc), fields[key]))
    return AppConfig(
        name=name,
        mount=values["MOUNT"],
        script=values["SCRIPT"],
        target=values["APP"],
        access=values["ACCESS"],
        sidecars=values["STREAMLIT_WORKERS"],
        upstream=values["STREAMLIT_UPSTREAM"],
        frame_ancestors=values["FRAME_ANCESTORS"],
    )


def pages_modules() -> list[str]:
    """Dotted names of the `streamlit_pages` modules of installed apps, in their order."""
    return [
        f"{app.name}.{PAGES_MODULE}"
        for app in django_apps.get_app_configs()
        if find_spec(f"{app.name}.{PAGES_MODULE}")
    ]


def _forget_config(*, setting: str, **kwargs: Any) -> None:
    if setting == "FLUXLIT":
        get_config.cache_clear()


setting_changed.connect(_forget_config)

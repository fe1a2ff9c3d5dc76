"""Everything that can be known to be wrong before anything runs: one list, and its faces show it.

`manage.py check` and its `--deploy`, `fluxlit_config`, `fluxlit_doctor` and `FLUXLIT_STRICT_STARTUP` all ask
here. What `conf` finds about single values comes first; the rest is about values that do not go together,
with each other or with Django's settings.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.handlers.asgi import ASGIHandler
from django.http.request import validate_host
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch
from django.utils.module_loading import import_string

from fluxlit_django import __version__, client, conf
from fluxlit_django.conf import AppConfig, Config, Problem
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.gateway import headers, paths
from fluxlit_django.metrics import settings as metric_settings
from fluxlit_django.pages import discovery
from fluxlit_django.pages.registry import FluxLit
from fluxlit_django.redaction.names import redact
from fluxlit_django.trust import sessions

ASGI_APPLICATION = "fluxlit_django.asgi.application"
SUPPORTED: Mapping[str, tuple[str, str]] = {
    "Python": ("3.10", "3.13"),
    "Django": ("5.2", "6.1"),
    "Streamlit": ("1.57", "1.67"),
}
"""The oldest and the newest version that the tests are run with."""

_SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
_CSRF = "django.middleware.csrf.CsrfViewMiddleware"
_VIEWER_TOKEN = "fluxlit_django.middleware.ViewerTokenMiddleware"
_UPLOAD_CAP = "fluxlit_django.middleware.UploadCapMiddleware"
_ORDER = (
    (_SESSION, _AUTHENTICATION, "nobody is ever signed in"),
    (_AUTHENTICATION, _VIEWER_TOKEN, "pages call the API as nobody"),
    (_UPLOAD_CAP, _CSRF, "a form that is too large is read before it is refused"),
)
"""Middleware that must come before another, and what happens otherwise."""

_MEMORY_LAYER = "channels.layers.InMemoryChannelLayer"
_MEMORY_CACHES = (
    "django.core.cache.backends.locmem.LocMemCache",
    "django.core.cache.backends.dummy.DummyCache",
)
_CACHED_SESSIONS = ("django.contrib.sessions.backends.cache", "django.contrib.sessions.backends.cached_db")
_SHORT_READ_S = 5.0  # seconds; a file that a page makes when it is downloaded may well take longer
_BROAD_PREFIX = {4: 8, 6: 16}  # a network with a shorter prefix than this holds far more than proxies


def find() -> list[Problem]:
    """All problems, those of deployments included, without the warnings that the project silences."""
    found = [*settings_problems(), *deployment_problems(), *project_problems(), *page_problems()]
    silenced = settings.SILENCED_SYSTEM_CHECKS
    return [problem for problem in found if problem.is_error or problem.id not in silenced]


def settings_problems() -> list[Problem]:
    """What can be seen in the settings alone; nothing of the project is imported."""
    config, problems = conf.load_config()
    return [
        *problems,
        *_forwarded_headers(config),
        *_proxy(config),
        *_api_base(config),
        *_hosts(config),
        *_middleware(),
        *_static_files(config),
        *_sessions(),
        *_several_processes(config),
        *_timing(config),
        *metric_settings.settings_problems(config),
        *_versions(),
    ]


def deployment_problems() -> list[Problem]:
    """What is usual in development and wrong on a site that others use."""
    config, _ = conf.load_config()
    return [*_deployment(config), *metric_settings.deployment_problems(config)]


def project_problems() -> list[Problem]:
    """What shows when the project's application and URLs are imported."""
    config = _usable_config()
    return [] if config is None else [*_application(), *_login(config), *_user_fields(config)]


def page_problems() -> list[Problem]:
    """What shows when the project's pages are imported."""
    config = _usable_config()
    return [] if config is None else list(_pages(config))


def _usable_config() -> Config | None:
    """The configuration, or None when there is no telling what is meant, which is said already."""
    config, problems = conf.load_config()
    return None if any(problem.is_error for problem in problems) else config


# Proxies


def _forwarded_headers(config: Config) -> Iterator[Problem]:
    for name in headers.refused_names(config.gateway_forward_client_headers_to_streamlit):
        message = f"The header {name!r} never reaches a sidecar: it is a credential, of one hop, or ours."
        hint = "Take it out of FLUXLIT_GATEWAY_FORWARD_CLIENT_HEADERS_TO_STREAMLIT."
        yield Problem("fluxlit.W002", message, hint)


def _proxy(config: Config) -> Iterator[Problem]:
    has_proxy = config.trust_proxy or bool(config.forwarded_allow_ips)
    broad = [entry for entry in config.forwarded_allow_ips if is_broad(entry)]
    if broad:
        message = f"FLUXLIT_FORWARDED_ALLOW_IPS has {', '.join(broad)}: anybody may claim any address."
        yield Problem("fluxlit.W031", message, "Name your proxies' addresses, or their own network.")
    if has_proxy and not config.gateway_max_proxy_request_body_bytes:
        message = "FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES is 0: anybody may upload any amount."
        yield Problem("fluxlit.W032", message, "Set it to the largest upload of your apps, such as 67108864.")
    if config.root_path and not has_proxy:
        message = (
            f"FLUXLIT_ROOT_PATH is {config.root_path!r}, and FLUXLIT_FORWARDED_ALLOW_IPS names no proxy."
        )
        hint = "Name the proxy that adds the prefix; from others, X-Forwarded-* headers are thrown away."
        yield Problem("fluxlit.W033", message, hint)
    if config.root_path and not config.public_base_url:
        message = f"FLUXLIT_ROOT_PATH is {config.root_path!r}, and FLUXLIT_PUBLIC_BASE_URL is not set."
        hint = f"Set it to the public URL, such as https://example.com{config.root_path}."
        yield Problem("fluxlit.W034", message, hint)
    if config.public_base_url.startswith("https:") and not config.root_path and not has_proxy:
        message = "FLUXLIT_PUBLIC_BASE_URL is HTTPS, and FLUXLIT_FORWARDED_ALLOW_IPS names no proxy."
        hint = "Name the proxy that speaks HTTPS; without it every request passes for plain HTTP."
        yield Problem("fluxlit.W037", message, hint)


def is_broad(entry: str) -> bool:
    """Whether a trusted address or network holds far more than proxies: `*`, 0.0.0.0/0, half of it, …"""
    if entry == "*":
        return True
    network = ipaddress.ip_network(entry, strict=False)
    return network.prefixlen < _BROAD_PREFIX[network.version]


def _api_base(config: Config) -> Iterator[Problem]:
    base = config.internal_api_base
    if not base:
        return
    parts = urlsplit(base)
    wanted = f"{config.root_path}{config.api_mount_path}"
    if parts.path not in {wanted, config.api_mount_path}:
        message = f"FLUXLIT_INTERNAL_API_BASE is {redact(base)!r}, and the API is at {wanted!r}."
        yield Problem("fluxlit.W035", message, f"Let the URL end in {wanted}.")
    is_local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if is_local and config.gateway_port and parts.port != config.gateway_port:
        derived = client.default_base_url(dataclasses.replace(config, internal_api_base=""))
        message = (
            f"FLUXLIT_INTERNAL_API_BASE is {redact(base)!r}; the gateway listens on {config.gateway_port}: "
            "pages would send their viewers' tokens to another process."
        )
        yield Problem("fluxlit.W036", message, f"Leave it empty, for {derived}.")


# Django's own settings


def _hosts(config: Config) -> Iterator[Problem]:
    allowed = settings.ALLOWED_HOSTS
    host = urlsplit(config.public_base_url).hostname
    if host and allowed and not validate_host(f"[{host}]" if ":" in host else host, allowed):
        message = f"The host of FLUXLIT_PUBLIC_BASE_URL, {host!r}, is not in ALLOWED_HOSTS."
        yield Problem(
            "fluxlit.W012", message, f"Add {host!r} to ALLOWED_HOSTS: its viewers are answered 400."
        )


def _middleware() -> Iterator[Problem]:
    names = list(settings.MIDDLEWARE)
    for first, second, consequence in _ORDER:
        if first in names and second in names and names.index(first) > names.index(second):
            message = f"In MIDDLEWARE, {first} comes after {second}: {consequence}."
            yield Problem("fluxlit.E013", message, f"Move it above {second.rpartition('.')[2]}.")
    if _VIEWER_TOKEN in names and _AUTHENTICATION not in names:
        message = f"MIDDLEWARE has {_VIEWER_TOKEN} without {_AUTHENTICATION}."
        yield Problem("fluxlit.E013", message, "Add AuthenticationMiddleware above it.")


def _static_files(config: Config) -> Iterator[Problem]:
    parts = urlsplit(settings.STATIC_URL or "")
    if parts.netloc or not parts.path:
        return
    path = parts.path.rstrip("/")
    for app in config.apps:
        if f"{config.root_path}{app.mount}/".startswith(f"{path}/") and (app.mount or not path):
            message = f"STATIC_URL is {parts.path!r}, and the app {app.name!r} is in it, at {app.url_path!r}."
            yield Problem("fluxlit.W014", message, "Give one of them another path.")
    if config.root_path and not f"{path}/".startswith(f"{config.root_path}/"):
        message = f"STATIC_URL is {parts.path!r}, which is not below FLUXLIT_ROOT_PATH, {config.root_path!r}."
        hint = "Write it without a slash at its beginning, as in 'static/'; Django then adds the prefix."
        yield Problem("fluxlit.W015", message, hint)


def _sessions() -> Iterator[Problem]:
    if settings.SESSION_ENGINE == sessions.IN_COOKIES:
        message = (
            "SESSION_ENGINE keeps sessions in cookies alone: whoever has kept a cookie stays signed in after "
            "the sign-out."
        )
        hint = "Use django.contrib.sessions.backends.db, or cached_db with a cache that all processes share."
        yield Problem("fluxlit.W025", message, hint)


# Several processes


def _several_processes(config: Config) -> Iterator[Problem]:
    if config.workers > 1:
        yield from _several_workers(config)
    sidecars = max((app.sidecars for app in config.apps), default=0)
    store = config.url_session_store
    is_private = store == "memory" or (store == "cache" and _has_private_cache())
    if sidecars > 1 and is_private and not config.disable_url_session:
        message = (
            f"An app has {sidecars} sidecars, and FLUXLIT_URL_SESSION_STORE is {store!r}: "
            "each keeps URL sessions of its own."
        )
        yield Problem("fluxlit.W022", message, "Set FLUXLIT_URL_SESSION_STORE to database.")


def _several_workers(config: Config) -> Iterator[Problem]:
    layer = (getattr(settings, "CHANNEL_LAYERS", None) or {}).get("default", {}).get("BACKEND", _MEMORY_LAYER)
    if layer == _MEMORY_LAYER:
        message = (
            f"There are {config.workers} gateway workers, each with a channel layer of its own: a sign-out "
            f"closes the sockets of the other workers only after {config.access_recheck_s:g} s."
        )
        hint = "Set CHANNEL_LAYERS to a Redis layer; pip install 'fluxlit-django[redis]' brings it."
        yield Problem("fluxlit.W020", message, hint)
    if not _has_private_cache():
        return
    message = f"There are {config.workers} gateway workers, and each has a cache of its own."
    if settings.SESSION_ENGINE in _CACHED_SESSIONS:
        message = f"{message[:-1]}, with the sessions in it: a sign-out in one is none in the others."
    yield Problem("fluxlit.W021", message, "Set CACHES to one that they share, such as Django's RedisCache.")


def _has_private_cache() -> bool:
    return settings.CACHES.get("default", {}).get("BACKEND", _MEMORY_CACHES[0]) in _MEMORY_CACHES


# Time and versions


def _timing(config: Config) -> Iterator[Problem]:
    if config.gateway_ws_ping_interval_s >= config.edge_idle_timeout_s:
        message = (
            f"The gateway pings an open page every {config.gateway_ws_ping_interval_s:g} s, and the proxy in "
            f"front closes a quiet connection after {config.edge_idle_timeout_s:g} s."
        )
        hint = "Set FLUXLIT_GATEWAY_WS_PING_INTERVAL_S to less than FLUXLIT_EDGE_IDLE_TIMEOUT_S."
        yield Problem("fluxlit.W017", message, hint)
    if config.gateway_upstream_read_timeout_s < _SHORT_READ_S:
        message = (
            "FLUXLIT_GATEWAY_UPSTREAM_READ_TIMEOUT_S breaks off every download and upload over which a "
            f"sidecar is silent for {config.gateway_upstream_read_timeout_s:g} s."
        )
        yield Problem("fluxlit.W038", message, f"Set it to {_SHORT_READ_S:g} s at least; the default is 120.")


@functools.cache
def versions() -> Mapping[str, str]:
    """The versions of what the support matrix names, and of this package."""
    return {
        "fluxlit-django": __version__,
        "Python": ".".join(map(str, sys.version_info[:3])),
        "Django": django.get_version(),
        "Streamlit": metadata.version("streamlit"),
    }


def _versions() -> Iterator[Problem]:
    yield from untested(versions())


def untested(found: Mapping[str, str]) -> Iterator[Problem]:
    """A problem for each version outside the support matrix."""
    for name, (oldest, newest) in SUPPORTED.items():
        if not _minor(oldest) <= _minor(found[name]) <= _minor(newest):
            message = f"{name} is {found[name]}; this package is tested with {oldest} to {newest}."
            yield Problem("fluxlit.W018", message, f"Install a {name} of these versions.")


def _minor(version: str) -> tuple[int, ...]:
    """Major and minor number of a version; of a development version too."""
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split(".")[:2])


# Deployments


def _deployment(config: Config) -> Iterator[Problem]:
    if not settings.ALLOWED_HOSTS and not settings.DEBUG:
        message = "ALLOWED_HOSTS is empty, so that every request is answered 400."
        yield Problem("fluxlit.W010", message, "Name the public host, for example shop.example.com.")
    if "*" in settings.ALLOWED_HOSTS:
        message = "ALLOWED_HOSTS has '*', so that links and redirects lead wherever a browser says."
        yield Problem("fluxlit.W011", message, "Name the public host, for example shop.example.com.")
    if config.tests:
        message = "FLUXLIT_TESTS is set: test overrides count, and URL sessions do not."
        yield Problem("fluxlit.W040", message, "Unset it.")
    if config.reload and not settings.DEBUG:
        message = "FLUXLIT_RELOAD is set outside of DEBUG: every changed file restarts what imports it."
        yield Problem("fluxlit.W041", message, "Unset it, and deploy with fluxlit_reload or SIGHUP.")


# The project's code


def _application() -> Iterator[Problem]:
    name = getattr(settings, "ASGI_APPLICATION", None)
    hint = f'Set it to "{ASGI_APPLICATION}", or build yours with fluxlit_django.asgi.get_asgi_application().'
    if not name:
        yield Problem("fluxlit.E010", "ASGI_APPLICATION is not set.", hint)
        return
    if name == ASGI_APPLICATION:
        return
    try:
        application = import_string(name)
    except Exception as exc:  # whatever the user's module raises
        said = redact(f"{type(exc).__name__}: {exc}")
        yield Problem("fluxlit.E010", f"ASGI_APPLICATION, {name!r}, cannot be imported: {said}", hint)
        return
    routes = getattr(application, "application_mapping", {})  # of Channels' ProtocolTypeRouter
    if any(isinstance(each, ASGIHandler) for each in (application, routes.get("http"))):
        message = f"ASGI_APPLICATION, {name!r}, is Django's alone: it serves no Streamlit."
        yield Problem("fluxlit.E011", message, hint)


def _login(config: Config) -> Iterator[Problem]:
    closed = [app.name for app in config.apps if app.access != "public"]
    if not closed or _is_login_served(config):
        return
    message = f"Your URLs have nothing at LOGIN_URL, {str(settings.LOGIN_URL)!r}, where viewers must sign in."
    hint = "Set LOGIN_URL, for example to 'admin:login', or open the app to everybody: FLUXLIT_ACCESS=public."
    yield Problem("fluxlit.W019", message, hint)


def _user_fields(config: Config) -> Iterator[Problem]:
    model = get_user_model()
    unknown = [
        name for name in config.user_fields if name not in conf.USER_FIELDS and not hasattr(model, name)
    ]
    if unknown:
        message = f"FLUXLIT_USER_FIELDS has {', '.join(unknown)}, and {model.__name__} has no such attribute."
        hint = f"Use attributes of {model.__name__}, and {', '.join(conf.USER_FIELDS)}."
        yield Problem("fluxlit.E012", message, hint)


def _is_login_served(config: Config) -> bool:
    try:
        parts = urlsplit(resolve_url(settings.LOGIN_URL))
    except NoReverseMatch:
        return False
    return bool(parts.netloc) or paths.resolves_in_django(paths.split_root(config.root_path, parts.path))


def _pages(config: Config) -> Iterator[Problem]:
    apps = {app.target: app for app in config.apps if not (app.script or app.upstream)}
    for app in apps.values():
        yield from _pages_of(config, app)


def _pages_of(config: Config, app: AppConfig) -> Iterator[Problem]:
    try:
        found = discovery.load_app(app.target)
    except ConfigError as exc:
        message, _, hint = str(exc).partition(". ")
        yield Problem("fluxlit.E020", f"{message}." if hint else message, hint)
        return
    except Exception as exc:  # whatever the user's module raises
        said = redact(f"{type(exc).__name__}: {exc}")
        message = f"The pages of the app {app.name!r} cannot be imported: {said}"
        yield Problem("fluxlit.E020", message, "Mend what their module does when it is imported.")
        return
    problems = found.problems(strict=config.strict_page_signatures)
    for problem in problems:
        yield Problem("fluxlit.E021", problem)
    if not problems:
        yield from _calls_as_nobody(config, found)
    yield from _shadowed(app, found)


def _shadowed(app: AppConfig, found: FluxLit) -> Iterator[Problem]:
    for record in found.page_records:
        path = f"{app.mount}{record.path}"
        for address in dict.fromkeys((path, f"{path.rstrip('/')}/")):
            if paths.resolves_in_django(address):
                message = f"{record.owner} is at {path}, and your URLs have something at {address}."
                yield Problem("fluxlit.W024", message, "Give one of them another path; your URLs come first.")
                break


def _calls_as_nobody(config: Config, app: FluxLit) -> Iterator[Problem]:
    if _VIEWER_TOKEN in settings.MIDDLEWARE or config.internal_api_base:
        return
    paths = app.paths_with_client()
    if paths:
        message = (
            f"MIDDLEWARE has no ViewerTokenMiddleware: pages call the API as nobody ({', '.join(paths)})."
        )
        hint = f"Add {_VIEWER_TOKEN!r} below AuthenticationMiddleware, or silence this for a public API."
        yield Problem("fluxlit.W023", message, hint)

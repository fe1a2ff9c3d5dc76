"""Which way a request goes, as tables over the real URLconf and the real bundle."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.urls import include, path

from fluxlit_django.conf import AppConfig, Config
from fluxlit_django.gateway import assets
from fluxlit_django.gateway.access import Decision, Gatekeeper, Verdict
from fluxlit_django.gateway.routing import HttpRouter, WebSocketRouter
from fluxlit_django.gateway.runtime import Runtime
from tests.gateway.browser import Response
from tests.gateway.scopes import call, http_scope

APPS = (
    AppConfig(name="default", mount="", access="public"),
    AppConfig(name="open", mount="/open", access="public"),
    AppConfig(name="deep", mount="/open/deep", access="public"),
)


def view(request: Any, **kwargs: Any) -> HttpResponse:
    """A view that is never called here."""
    return HttpResponse()


class WithDocument:
    """A URLconf that includes ours, as a project may."""

    urlpatterns = (path("own/", view), path("", include("fluxlit_django.urls")))


class Project:
    """A URLconf that shares prefixes with Streamlit."""

    urlpatterns = (
        path("admin/", view),
        path("static/<path:name>", view),
        path("media/<path:name>", view),
        path("open/api", view),
    )


async def django(scope: Any, receive: Any, send: Any) -> None:
    """Stands for Django: says what it was asked for."""
    fields = [(b"x-way", b"django"), (b"x-root", scope["root_path"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


async def let_in(app: AppConfig, session_key: str) -> Decision:
    """Everybody may, and no database is asked."""
    return Decision(Verdict.ALLOW, None)


def make_router(apps: tuple[AppConfig, ...] = APPS, **settings: Any) -> HttpRouter:
    """A router of a worker that knows no sidecars: what goes to one is answered with 503."""
    bundle = assets.bundle_directory()
    runtime = Runtime(Config(apps=apps, **settings), gatekeeper=Gatekeeper(let_in))
    return HttpRouter(runtime, django, assets.Assets(bundle, bundle / "none"))


def way_of(response: Response) -> str:
    """Which way a response came."""
    if response.header("x-way"):
        return "django"
    return {503: "sidecar", 404: "nowhere", 400: "refused", 200: "asset"}[response.status]


@pytest.fixture(autouse=True)
def project(settings) -> None:
    """The URLconf of most tests."""
    settings.ROOT_URLCONF = Project
    settings.ALLOWED_HOSTS = ["testserver"]


@pytest.mark.parametrize(
    ("target", "way"),
    [
        # Streamlit's routes, below each mount
        ("/_stcore/health", "sidecar"),
        ("/open/_stcore/health", "sidecar"),
        ("/open/deep/_stcore/host-config", "sidecar"),
        ("/open/_stcore/bidi-components/a/b.js", "sidecar"),
        ("/open/media/a.png", "sidecar"),
        ("/open/component/x.y/index.html", "sidecar"),
        ("/open/app/static/a/b.png", "sidecar"),
        ("/open/auth/login", "sidecar"),
        ("/open/auth/logout", "sidecar"),
        ("/open/oauth2callback?code=1", "sidecar"),
        # its closed ones
        ("/_stcore/metrics", "nowhere"),
        ("/_stcore/script-health-check", "nowhere"),
        ("/_stcore/agent/mcp", "nowhere"),
        ("/_stcore/agent/openapi.json", "nowhere"),
        ("/_stcore/stream", "nowhere"),
        ("/_stcore/allowed-message-origins", "nowhere"),
        ("/_stcore", "nowhere"),
        ("/_stcore/", "nowhere"),
        ("/_stcore/health/", "nowhere"),
        ("/_stcore/upload_file/a", "nowhere"),
        ("/_stcore/upload_file/a/b/c", "nowhere"),
        ("/_stcore/..%2F_stcore/metrics", "nowhere"),
        ("/_stcore%2Fmetrics", "nowhere"),
        # the frontend's probes for its base
        ("/page/_stcore/health", "nowhere"),
        ("/open/page/_stcore/host-config", "nowhere"),
        ("/open/deep/a/b/_stcore/health", "nowhere"),
        # pages
        ("/", "django"),
        ("/open", "django"),
        ("/open/", "django"),
        ("/open/page", "django"),
        ("/openly", "django"),
        ("/open/media", "django"),
        ("/open/media/", "django"),
        ("/open/auth/other", "django"),
        ("//open", "django"),
        # Django's own
        ("/admin/", "django"),
        ("/admin", "django"),
        ("/static/css/base.css", "django"),
        ("/media/a.png", "django"),
        ("/open/api", "django"),
        # the bundle
        ("/favicon.png", "asset"),
        ("/open/favicon.png", "asset"),
        ("/open/deep/favicon.png", "asset"),
        ("/index.html", "django"),
        ("/open/index.html", "django"),
    ],
)
async def test_way(target: str, way: str) -> None:
    """Each path has one way."""
    response = await call(make_router(), http_scope(target))

    assert way == way_of(response)


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("PUT", "/_stcore/upload_file/session/file", 503),
        ("DELETE", "/_stcore/upload_file/session/file", 503),
        ("OPTIONS", "/_stcore/upload_file/session/file", 503),
        ("GET", "/_stcore/upload_file/session/file", 405),
        ("POST", "/_stcore/upload_file/session/file", 405),
        ("HEAD", "/media/a.png", 503),
        ("POST", "/media/a.png", 405),
        ("TRACE", "/media/a.png", 405),
        ("DELETE", "/_stcore/health", 405),
        ("OPTIONS", "/auth/login", 405),
        ("POST", "/_stcore/metrics", 404),
    ],
)
async def test_method(settings, method: str, target: str, expected: int) -> None:
    """Each route of Streamlit's takes the methods that it has; 503 says that a sidecar was looked for."""
    settings.ROOT_URLCONF = WithDocument

    response = await call(make_router(), http_scope(target, method=method))

    assert expected == response.status
    assert (expected == 405) == (response.header("allow") is not None)


OPERATORS = {
    "/_stcore/metrics": ("streamlit_metrics_access", False),
    "/_stcore/script-health-check": ("streamlit_script_health_access", False),
    "/_stcore/agent/interact": ("streamlit_agent_access", True),
    "/_stcore/agent/mcp": ("streamlit_agent_access", True),
}
"""Routes for operators: the setting that opens each, and whether the app's own rule counts as well."""


@pytest.mark.parametrize("target", OPERATORS)
@pytest.mark.parametrize(
    ("app_allows", "rule_allows", "expected"),
    [(True, True, 503), (True, False, 403), (False, True, None), (False, False, 403)],
)
async def test_operators(target: str, app_allows: bool, rule_allows: bool, expected: int | None) -> None:
    """A setting opens a route to those whom its rule lets in, and to nobody else."""
    setting, is_of_app = OPERATORS[target]

    async def read(app: AppConfig, key: str) -> Decision:
        allows = rule_allows if app.access == "group:Operators" else app_allows
        return Decision(Verdict.ALLOW if allows else Verdict.FORBID, None)

    bundle = assets.bundle_directory()
    app = AppConfig(name="default", mount="", access="login")
    runtime = Runtime(Config(apps=(app,), **{setting: "group:Operators"}), gatekeeper=Gatekeeper(read))
    router = HttpRouter(runtime, django, assets.Assets(bundle, bundle / "none"))
    response = await call(router, http_scope(target))

    assert (expected or (403 if is_of_app else 503)) == response.status


async def test_way__bundle_before_djangos_static_files() -> None:
    """The bundle's own files win over a URLconf that has the same prefix; other files are Django's."""
    names = assets.file_names(assets.bundle_directory())
    script = next(name for name in names if name.startswith("static/js/"))

    router = make_router()

    assert "asset" == way_of(await call(router, http_scope(f"/{script}")))
    assert "django" == way_of(await call(router, http_scope(f"/{script}.map.not")))


@pytest.mark.parametrize(
    ("target", "way"),
    [
        ("/own/", "django"),
        ("/page", "django"),
        ("/open/media/a", "sidecar"),
        ("/favicon.png", "asset"),
        ("/_stcore/health", "sidecar"),
    ],
)
async def test_way__project_includes_our_urls(settings, target: str, way: str) -> None:
    """Our own catch-all in a project's URLconf takes nothing away from the fast ways."""
    settings.ROOT_URLCONF = WithDocument

    assert way == way_of(await call(make_router(), http_scope(target)))


async def test_way__no_app_at_the_root() -> None:
    """Without an app at the root, what is under no mount is Django's alone."""
    router = make_router((APPS[1],))

    assert "django" == way_of(await call(router, http_scope("/_stcore/health")))
    assert "django" == way_of(await call(router, http_scope("/favicon.png")))
    assert "sidecar" == way_of(await call(router, http_scope("/open/_stcore/health")))


@pytest.mark.parametrize("prefix", ["", "/base"], ids=["stripping", "keeping"])
@pytest.mark.parametrize(
    ("path", "way"), [("/page", "django"), ("/open/media/a", "sidecar"), ("/favicon.png", "asset")]
)
async def test_root_path__stripped_or_not(prefix: str, path: str, way: str) -> None:
    """Both kinds of proxy in front lead every request the same way."""
    response = await call(make_router(root_path="/base"), http_scope(prefix + path))

    assert way == way_of(response)
    if way == "django":
        assert (b"/base", b"/base/page") == (response.header("x-root"), response.body)


async def test_django__gets_no_forged_identity() -> None:
    """Names that only the gateway sets are gone, and there is one request id."""
    seen: list[tuple[bytes, bytes]] = []

    async def listening(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await django(scope, receive, send)

    router = HttpRouter(Runtime(Config(apps=APPS)), listening, make_router()._assets)
    forged = [(b"x-fluxlit-user-id", b"1"), (b"x_fluxlit_user_id", b"1"), (b"x-request-id", b"<>")]
    response = await call(router, http_scope("/page", headers=[*forged, (b"accept", b"*/*")]))

    assert [b"host", b"accept", b"x-request-id"] == [name for name, _ in seen]
    assert response.header("x-request-id") == dict(seen)[b"x-request-id"]


@pytest.mark.parametrize("verdict", [Verdict.SIGN_IN, Verdict.FORBID])
@pytest.mark.parametrize(
    "target",
    ["/media/x", "/_stcore/upload_file/a/b", "/component/a/b", "/app/static/x", "/_stcore/bidi-components/x"],
)
async def test_access__same_decision_everywhere(settings, verdict: Verdict, target: str) -> None:
    """Media, uploads, components and static files are behind the same door as the page."""
    settings.ROOT_URLCONF = WithDocument

    async def read(app: AppConfig, key: str) -> Decision:
        return Decision(verdict, None)

    bundle = assets.bundle_directory()
    runtime = Runtime(Config(apps=APPS), gatekeeper=Gatekeeper(read))
    router = HttpRouter(runtime, django, assets.Assets(bundle, bundle / "none"))

    method = "PUT" if "upload" in target else "GET"
    response = await call(router, http_scope(target, method=method))

    assert {Verdict.SIGN_IN: 401, Verdict.FORBID: 403}[verdict] == response.status
    assert "sidecar" == way_of(await call(router, http_scope("/_stcore/health")))


async def test_socket__other_paths_are_the_projects() -> None:
    """A WebSocket that is not Streamlit's goes to the project's own application."""
    seen = []

    async def fallback(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    router = WebSocketRouter(Runtime(Config(apps=APPS)), fallback)
    for target in ("/ws/chat", "/open/_stcore/other", "/page/_stcore/stream"):
        await call(router, http_scope(target) | {"type": "websocket"})

    assert ["/ws/chat", "/open/_stcore/other", "/page/_stcore/stream"] == seen

"""Which way a request goes: to a probe, to Django, to the frontend on disk, or to a sidecar."""

from __future__ import annotations

import dataclasses
import enum
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fluxlit_django.conf import AppConfig
from fluxlit_django.gateway import (
    headers,
    health,
    identity,
    limits,
    observation,
    origin,
    paths,
    responses,
    routes,
)
from fluxlit_django.gateway.access import Decision, Undecided, Verdict
from fluxlit_django.gateway.assets import Assets
from fluxlit_django.gateway.http import HttpHop
from fluxlit_django.gateway.identity import Viewer
from fluxlit_django.gateway.lingering import Lingering
from fluxlit_django.gateway.observation import Dispatch, Observation, Refusal
from fluxlit_django.gateway.routes import Audience, Route
from fluxlit_django.gateway.runtime import Runtime
from fluxlit_django.gateway.websocket import StreamlitConsumer
from fluxlit_django.trust import revocation

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

STREAM_PATH = "/_stcore/stream"
"""The path of Streamlit's WebSocket below an app's mount (Streamlit 1.67, `starlette_websocket.py`)."""

logger = logging.getLogger(__name__)


class Way(enum.Enum):
    """Where an HTTP request is answered."""

    DJANGO = "Django"
    ASSET = "the frontend on disk"
    SIDECAR = "a sidecar"
    NOWHERE = "nowhere"


class HttpRouter:
    """Sends each HTTP request its way.

    Args:
        runtime: what the worker's requests share.
        django: the project's Django application.
        assets: Streamlit's frontend.
    """

    def __init__(self, runtime: Runtime, django: ASGIApp, assets: Assets) -> None:
        self._runtime = runtime
        self._django = django
        self._assets = assets
        self._hop = HttpHop(runtime)
        self._readiness = health.Readiness(runtime)
        api = runtime.config.api_mount_path
        self._liveness_path = f"{api}/healthz"
        self._readiness_path = f"{api}/readyz"
        self._metrics_path = runtime.config.gateway_prometheus_metrics_path
        self._metrics = _exporter(runtime)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one HTTP request."""
        scope = self._runtime.edge.restore(scope)
        if limits.has_body(scope["headers"]):
            lingering = Lingering(scope, receive, send)
            receive, send = lingering.receive, lingering.send
        with observation.observing(scope, self._runtime.recorders) as seen:
            await self._answer(scope, *seen.wrap_http(receive, send), seen)

    async def _answer(self, scope: Any, receive: Any, send: Any, seen: Observation) -> None:
        if limits.is_header_too_large(scope["headers"]):
            seen.refuse(Refusal.HEADERS_TOO_LARGE)
            await responses.send_text(send, 431, "Request Header Fields Too Large.")
            return
        if len(scope["raw_path"]) + len(scope["query_string"]) > limits.MAX_TARGET_BYTES:
            seen.refuse(Refusal.URL_TOO_LONG)
            await responses.send_text(send, 414, "URI Too Long.")
            return
        path = paths.split_root(self._runtime.config.root_path, scope["path"])
        if scope["method"] in {"GET", "HEAD"}:
            if path == self._liveness_path:
                seen.dispatch = Dispatch.PROBE
                await health.send_liveness(send)
                return
            if path == self._readiness_path:
                seen.dispatch = Dispatch.PROBE
                await self._readiness.send(send)
                return
            if path == self._metrics_path:
                seen.dispatch = Dispatch.PROBE
                await self._metrics(scope, send, seen)
                return
        await self._send_on(scope, receive, send, path=path, seen=seen)

    async def _send_on(self, scope: Any, receive: Any, send: Any, *, path: str, seen: Observation) -> None:
        app = paths.find_app(self._runtime.config.apps, path)
        below = path[len(app.mount) :] if app is not None else path
        route = self._find_route(below)
        way = self._choose(app, path, below, is_route=route is not None)
        if way is Way.DJANGO:
            is_api = path.startswith(f"{self._runtime.config.api_mount_path}/")
            seen.dispatch = Dispatch.API if is_api else Dispatch.DJANGO
            await self._send_to_django(self._django_scope(scope, path, seen.request_id), receive, send)
        elif not origin.is_host_allowed(scope["headers"]):
            seen.refuse(Refusal.HOST)
            await responses.send_text(send, 400, "Bad Request: this host is not served here.")
        elif way is Way.ASSET:
            seen.dispatch, seen.app = Dispatch.STREAMLIT, app.name if app is not None else ""
            await self._assets(scope, receive, send, name=below[1:])
        elif app is None or route is None or way is Way.NOWHERE:
            await responses.send_text(send, 404, "Not Found.")
        else:
            seen.dispatch, seen.app = Dispatch.STREAMLIT, app.name
            await self._send_to_sidecar(scope, receive, send, app, seen=seen, route=route)

    def _choose(self, app: AppConfig | None, path: str, below: str, *, is_route: bool) -> Way:
        """The way of a request, by its path below the app's mount.

        `_stcore` at any depth is Streamlit's, never a page: its frontend finds its base by probing
        `/page/_stcore/health` and needs a 404 there. What the project's URLs know is Django's, the
        bundle's own files excepted, and a page's HTML is Django's too.
        """
        if app is None:
            return Way.DJANGO
        if "_stcore" in below.split("/"):
            return Way.SIDECAR if is_route else Way.NOWHERE
        if below.startswith("/static/") and below[1:] in self._assets:
            return Way.ASSET
        if paths.resolves_in_django(path):
            return Way.DJANGO
        if below[1:] in self._assets:
            return Way.ASSET
        return Way.SIDECAR if is_route else Way.DJANGO

    def _find_route(self, below: str) -> Route | None:
        """The route of a path below an app's mount, unless it is one for operators and nobody may use it."""
        route = routes.find(below)
        is_closed = route is not None and route.setting and not getattr(self._runtime.config, route.setting)
        return None if is_closed else route

    async def _send_to_django(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request to Django. It spools a body before any middleware sees it, so the cap is here."""
        send = _telling_of_session_end(scope, send)
        cap = self._runtime.config.max_request_body_bytes
        if not cap or not limits.has_body(scope["headers"]):
            await self._django(scope, receive, send)
            return
        length = limits.declared_length(scope["headers"])
        body = limits.CappedBody(receive, cap)
        if length is None or length <= cap:
            await self._django(scope, body.receive, send)
        if body.is_over or (length or 0) > cap:
            observation.of(scope).refuse(Refusal.BODY_TOO_LARGE)
            await responses.send_too_large(send, cap, "FLUXLIT_MAX_REQUEST_BODY_BYTES")

    def _django_scope(self, scope: Any, path: str, request_id: str) -> dict[str, Any]:
        """The scope Django gets: the public prefix in its place, no header that only the gateway may set."""
        root = self._runtime.config.root_path
        kept = [field for field in headers.without_reserved(scope["headers"]) if field[0] != b"x-request-id"]
        return {
            **scope,
            "root_path": root,
            "path": f"{root}{path}",
            "headers": [*kept, (b"x-request-id", request_id.encode())],
        }

    async def _send_to_sidecar(
        self, scope: Any, receive: Any, send: Any, app: AppConfig, *, seen: Observation, route: Route
    ) -> None:
        if scope["method"] not in route.methods:
            allowed = ((b"allow", ", ".join(sorted(route.methods)).encode()),)
            await responses.send_text(send, 405, "Method Not Allowed.", headers=allowed)
            return
        try:
            decision = await self._decide(app, route, scope["headers"])
        except Undecided as exc:
            logger.warning("%s. request_id=%s", exc, seen.request_id)
            seen.refuse(Refusal.UNDECIDED)
            await responses.send_text(send, 503, responses.UNDECIDED_TEXT, headers=((b"retry-after", b"2"),))
            return
        if decision.viewer is not None:
            seen.viewer = decision.viewer.id
        is_open = route.audience is Audience.EVERYBODY
        if decision.verdict is Verdict.SIGN_IN and not is_open:
            seen.refuse(Refusal.SIGN_IN)
            await responses.send_text(send, 401, "Unauthorized: sign in first.")
            return
        if decision.verdict is Verdict.FORBID and not is_open:
            seen.refuse(Refusal.FORBIDDEN)
            await responses.send_text(send, 403, "Forbidden: you may not use this app.")
            return
        # What an exchange waits for may be its own browser, so that without shares one of those could keep
        # all others out.
        with self._runtime.exchanges.place(_whose(scope, decision.viewer)) as has_place:
            if not has_place:
                seen.refuse(Refusal.TOO_MANY_REQUESTS)
                text = "Service Unavailable: too many requests at a time."
                await responses.send_text(send, 503, text, headers=((b"retry-after", b"2"),))
                return
            await self._hop(
                scope,
                receive,
                send,
                app=app,
                path=paths.upstream_path(self._runtime.config.root_path, scope["raw_path"]),
                viewer=decision.viewer,
                request_id=seen.request_id,
                max_body=route.max_body,
            )

    async def _decide(self, app: AppConfig, route: Route, fields: headers.Headers) -> Decision:
        """Whether the viewer may use a route of the app."""
        if route.audience is not Audience.OPERATORS:
            decision = await self._runtime.gatekeeper.decide(app, fields)
            if not route.setting or not decision.allowed:
                return decision
        rule = getattr(self._runtime.config, route.setting)
        return await self._runtime.gatekeeper.decide(dataclasses.replace(app, access=rule), fields)


def _whose(scope: Any, viewer: Viewer | None) -> str:
    """For whom a request is: a viewer, or an address."""
    if viewer is not None:
        return f"viewer {viewer.id}"
    return str(scope["client"][0]) if scope.get("client") else ""


def _telling_of_session_end(scope: Any, send: Any) -> Any:
    """`send`, which tells a session's sockets when a response takes the session from its browser.

    Where sessions are in no table, no signal tells that the project has flushed one.
    """
    key = identity.session_key(scope["headers"])
    if not key:
        return send

    async def tell_and_send(message: Any) -> None:
        if message["type"] == "http.response.start":
            given = identity.new_session_key(message["headers"])
            if given not in {None, key}:
                kind = revocation.RECHECK if given else revocation.SIGNED_OUT
                revocation.tell(revocation.session_group(key), kind)
        await send(message)

    return tell_and_send


def _exporter(runtime: Runtime) -> Callable[[Any, Any, Observation], Awaitable[None]]:
    """What answers a scrape."""
    if not runtime.config.enable_gateway_prometheus_metrics:
        return _send_no_metrics
    from fluxlit_django.gateway.metrics import Exporter

    return Exporter(runtime.config, runtime.directory)


async def _send_no_metrics(scope: Any, send: Any, seen: Observation) -> None:
    await responses.send_text(send, 404, "Not Found.")


class WebSocketRouter:
    """Sends each WebSocket to a Streamlit app, or to the project's own consumers.

    Args:
        runtime: what the worker's requests share.
        fallback: the project's own WebSocket application, for paths that are not Streamlit's.
    """

    def __init__(self, runtime: Runtime, fallback: ASGIApp | None = None) -> None:
        self._runtime = runtime
        self._fallback = fallback

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one WebSocket."""
        scope = self._runtime.edge.restore(scope)
        with observation.observing(scope, self._runtime.recorders) as seen:
            await self._serve(scope, *seen.wrap_socket(receive, send), seen)

    async def _serve(self, scope: Any, receive: Any, send: Any, seen: Observation) -> None:
        path = paths.split_root(self._runtime.config.root_path, scope["path"])
        app = paths.find_app(self._runtime.config.apps, path)
        if app is not None and path == f"{app.mount}{STREAM_PATH}":
            seen.dispatch, seen.app = Dispatch.STREAMLIT, app.name
            consumer = StreamlitConsumer(
                runtime=self._runtime,
                app=app,
                path=paths.upstream_path(self._runtime.config.root_path, scope["raw_path"]),
                request_id=seen.request_id,
            )
            await consumer(scope, receive, send)
        elif self._fallback is not None:
            seen.dispatch = Dispatch.DJANGO
            own = {**scope, "headers": headers.without_reserved(scope["headers"])}
            await self._fallback(own, receive, send)
        else:
            await receive()
            await responses.deny_socket(send, scope, 404, "Not Found.")

"""The HTTP hop: one request to a sidecar and its answer back, both streamed."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import aiohttp
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope

from fluxlit_django.conf import AppConfig
from fluxlit_django.control import SidecarStatus
from fluxlit_django.exceptions import UpstreamError
from fluxlit_django.gateway import affinity, edge, headers, limits, observation, responses, upstream
from fluxlit_django.gateway.identity import Viewer
from fluxlit_django.gateway.observation import Refusal
from fluxlit_django.gateway.runtime import Runtime

logger = logging.getLogger(__name__)

_CAP_SETTING = "FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES"
_SESSION_FILE = re.compile(rb"/(?:media|_stcore/upload_file/([^/]+))/[^/]+$")
_MOST_ASKED = 8  # sidecars, for one file of a session
_SMALL = 1 << 16  # bytes; a response of known length up to this is sent in one piece


class HttpHop:
    """Carries requests to sidecars."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def __call__(
        self,
        scope: HTTPScope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        *,
        app: AppConfig,
        path: bytes,
        viewer: Viewer | None,
        request_id: str,
        max_body: int | None = None,
    ) -> None:
        """Answer one request from a sidecar of the app.

        Args:
            path: the raw path that the sidecar is asked for.
            viewer: who asks, or None for an anonymous request.
            request_id: the id under which both sides log the request.
            max_body: most bytes of the body; None for what the setting allows.
        """
        cap, source = max_body, "here"
        if cap is None:
            cap, source = self._runtime.config.gateway_max_proxy_request_body_bytes, _CAP_SETTING
        length = limits.declared_length(scope["headers"])
        seen = observation.of(scope)
        if cap and length is not None and length > cap:
            seen.refuse(Refusal.BODY_TOO_LARGE)
            await responses.send_too_large(send, cap, source)
            return
        exchange = _Exchange(self._runtime, scope, receive, send, request_id, cap)
        # Once the status is out, breaking the connection off is the only way left to say it failed: the
        # server does so on what is raised here.
        try:
            with self._runtime.transfer():
                await exchange.run(app, path, viewer)
        except limits.ClientGone:
            logger.debug("client gone request_id=%s", request_id)
        except limits.BodyTooLarge:
            seen.refuse(Refusal.BODY_TOO_LARGE)
            if exchange.has_started:
                raise
            await responses.send_too_large(send, cap, source)
        except UpstreamError as exc:
            seen.fail_upstream(exc)
            logger.warning("%s app=%s request_id=%s", exc, app.name, request_id)
            if exchange.has_started:
                raise
            await send_unavailable(send, exc.status, request_id)


async def send_unavailable(send: ASGISendCallable, status: int, request_id: str) -> None:
    """Answer 502, 503 or 504 without a word about the inside."""
    reason = {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}[status]
    text = f"{reason}: the Streamlit app did not answer. Request {request_id}."
    await responses.send_text(send, status, text, headers=((b"retry-after", b"2"),))


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        runtime: Runtime,
        scope: HTTPScope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        request_id: str,
        cap: int,
    ) -> None:
        self._runtime = runtime
        self._scope = scope
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._body = limits.Body(receive, cap)
        self.has_started = False

    async def run(self, app: AppConfig, path: bytes, viewer: Viewer | None) -> None:
        """Ask the sidecar that the browser belongs to; for a session's files, then the others."""
        session_file = _SESSION_FILE.search(path)
        session_id = (session_file[1] or b"").decode("latin-1") if session_file else ""
        observation.of(self._scope).session = session_id
        wanted, home = affinity.of_request(self._scope), self._runtime.homes.find(session_id)
        candidates = self._runtime.directory.candidates(app, wanted, home)
        *first, last = candidates[:_MOST_ASKED] if session_file else candidates[:1]
        for sidecar in first:
            if await self._ask(sidecar, path, viewer, has_others=True):
                return
            self._runtime.asked_elsewhere += 1
        await self._ask(last, path, viewer)

    async def _ask(
        self, sidecar: SidecarStatus, path: bytes, viewer: Viewer | None, *, has_others: bool = False
    ) -> bool:
        """Relay a sidecar's answer: False when it does not know the session and others may be asked."""
        scope = self._scope
        observation.of(scope).sidecar = sidecar.name
        client = self._runtime.clients.of(sidecar.address)
        with_body = limits.has_body(scope["headers"])
        try:
            with upstream.translated_errors():
                async with client.request(
                    scope["method"],
                    upstream.url(sidecar.address, path, scope["query_string"]),
                    headers=request_headers(self._runtime, scope, viewer, self._request_id),
                    data=self._body if with_body else None,
                    allow_redirects=False,
                    # Streamlit 1.67 looks for the session before it takes the body in (`_upload_put`), so
                    # that the body can still go elsewhere.
                    expect100=with_body and has_others,
                ) as response:
                    if has_others and not self._body.is_begun and self._is_elsewhere(response.status):
                        response.close()
                        return False
                    await self._relay(response, watch=self._body.is_complete or not with_body)
                    return True
        except UpstreamError as exc:
            if has_others and not self._body.is_begun and not self.has_started:
                logger.info("%s request_id=%s", exc, self._request_id)
                return False
            # What the sidecar's client reports may only be the echo of what went wrong with the browser.
            if self._body.failure is not None:
                raise self._body.failure from None
            raise

    def _is_elsewhere(self, status: int) -> bool:
        """Whether the session may be another sidecar's. Deleting an unknown upload is no error there."""
        return status in {400, 404} or self._scope["method"] == "DELETE"

    async def _relay(self, response: aiohttp.ClientResponse, *, watch: bool) -> None:
        start = {
            "type": "http.response.start",
            "status": response.status,
            "headers": headers.from_sidecar(response.raw_headers),
            "trailers": False,
        }
        if response.content_length is not None and response.content_length <= _SMALL:
            body = await response.read()
            self._end_upload(response)
            await self._begin(start)
            await self._send({"type": "http.response.body", "body": body, "more_body": False})
            return
        await self._begin(start)
        # ASGI servers drop what is sent to a browser that left, so an endless answer would be read for ever.
        gone = asyncio.create_task(self._until_gone()) if watch else None
        if gone is not None:
            gone.add_done_callback(lambda _: response.close())
        try:
            async for chunk in response.content.iter_any():
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        except aiohttp.ClientError:
            if gone is not None and gone.done():
                raise limits.ClientGone from None
            raise
        finally:
            if gone is not None:
                gone.cancel()
        self._end_upload(response)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _end_upload(self, response: aiohttp.ClientResponse) -> None:
        """Pass nothing more of an upload on to a sidecar that has answered before its end."""
        if self._body.is_begun and not self._body.is_complete:
            response.close()

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            """A request without a body still has one empty message to receive."""

    async def _begin(self, start: Any) -> None:
        self.has_started = True
        await self._send(start)


def request_headers(
    runtime: Runtime, scope: Any, viewer: Viewer | None, request_id: str
) -> list[tuple[str, str]]:
    """All headers of a request to a sidecar, for both hops: what passes, and what only the gateway sets."""
    host = headers.get(scope["headers"], b"host") or b"localhost"
    scheme = "https" if scope.get("scheme") in {"https", "wss"} else "http"
    return [
        ("host", headers.as_text(host)),
        *headers.to_sidecar(scope["headers"], runtime.header_names, runtime.cookie_names),
        ("x-forwarded-for", edge.forwarded_for(scope)),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-host", headers.as_text(host)),
        ("x-request-id", request_id),
        *(viewer.headers() if viewer is not None else ()),
    ]

"""Django middleware: pages that call the API as their viewer, and the cap on request bodies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from fluxlit_django.conf import get_config
from fluxlit_django.trust import viewer_token
from fluxlit_django.trust.viewer_token import TokenError

GetResponse = Callable[[HttpRequest], Any]


class _Middleware:
    """Two doors, one room: a request is refused by `refuse`, or goes on."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._acall(request)
        return self.refuse(request) or cast(HttpResponseBase, self._get_response(request))

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        refusal = await sync_to_async(self.refuse)(request) if self.concerns(request) else None
        return refusal or await self._get_response(request)

    def concerns(self, request: HttpRequest) -> bool:
        """Whether `refuse` has anything to do for this request; saves others a thread under ASGI."""
        raise NotImplementedError

    def refuse(self, request: HttpRequest) -> HttpResponse | None:
        """The answer to a request that is refused, or None to go on."""
        raise NotImplementedError


class ViewerTokenMiddleware(_Middleware):
    """Makes `request.user` the viewer whose page sent the request. Put it below AuthenticationMiddleware.

    A request that carries a token is exempt from the CSRF check, since no other site can make a browser
    send this header.
    """

    def concerns(self, request: HttpRequest) -> bool:
        """Whether the request carries a token."""
        return _scheme(request) == viewer_token.SCHEME.lower()

    def refuse(self, request: HttpRequest) -> HttpResponse | None:
        """Sign the request's user in for this request alone, or refuse a token that counts no more."""
        if not self.concerns(request):
            return None
        token = request.headers["Authorization"].partition(" ")[2].strip()
        try:
            claim = viewer_token.read(token, max_age=timedelta(seconds=get_config().viewer_token_ttl_s))
            user = viewer_token.require_session(claim)
        except TokenError as exc:
            return JsonResponse(
                {"detail": str(exc)}, status=401, headers={"WWW-Authenticate": viewer_token.SCHEME}
            )
        _set_user(request, user)
        return None


class UploadCapMiddleware(_Middleware):
    """Refuses request bodies over `FLUXLIT_MAX_REQUEST_BODY_BYTES` that say so in `Content-Length`.

    Under `fluxlit_django.asgi` the gateway has refused them, and counted those of unknown length, before
    Django sees them; this middleware does it for the test client and under WSGI.
    """

    def concerns(self, request: HttpRequest) -> bool:
        """Whether the request says that its body is over the cap."""
        cap = get_config().max_request_body_bytes
        return bool(cap) and _content_length(request) > cap

    def refuse(self, request: HttpRequest) -> HttpResponse | None:
        """The 413 for a body over the cap, before anything of it is read."""
        if not self.concerns(request):
            return None
        cap = get_config().max_request_body_bytes
        text = f"Payload Too Large: the limit is {cap} bytes (FLUXLIT_MAX_REQUEST_BODY_BYTES).\n"
        return HttpResponse(text, status=413, content_type="text/plain; charset=utf-8")


def _scheme(request: HttpRequest) -> str:
    return request.headers.get("Authorization", "").partition(" ")[0].lower()


def _content_length(request: HttpRequest) -> int:
    value = request.META.get("CONTENT_LENGTH") or ""
    return int(value) if value.isdigit() else 0


def _set_user(request: HttpRequest, user: Any) -> None:
    async def auser() -> Any:
        return user

    request.user = user
    request.auser = auser
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]

"""The Streamlit apps' HTML, served by Django: its middleware, login and headers apply."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.utils.encoding import escape_uri_path
from django.views.decorators.http import require_safe

from fluxlit_django.conf import AppConfig, get_config
from fluxlit_django.gateway import access, affinity, assets
from fluxlit_django.gateway.access import Verdict
from fluxlit_django.gateway.routing import find_app


@login_not_required  # the app's own access rule decides
@require_safe
def document(request: HttpRequest, path: str) -> HttpResponse:
    """Streamlit's `index.html`, for every page of an app that the viewer may open.

    The rules for slashes are Streamlit 1.67's (`starlette_static_routes.py`). All links in the document are
    relative, so a mount's own URL ends in a slash and no other does.

    Raises:
        Http404: the path is under no app's mount, or it is the API's.
        PermissionDenied: the viewer is signed in and may not.
    """
    config = get_config()
    full_path = f"/{path}"
    app = find_app(config.apps, full_path)
    if app is None or full_path.startswith(f"{config.api_mount_path}/"):
        raise Http404
    if path.startswith("/"):
        return HttpResponseBadRequest("Bad Request: a path cannot start with two slashes.")
    proper = _proper_path(app, full_path)
    if proper != full_path:
        return _redirect(request, f"{config.root_path}{proper}")
    decision = access.decide(app, getattr(request, "user", None))
    if decision.verdict is Verdict.SIGN_IN:
        return redirect_to_login(request.get_full_path())
    if decision.verdict is Verdict.FORBID:
        raise PermissionDenied
    return _with_affinity(request, HttpResponse(assets.document(), headers={"Cache-Control": "no-cache"}))


def _proper_path(app: AppConfig, path: str) -> str:
    if path in {app.mount, app.url_path}:
        return app.url_path
    return path.rstrip("/")


def _redirect(request: HttpRequest, path: str) -> HttpResponse:
    query = request.META.get("QUERY_STRING", "")
    return HttpResponseRedirect(escape_uri_path(path) + (f"?{query}" if query else ""))


def _with_affinity(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Give the browser a token that keeps it with one sidecar, unless it has one."""
    cookie = request.COOKIES.get(affinity.COOKIE_NAME, "")
    if not cookie or not affinity.is_genuine(cookie):
        response.set_cookie(
            affinity.COOKIE_NAME,
            affinity.new_cookie(),
            secure=request.is_secure(),
            httponly=True,
            samesite="Lax",
        )
    return response

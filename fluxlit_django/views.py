"""The Streamlit apps' HTML, served by Django: its middleware, login and headers apply."""

from __future__ import annotations

import html
import logging
from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.contrib.messages import get_messages
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.template import Engine, TemplateDoesNotExist
from django.template.loader import render_to_string
from django.utils.encoding import escape_uri_path
from django.utils.html import strip_tags
from django.views.decorators.http import require_safe

from fluxlit_django.conf import AppConfig, get_config
from fluxlit_django.gateway import access, affinity, assets, observation
from fluxlit_django.gateway.access import Verdict
from fluxlit_django.gateway.affinity import Affinity
from fluxlit_django.gateway.paths import find_app
from fluxlit_django.gateway.responses import UNDECIDED_TEXT
from fluxlit_django.gateway.runtime import get_runtime
from fluxlit_django.trust import sessions

logger = logging.getLogger(__name__)

_TEMPLATES = Path(__file__).with_name("templates")
_RETRY_AFTER_S = 10


@login_not_required  # the app's own access rule decides
@require_safe
def document(request: HttpRequest, path: str) -> HttpResponse:
    """Streamlit's `index.html`, for every page of an app that the viewer may open.

    The rules for slashes are Streamlit 1.67's (`starlette_static_routes.py`). All links in the document are
    relative, so a mount's own URL ends in a slash and no other does.

    Raises:
        Http404: the path is under no app's mount, is the API's, or is longer than a page's one segment.
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
    if "/" in proper.removeprefix(app.url_path):
        # Relative links lead nowhere from there, so that Streamlit's document would stay a blank page.
        raise Http404
    if proper != full_path:
        return _redirect(request, f"{config.root_path}{proper}")
    if isinstance(request, ASGIRequest):
        observation.of(request.scope).app = app.name
    try:
        decision = access.decide(app, getattr(request, "user", None))
    except access.Undecided as exc:
        logger.warning("%s.", exc)
        headers = {"Retry-After": str(_RETRY_AFTER_S), "Cache-Control": "no-store"}
        return HttpResponse(UNDECIDED_TEXT, status=503, content_type="text/plain", headers=headers)
    if decision.verdict is Verdict.SIGN_IN:
        return redirect_to_login(request.get_full_path())
    if decision.verdict is Verdict.FORBID:
        raise PermissionDenied
    if get_runtime().directory.is_full(app, config.streamlit_max_sessions):
        return _busy()
    _keep_messages(request)
    response = HttpResponse(assets.document(), headers={"Cache-Control": "no-cache"})
    return _with_affinity(request, _framed(app, response))


def _busy() -> HttpResponse:
    """The page that says so and asks again by itself; a project's own `fluxlit/busy.html` comes first."""
    context = {"title": get_config().title, "retry_after": _RETRY_AFTER_S}
    try:
        page = render_to_string("fluxlit/busy.html", context)
    except TemplateDoesNotExist:  # the project's TEMPLATES don't look into apps
        page = Engine(dirs=[str(_TEMPLATES)]).render_to_string("fluxlit/busy.html", context)
    headers = {"Retry-After": str(_RETRY_AFTER_S), "Cache-Control": "no-store"}
    return HttpResponse(page, status=503, headers=headers)


def _keep_messages(request: HttpRequest) -> None:
    """Hand what `django.contrib.messages` has for the viewer on to the page, which shows it as toasts."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated or not request.session.session_key:
        return
    waiting = [(message.level_tag, _plain(message.message)) for message in get_messages(request)]
    if waiting:
        sessions.keep_messages(request.session, waiting)


def _plain(text: Any) -> str:
    """A message as plain text; one that is HTML, such as the admin's, without its tags."""
    return html.unescape(strip_tags(str(text))) if hasattr(text, "__html__") else str(text)


def _framed(app: AppConfig, response: HttpResponse) -> HttpResponse:
    """Say who may show the document in a frame; nothing where the project's own rule is to count."""
    if app.frame_ancestors == ("self",):
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
    elif app.frame_ancestors == ("none",):
        response.headers["X-Frame-Options"] = "DENY"
    elif app.frame_ancestors:
        words = ["'self'" if word == "self" else word for word in app.frame_ancestors]
        response.headers["Content-Security-Policy"] = f"frame-ancestors {' '.join(words)}"
        response.xframe_options_exempt = True
    return response


def _proper_path(app: AppConfig, path: str) -> str:
    if path in {app.mount, app.url_path}:
        return app.url_path
    return path.rstrip("/")


def _redirect(request: HttpRequest, path: str) -> HttpResponse:
    query = request.META.get("QUERY_STRING", "")
    return HttpResponseRedirect(escape_uri_path(path) + (f"?{query}" if query else ""))


def _with_affinity(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Give the browser a key that keeps it with one sidecar, and the generation that its page belongs to."""
    generation = get_runtime().directory.newest_generation()
    known = affinity.parse_cookie_value(request.COOKIES.get(affinity.COOKIE_NAME, ""))
    if known is None or known.generation != generation:
        key = affinity.new_key() if known is None else known.key
        response.set_cookie(
            affinity.COOKIE_NAME,
            affinity.make_cookie(Affinity(key, generation)),
            secure=request.is_secure(),
            httponly=True,
            samesite="Lax",
        )
    return response

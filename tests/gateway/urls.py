"""The small site's own URLs."""

import gc
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path


def echo(request: HttpRequest) -> JsonResponse:
    """What Django makes of a request."""
    headers: dict[str, Any] = dict(request.headers)
    return JsonResponse(
        {"path": request.path, "uri": request.build_absolute_uri(), "headers": headers, "text": request.GET}
    )


def garbage(request: HttpRequest) -> JsonResponse:
    """Whether garbage is collected, and how many objects are never looked at."""
    return JsonResponse({"is_collected": gc.isenabled(), "set_aside": gc.get_freeze_count()})


def static_file(request: HttpRequest, name: str) -> HttpResponse:
    """Stands for a project's own static files."""
    return HttpResponse(f"the project's {name}")


urlpatterns = [
    path("api/echo/", echo),
    path("api/garbage/", garbage),
    path("static/<path:name>", static_file),
]

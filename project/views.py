"""Sign-in and sign-out, and the errors of the whole site: JSON for the API, a page for people."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import get_script_prefix
from django.views import defaults

API_PREFIX = "/api/"


class SignInView(LoginView):
    """Leads to the start page, under whatever prefix the site has."""

    def get_default_redirect_url(self) -> str:
        """Where to go without `next`."""
        return get_script_prefix()


class SignOutView(LogoutView):
    """Asks before it signs out, so that a page can link here."""

    http_method_names = ("get", "post", "options")

    def get(self, request: HttpRequest) -> HttpResponse:
        """The question, with a button that posts."""
        return render(request, "registration/logout.html")


@login_required
def report(request: HttpRequest) -> HttpResponse:
    """A page of Django's with two Streamlit pages in it."""
    return render(request, "report.html")


def error_response(status: int, code: str, message: str, **details: str) -> JsonResponse:
    """The one shape of an API error."""
    return JsonResponse({"error": {"code": code, "message": message, **details}}, status=status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a request without a valid CSRF token."""
    if request.path_info.startswith(API_PREFIX):
        return error_response(403, "csrf_failed", "Send the CSRF token in the header X-CSRFToken.")
    message = "The form was open for too long, or cookies are off. Go back, reload the page and try again."
    return defaults.permission_denied(request, PermissionError(message))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 for a request that Django refuses to read."""
    if request.path_info.startswith(API_PREFIX):
        return error_response(400, "bad_request", "The request cannot be read.")
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403 for somebody who may not."""
    if request.path_info.startswith(API_PREFIX):
        return error_response(403, "permission_denied", str(exception) or "This account may not do that.")
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 for an address that does not exist."""
    if request.path_info.startswith(API_PREFIX):
        return error_response(404, "not_found", f"There is nothing at {request.path_info}.")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; the traceback is in the log."""
    if request.path_info.startswith(API_PREFIX):
        return error_response(500, "server_error", "Something went wrong here. The log has the details.")
    return defaults.server_error(request)

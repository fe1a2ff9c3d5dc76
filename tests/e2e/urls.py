"""The demo's URLs, and a view that does what a form does: leave a message, and go on to a page."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.html import format_html

from project.urls import urlpatterns


def save(request: HttpRequest) -> HttpResponse:
    messages.success(request, "The order is saved.")
    messages.error(request, "The invoice is <b>not</b> sent: 2 * 3 * $4 = [6](a_b_c).")
    messages.warning(request, format_html("Look at <a href='/'>{}</a>.", "A & B"))
    return redirect("/viewer")


urlpatterns = [path("save/", save), *urlpatterns]

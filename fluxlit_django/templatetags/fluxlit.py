"""A Streamlit page inside a template: `{% load fluxlit %}{% streamlit "shop" page="/orders" %}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

from fluxlit_django import conf, embedding
from fluxlit_django.public_urls import login_url

register = template.Library()


@register.inclusion_tag("fluxlit/embed.html", takes_context=True)
def streamlit(
    context: template.Context,
    app: str = conf.DEFAULT_APP,
    page: str = "/",
    *,
    height: int = 600,
    query: str | Mapping[str, Any] = "",
    title: str = "",
    lazy: bool = True,
    auto_height: bool = True,
) -> dict[str, Any]:
    """Show a page of a Streamlit app, for whoever may open it, and a message for others.

    Args:
        app: name of the app; the default one when left out.
        page: path of the page below the app's mount.
        height: of the frame in pixels, until its content says otherwise.
        query: query parameters for the page.
        title: what the frame is called for those who do not see it.
        lazy: load the page when it is about to come into view.
        auto_height: let the frame be as high as its content, which then has no scroll bar of its own.

    Raises:
        ConfigError: there is no such app or page.
    """
    request = context.get("request")
    user = getattr(request, "user", None) if request is not None else context.get("user")
    shown = embedding.embed(app, page, user, query=query, title=title)
    return {
        "shown": shown,
        "height": int(height),
        "lazy": lazy,
        "auto_height": auto_height,
        "login_url": login_url(request.get_full_path()) if shown.is_anonymous and request else "",
    }

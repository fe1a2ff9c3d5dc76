"""What pages can ask for: one list, for filling parameters and for checking signatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fluxlit_django.client import ApiClient, AsyncApiClient
from fluxlit_django.conf import Config
from fluxlit_django.pages.context import PageContext
from fluxlit_django.pages.di import Provider
from fluxlit_django.public_urls import FluxLitPublicUrls
from fluxlit_django.url_session import SessionStore

API_CLIENTS = (ApiClient, AsyncApiClient)


def providers(
    given: Mapping[str, Callable[[], Any]],
    app_class: type,
    *,
    is_anonymous: Callable[[], bool] = lambda: False,
) -> tuple[Provider, ...]:
    """The providers of what is given by name; only `session_store` may be left out.

    Args:
        given: for each name what makes it: st, client, async_client, user, app, config, urls, context,
            session_store.
        app_class: the annotation that asks for the app.
        is_anonymous: whether a `user` that may be None is None.
    """
    from django.contrib.auth.base_user import AbstractBaseUser  # a model: not before Django is set up

    found = [
        Provider(given["st"], name="st"),
        Provider(given["client"], name="client", type=ApiClient),
        Provider(given["async_client"], type=AsyncApiClient, is_opened=True),
        Provider(given["user"], name="user", type=AbstractBaseUser, is_absent=is_anonymous),
        Provider(given["context"], name="context", type=PageContext),
        Provider(given["context"], name="request"),
        Provider(given["app"], type=app_class),
        Provider(given["config"], type=Config),
        Provider(given["urls"], type=FluxLitPublicUrls),
    ]
    if "session_store" in given:
        found.append(Provider(given["session_store"], type=SessionStore))
    return tuple(found)


def offered(app_class: type, *, has_store: bool) -> tuple[Provider, ...]:
    """The same list with nothing behind it."""
    names = ["st", "client", "async_client", "user", "app", "config", "urls", "context"]
    given = dict.fromkeys([*names, "session_store"] if has_store else names, lambda: None)
    return providers(given, app_class)

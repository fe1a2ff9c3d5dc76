"""URLs that answer what the project's own URLconf does not know.

`fluxlit_django.asgi` asks them last, so including them is not needed; a project may, as its last
pattern, to have them under the test client as well.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, path, re_path

from fluxlit_django import views
from fluxlit_django.conf import get_config
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.pages import discovery
from fluxlit_django.pages.registry import FluxLit, site

logger = logging.getLogger(__name__)


def api_patterns() -> Iterator[URLResolver]:
    """The APIs that FluxLit apps have of their own, below the API's path; of several the first answers.

    An app that `FLUXLIT_APP` names is imported for that; of `site` those endpoints are here that are defined
    in modules which Django has imported anyway, since a pages module is for the sidecars.

    Raises:
        ConfigError: `FLUXLIT_APP` names no app.
    """
    apps = list(_apps())
    if find_spec("ninja") is None:
        return
    prefix = get_config().api_mount_path.strip("/")
    for app in apps:
        if app.has_api:
            yield path(f"{prefix}/", app.api_urls)


def _apps() -> Iterator[FluxLit]:
    for target in dict.fromkeys(app.target for app in get_config().apps if app.target):
        try:
            yield discovery.load_app(target)
        except ConfigError:
            raise  # there is no such app: nothing would be served
        except Exception:
            # A broken module must not take the whole site down; its sidecar shows the error.
            logger.exception("%s cannot be imported, so its API is not served.", target)
    yield site


app_name = "fluxlit"
urlpatterns: list[URLPattern | URLResolver] = [
    *api_patterns(),
    re_path(r"^(?P<path>.*)$", views.document, name="document"),
]

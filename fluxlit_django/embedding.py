"""Streamlit pages inside other pages of the project: who sees them, and under which address."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from django.http import QueryDict

from fluxlit_django import conf
from fluxlit_django.conf import AppConfig
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.gateway import access as app_access
from fluxlit_django.pages import access as page_access
from fluxlit_django.pages import discovery
from fluxlit_django.pages.page import PageRecord, page_slug
from fluxlit_django.trust import users

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Embedded:
    """What is shown in the place of a page."""

    url: str
    title: str
    verdict: page_access.Verdict

    @property
    def is_allowed(self) -> bool:
        """Whether the viewer sees the page rather than a message."""
        return self.verdict is page_access.Verdict.ALLOW

    @property
    def is_anonymous(self) -> bool:
        """Whether signing in might help."""
        return self.verdict is page_access.Verdict.SIGN_IN


def embed(
    app_name: str, page: str, user: Any, *, query: str | Mapping[str, Any] = "", title: str = ""
) -> Embedded:
    """A page of an app, as this user may see it. May read the database.

    Args:
        app_name: name of the app, as in the settings; `default` for the flat ones.
        page: path of the page below the app's mount.
        user: the request's user, or None for nobody.
        query: query parameters, as text or by name.
        title: what the frame is called for those who do not see it; the page's own title by default.

    Raises:
        ConfigError: there is no such app or page, or it refuses to be shown in a frame.
    """
    app = conf.get_config().get_app(app_name)
    if app.frame_ancestors == ("none",):
        msg = f"The app {app.name!r} is shown in no frame: its FRAME_ANCESTORS is none. Use self."
        raise ConfigError(msg)
    record = _find_record(app, page)
    verdict = page_access.Verdict(app_access.decide(app, user).verdict.value)
    if verdict is page_access.Verdict.ALLOW and record is not None and record.rules:
        verdict = page_access.decide(record.rules, user if user is not None else users.nobody())
    shown_title = title or (record.title if record else f"{app.name} {page}".strip())
    return Embedded(_url(app, page, query), shown_title, verdict)


def _find_record(app: AppConfig, page: str) -> PageRecord | None:
    """The page's record; None for an app that is a script, or that this process cannot import."""
    if app.script or app.upstream:
        return None
    try:
        records = discovery.load_app(app.target).page_records
    except Exception:
        # The frame will show what is wrong; the page around it must not fail with it.
        logger.exception("The pages of the app %r cannot be imported.", app.name)
        return None
    slug = page_slug(page)
    found = next((record for record in records if record.slug == slug), None)
    if found is None and slug != page_slug("/"):
        paths = ", ".join(record.path for record in records) or "none"
        msg = f"The app {app.name!r} has no page {page!r}. It has {paths}."
        raise ConfigError(msg)
    return found


def _url(app: AppConfig, page: str, query: str | Mapping[str, Any]) -> str:
    given = QueryDict(query.lstrip("?")).lists() if isinstance(query, str) else query.items()
    pairs = [*given, ("embed", "true")]
    path = f"{conf.get_config().root_path}{app.url_path}{quote(page.strip('/'))}"
    return f"{path}?{urlencode(pairs, doseq=True)}"

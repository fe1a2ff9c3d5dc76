"""What is known of the viewer's request during a run, as much like a Django request as it can be."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin

from django.core.exceptions import DisallowedHost
from django.http import QueryDict
from django.utils.datastructures import CaseInsensitiveMapping
from django.utils.functional import SimpleLazyObject

from fluxlit_django.conf import get_config
from fluxlit_django.trust import hosts, users, viewer_token
from fluxlit_django.trust.viewer_token import Claim, TokenError

_USER_HEADER = "x-fluxlit-user-id"
_FORWARD_AUTH = {
    "x-fluxlit-user-username": ("x-remote-user", "remote-user"),
    "x-fluxlit-user-email": ("x-remote-email", "remote-email"),
    "x-fluxlit-user-name": ("x-remote-name", "remote-name"),
    "x-fluxlit-user-groups": ("x-remote-groups", "remote-groups"),
}
"""What the gateway says of a viewer, under the names that forward-auth proxies use for it."""

IDENTITY_NAMES = frozenset(name for names in _FORWARD_AUTH.values() for name in names)
"""Headers that say who the viewer is. They are never what a client sent under these names."""


@dataclass(frozen=True)
class PageContext:
    """The request behind a run: its headers, cookies, query and viewer.

    Args:
        path: the page's path below the app's mount.
        raw_headers: the headers of the handshake, which the gateway has filtered and added to.
        user_id: the primary key of the viewer, as the gateway has verified it; "" for nobody.
        known_user: the viewer, where that is known already.
    """

    path: str = "/"
    raw_headers: Mapping[str, str] = field(default_factory=dict)
    raw_cookies: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    user_id: str = ""
    known_user: Any = None
    time_zone: str | None = None
    """The browser's IANA time zone, such as Europe/Vienna."""

    def at(self, path: str) -> PageContext:
        """The same for the page at this path, whose `user` is then read no second time."""
        return replace(self, path=path, known_user=self.user)

    @functools.cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers, looked up in any case: what the client sent, without what is for this process only."""
        hidden = IDENTITY_NAMES | {viewer_token.HANDSHAKE_HEADER.lower()}
        kept = {name: value for name, value in self.raw_headers.items() if name.lower() not in hidden}
        return CaseInsensitiveMapping(kept | self.identity)

    @functools.cached_property
    def identity(self) -> dict[str, str]:
        """The viewer as the gateway has verified it, under the names that forward-auth proxies use."""
        given = {name.lower(): value for name, value in self.raw_headers.items()}
        return {
            alias: given[name]
            for name, aliases in _FORWARD_AUTH.items()
            if name in given
            for alias in aliases
        }

    @property
    def trusted_headers(self) -> dict[str, str]:
        """The verified identity, and the headers that the setting of further headers lists."""
        listed = get_config().gateway_forward_client_headers_to_streamlit
        return {name: self.headers[name] for name in listed if name in self.headers} | self.identity

    @property
    def token(self) -> str | None:
        """The viewer's token that came with the handshake, or None for nobody."""
        name = viewer_token.HANDSHAKE_HEADER.lower()
        return next((value for key, value in self.raw_headers.items() if key.lower() == name), None)

    @property
    def claim(self) -> Claim | None:
        """The user and session that the viewer's token speaks for, however old it is; None for nobody."""
        try:
            return viewer_token.read(self.token, max_age=timedelta(days=3650)) if self.token else None
        except TokenError:
            return None

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is signed in."""
        return not self.user_id

    @functools.cached_property
    def user(self) -> Any:
        """The viewer as Django's user, read from the database when first used; or the anonymous user."""
        if self.known_user is not None:
            return self.known_user
        return SimpleLazyObject(lambda: users.find(self.user_id)) if self.user_id else users.nobody()

    @functools.cached_property
    def GET(self) -> QueryDict:
        """The query parameters, as of a Django request."""
        query = QueryDict(mutable=True)
        for name, found in self.query.items():
            query.setlist(name, list(found))
        query._mutable = False
        return query

    @property
    def COOKIES(self) -> dict[str, str]:
        """The cookies that reach a sidecar, as of a Django request."""
        return dict(self.raw_cookies)

    @property
    def META(self) -> dict[str, str]:
        """The headers, as of a Django request."""
        return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}

    @property
    def scheme(self) -> str:
        """http or https, as the gateway says."""
        return "https" if self.headers.get("x-forwarded-proto") == "https" else "http"

    def is_secure(self) -> bool:
        """Whether the viewer came by https."""
        return self.scheme == "https"

    def get_host(self) -> str:
        """The host that the viewer used.

        Raises:
            DisallowedHost: it is none that this site accepts.
        """
        host = self.headers.get("x-forwarded-host") or self.headers.get("host") or ""
        if not hosts.is_allowed(host):
            msg = f"The host {host!r} is not in ALLOWED_HOSTS."
            raise DisallowedHost(msg)
        return host

    def build_absolute_uri(self, location: str = "/") -> str:
        """The absolute URL of a path, such as `reverse()` makes.

        Raises:
            DisallowedHost: see `get_host`.
        """
        return urljoin(f"{self.scheme}://{self.get_host()}/", location)

"""Who is looking: Django's session, read once and told to the sidecar in headers that only we set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import parse_cookie

from fluxlit_django.conf import get_config
from fluxlit_django.gateway import headers as header_policy
from fluxlit_django.trust import users


@dataclass(frozen=True)
class Viewer:
    """A signed-in user, as sidecars see one.

    Every value is constant while the account is unchanged: Streamlit 1.67 resumes a session after a
    reconnect only when the whole of `st.user` is equal to what it was (`AppSession.matches_user_info`).
    """

    id: str
    username: str
    told: tuple[tuple[str, str], ...] = ()
    """What `st.user` has beside the id: names and values."""

    @classmethod
    def from_user(cls, user: Any) -> Viewer:
        """The viewer of a Django user, with what `FLUXLIT_USER_FIELDS` names. May read the database."""
        names = get_config().user_fields
        told = tuple((name, _tell(user, name)) for name in names if name != "id")
        return cls(id=str(user.pk), username=user.get_username(), told=told)

    def headers(self) -> list[tuple[str, str]]:
        """The headers that name this viewer to a sidecar."""
        told = ((users.header(name), _one_line(value)) for name, value in self.told)
        return [(users.header("id"), self.id), *told]


def _tell(user: Any, name: str) -> str:
    """What is told of a user under a name: one of ours, or that of an attribute or of a method."""
    if name == "username":
        return str(user.get_username())
    if name == "email":
        return getattr(user, user.get_email_field_name(), "") or ""
    if name == "name":
        return str(user.get_full_name() or user.get_username())
    if name == "groups":
        groups = (
            user.groups.values_list("name", flat=True).order_by("name") if hasattr(user, "groups") else ()
        )
        return ",".join(groups)
    value = getattr(user, name, None)
    value = value() if callable(value) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def session_key(headers: header_policy.Headers) -> str:
    """The session key in a request's cookies, or "" when there is none."""
    cookies = b"; ".join(value for name, value in headers if name == b"cookie")
    if not cookies:
        return ""
    return parse_cookie(cookies.decode("latin-1")).get(settings.SESSION_COOKIE_NAME, "")


def new_session_key(response_headers: header_policy.Headers) -> str | None:
    """The session key that a response gives its browser; "" when it takes the old one away, else None."""
    start = f"{settings.SESSION_COOKIE_NAME}=".encode()
    for name, value in response_headers:
        if name.lower() == b"set-cookie" and value.startswith(start):
            return value.removeprefix(start).partition(b";")[0].strip(b'"').decode("latin-1")
    return None

"""Who is looking: Django's session, read once and told to the sidecar in headers that only we set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import parse_cookie

from fluxlit_django.gateway import headers as header_policy


@dataclass(frozen=True)
class Viewer:
    """A signed-in user, as sidecars see one.

    Every value is constant while the account is unchanged: Streamlit 1.67 resumes a session after a
    reconnect only when the whole of `st.user` is equal to what it was (`AppSession.matches_user_info`).
    """

    id: str
    username: str
    email: str
    name: str
    groups: tuple[str, ...]
    is_staff: bool

    @classmethod
    def from_user(cls, user: Any) -> Viewer:
        """The viewer of a Django user. Reads the user's groups from the database."""
        groups = (
            user.groups.values_list("name", flat=True).order_by("name") if hasattr(user, "groups") else ()
        )
        return cls(
            id=str(user.pk),
            username=user.get_username(),
            email=getattr(user, user.get_email_field_name(), "") or "",
            name=user.get_full_name() or user.get_username(),
            groups=tuple(groups),
            is_staff=bool(getattr(user, "is_staff", False)),
        )

    def headers(self) -> list[tuple[str, str]]:
        """The headers that name this viewer to a sidecar."""
        return [
            ("x-fluxlit-user-id", self.id),
            ("x-fluxlit-user-username", _one_line(self.username)),
            ("x-fluxlit-user-email", _one_line(self.email)),
            ("x-fluxlit-user-name", _one_line(self.name)),
            ("x-fluxlit-user-groups", _one_line(",".join(self.groups))),
            ("x-fluxlit-user-is-staff", "true" if self.is_staff else "false"),
        ]


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

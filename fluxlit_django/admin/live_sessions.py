"""Open sockets, and the way to end them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from fluxlit_django.admin.record import RecordAdmin, clock
from fluxlit_django.conf import get_config
from fluxlit_django.gateway.live import patience
from fluxlit_django.models import LiveSession
from fluxlit_django.trust import revocation

_MOST_TOLD = 200  # sockets; the others end when their workers next look


@admin.register(LiveSession)
class LiveSessionAdmin(RecordAdmin):
    """The sockets that gateway workers last reported."""

    list_display = ("viewer_name", "app", "page", "began", "received", "sent", "reruns", "sidecar")
    list_display_links = None
    search_fields = ("viewer", "app", "sidecar")
    search_help_text = "Username, app or sidecar"
    sortable_by = ("viewer_name", "app", "page", "began", "received", "sent", "reruns", "sidecar")
    actions = ("disconnect",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LiveSession]:
        """Those of workers that are alive."""
        alive_since = timezone.now() - patience(get_config().live_sessions_interval_s)
        return super().get_queryset(request).filter(worker__seen_at__gte=alive_since)

    def has_disconnect_permission(self, request: HttpRequest) -> bool:
        """Whether the user may end other people's sessions."""
        return bool(request.user.has_perm("fluxlit.disconnect_livesession"))

    @admin.action(description="Disconnect: the page begins anew", permissions=["disconnect"])
    def disconnect(self, request: HttpRequest, queryset: QuerySet[LiveSession]) -> None:
        """End sockets: mark their rows for their workers, and tell those that a message reaches."""
        chosen = list(queryset.values_list("pk", flat=True))
        marked = LiveSession.objects.filter(pk__in=chosen)
        count = marked.update(must_end=True)
        for session in marked[:_MOST_TOLD]:
            self.log_change(request, session, f"Disconnected {session} (since {session.since:%H:%M:%S})")
            revocation.tell(revocation.socket_group(str(session.pk)), revocation.END)
        noun = "session" if count == 1 else "sessions"
        interval = get_config().live_sessions_interval_s
        self.message_user(
            request,
            f"{count} {noun} will end within {interval:g} s. Reload this page to see what is left.",
            messages.SUCCESS,
        )

    @admin.display(description="viewer", ordering="viewer")
    def viewer_name(self, session: LiveSession) -> str:
        """Who is signed in."""
        return session.viewer or "nobody signed in"

    @admin.display(description="since", ordering="since")
    def began(self, session: LiveSession) -> str:
        """When the socket was opened."""
        return clock(session.since)

    @admin.display(description="received", ordering="bytes_in")
    def received(self, session: LiveSession) -> Any:
        """Bytes from the browser."""
        return filesizeformat(session.bytes_in)

    @admin.display(description="sent", ordering="bytes_out")
    def sent(self, session: LiveSession) -> Any:
        """Bytes to the browser."""
        return filesizeformat(session.bytes_out)

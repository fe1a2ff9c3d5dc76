"""What this package shows in Django's admin."""

from fluxlit_django.admin import events, live_sessions, overview, starts, url_sessions

__all__ = ["events", "live_sessions", "overview", "starts", "url_sessions"]

"""Every exception this package raises on purpose.

FluxLitError
 ├─ ConfigError        a setting has a value that cannot be used
 ├─ StartupError       a child process never got as far as serving
 ├─ PageInputError     what came with a page's request is missing or has the wrong form
 └─ UpstreamError      a sidecar could not answer a request
     ├─ UpstreamUnavailable   nothing listens, or no sidecar is there     503
     ├─ UpstreamTimeout       it listens and does not answer in time      504
     └─ UpstreamBroken        it answered with something that is not HTTP 502
"""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured


class FluxLitError(Exception):
    """Root of this package's exceptions."""


class ConfigError(FluxLitError, ImproperlyConfigured):
    """A setting has a value that cannot be used; the message names it and the remedy."""


class StartupError(FluxLitError):
    """A child process ended, or ran out of time, before it served its first request."""


class PageInputError(FluxLitError, ValueError):
    """A header, cookie or query parameter of a page is missing or has the wrong form; viewers may read it."""


class UpstreamError(FluxLitError):
    """A sidecar could not answer a request."""

    status = 502


class UpstreamUnavailable(UpstreamError):
    """No sidecar listens."""

    status = 503


class UpstreamTimeout(UpstreamError):
    """The sidecar accepted the connection and did not answer in time."""

    status = 504


class UpstreamBroken(UpstreamError):
    """The sidecar closed the connection early or broke the protocol."""

"""`python -m fluxlit_django.sidecar <app name>`: serve one Streamlit app until told to stop."""

from __future__ import annotations

import os
import signal
import sys

import django
from django.core.exceptions import ImproperlyConfigured

from fluxlit_django import control


def main(arguments: list[str]) -> int:
    """Serve the app of the given name; return 0 when told to stop, 1 when it could not start."""
    control.die_with_parent()
    control.raise_file_limit()
    control.begin_loading()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Told to stop before it serves, there is nothing to end in order; `server` takes over later.
        signal.signal(number, lambda *_: os._exit(0))
    try:
        django.setup()
        # Only now: Django's logging configuration may silence every logger that exists before it.
        from fluxlit_django import conf, logs
        from fluxlit_django.sidecar import launch

        logs.make_visible(conf.get_config())
        return launch.serve_app(*arguments)
    except ImproperlyConfigured as exc:  # A ConfigError is one too.
        print(exc, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

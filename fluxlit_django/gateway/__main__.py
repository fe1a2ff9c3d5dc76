"""`python -m fluxlit_django.gateway`: one gateway worker, started by the supervisor."""

from __future__ import annotations

import sys

import django
from django.core.exceptions import ImproperlyConfigured

from fluxlit_django import control


def main() -> int:
    """Serve until told to stop; the exit code is 0 then, and 1 for a configuration that cannot be used."""
    control.die_with_parent()
    control.raise_file_limit()
    control.begin_loading()
    try:
        django.setup(set_prefix=False)
        # Only now: the gateway's modules import Django's models.
        from fluxlit_django.gateway import worker

        worker.serve()
    except ImproperlyConfigured as exc:  # a ConfigError is one too
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

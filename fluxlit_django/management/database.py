"""What commands say of a database that does not do what they ask."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import Error

from fluxlit_django.redaction.names import redact


@contextlib.contextmanager
def needed() -> Iterator[None]:
    """Turn an error of the database into one line.

    Raises:
        CommandError: it does not answer, or has no such table.
    """
    try:
        yield
    except (Error, ImproperlyConfigured) as exc:
        said = redact(" ".join(str(exc).split()))
        msg = f"The database refuses ({said}). Start it, mend DATABASES, or run manage.py migrate."
        raise CommandError(msg) from exc

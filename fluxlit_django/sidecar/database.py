"""Django's connections in Streamlit's threads: none outlives the rerun that opened it."""

from __future__ import annotations

import logging

from django.db import DatabaseError, connections

logger = logging.getLogger(__name__)


def close_connections() -> None:
    """Close this thread's connections.

    Streamlit starts a fresh thread for almost every rerun (1.67), so a connection kept for the next one would
    never be used again. A connection that another thread lent to this one is not ours to close.
    """
    for connection in connections.all(initialized_only=True):
        if connection.allow_thread_sharing:
            continue
        try:
            connection.close()
        except DatabaseError:
            logger.warning("A connection to the database %r did not close.", connection.alias, exc_info=True)

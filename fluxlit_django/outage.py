"""Writing what nobody waits for: when the database takes nothing, that is said once, and work goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, close_old_connections, connections, router
from django.db.models import Model

logger = logging.getLogger(__name__)


class Outage:
    """Tries writes, and logs when they begin to fail and when they succeed again.

    Args:
        what: what is written, for the log: the start of a sentence.
        model: a model that is written; its missing table is told from other failures.
    """

    def __init__(self, what: str, model: type[Model]) -> None:
        self._what = what
        self._model = model
        self.is_known = False
        """Whether the last write failed."""

    def attempt(self, write: Callable[[], object]) -> bool:
        """Write; False when the database did not take it."""
        close_old_connections()
        try:
            write()
        except (Error, ImproperlyConfigured) as exc:
            if not self.is_known:
                self.is_known = True
                logger.warning("%s. Everything else goes on.", self._reason(exc))
            return False
        if self.is_known:
            self.is_known = False
            logger.info("%s recorded again", self._what)
        return True

    def _reason(self, exc: Exception) -> str:
        if self._is_table_missing():
            return f"{self._what} not recorded: the tables are missing. Run manage.py migrate"
        return f"{self._what} not recorded: {type(exc).__name__}: {' '.join(str(exc).split())}"

    def _is_table_missing(self) -> bool:
        try:
            connection = connections[router.db_for_write(self._model)]
            return self._model._meta.db_table not in connection.introspection.table_names()
        except (Error, ImproperlyConfigured):  # there is no asking it either
            return False

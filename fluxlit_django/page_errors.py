"""What a viewer is told of an error in a page: its own words where it has some for them, else an error id."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404

from fluxlit_django.exceptions import PageInputError

logger = logging.getLogger(__name__)

MEANT_FOR_VIEWERS = (ValidationError, PermissionDenied, Http404, PageInputError)


@dataclass(frozen=True)
class Message:
    """A text in Markdown, with the icon beside it."""

    text: str
    icon: str


def message_of(error: BaseException) -> Message | None:
    """What an error that is meant for viewers tells them; None for any other."""
    if isinstance(error, ValidationError):
        return Message("\n".join(f"- {message}" for message in error.messages), ":material/report:")
    if isinstance(error, PermissionDenied):
        return Message(str(error) or "You may not do that.", ":material/block:")
    if isinstance(error, Http404):
        return Message("There is no such thing, or it has gone.", ":material/search_off:")
    return Message(str(error), ":material/report:") if isinstance(error, PageInputError) else None


def log_under_id(error: BaseException) -> str:
    """Log an error with its traceback, and return the id under which the log has it."""
    error_id = secrets.token_hex(4)
    logger.error("A page raised; error id %s.", error_id, exc_info=error)
    return error_id

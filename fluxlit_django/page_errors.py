"""What a viewer is told of an error in a page: its own words where it has some for them, else an error id."""

from __future__ import annotations

import logging
import re
import secrets
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404

from fluxlit_django.exceptions import PageInputError

logger = logging.getLogger(__name__)

_MARKUP = re.compile(r"[\\`*\[\]<>$~]|(?<!\w)_|_(?!\w)|:(?=[\w/])|(?<=www)\.", re.IGNORECASE)
"""What Streamlit's Markdown would make a link, an image, an icon, a formula or another font of."""

MEANT_FOR_VIEWERS = (ValidationError, PermissionDenied, Http404, PageInputError)


@dataclass(frozen=True)
class Message:
    """A text in Markdown, with the icon beside it."""

    text: str
    icon: str


def plain(text: str) -> str:
    """Markdown that is shown as this text, which may be a stranger's."""
    return _MARKUP.sub(r"\\\g<0>", text)


def message_of(error: BaseException) -> Message | None:
    """What an error that is meant for viewers tells them; None for any other."""
    if isinstance(error, ValidationError):
        return Message("\n".join(f"- {plain(each)}" for each in error.messages), ":material/report:")
    if isinstance(error, PermissionDenied):
        return Message(plain(str(error)) or "You may not do that.", ":material/block:")
    if isinstance(error, Http404):
        return Message("There is no such thing, or it has gone.", ":material/search_off:")
    return Message(plain(str(error)), ":material/report:") if isinstance(error, PageInputError) else None


def log_under_id(error: BaseException) -> str:
    """Log an error with its traceback, and return the id under which the log has it."""
    error_id = secrets.token_hex(4)
    logger.error("A page raised; error id %s.", error_id, exc_info=error)
    return error_id

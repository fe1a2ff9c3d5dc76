"""What a viewer sees of a page that raises, outside DEBUG."""

from __future__ import annotations

import logging
import secrets

import streamlit as st

logger = logging.getLogger(__name__)


def show_error_id(error: Exception) -> bool:
    """Log the error under an id and show the viewer that id alone."""
    error_id = secrets.token_hex(4)
    logger.error("A page raised; error id %s.", error_id, exc_info=error)
    st.error(f"This page could not be shown. Please report error id **{error_id}**.", icon=":material/error:")
    return True

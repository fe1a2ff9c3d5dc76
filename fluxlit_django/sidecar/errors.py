"""What a viewer sees of a page, a callback or a fragment that raises."""

from __future__ import annotations

import streamlit as st
from django.conf import settings

from fluxlit_django import page_errors


def show_error(error: Exception) -> bool:
    """Show an error that is meant for viewers as it is, and of any other its id in the log alone.

    Returns False in DEBUG for the others: Streamlit then shows them with their traceback.
    """
    message = page_errors.message_of(error)
    if message is not None:
        st.error(message.text, icon=message.icon)
        return True
    if settings.DEBUG:
        return False
    error_id = page_errors.log_under_id(error)
    st.error(f"This page could not be shown. Please report error id **{error_id}**.", icon=":material/error:")
    return True

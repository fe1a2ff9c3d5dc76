"""What a viewer sees of a page, a callback or a fragment that raises."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import streamlit as st
from django.conf import settings
from streamlit.runtime import fragment
from streamlit.runtime.scriptrunner import exec_code

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


def handles_errors() -> bool:
    """Whether `streamlit.App` takes `on_script_error` (Streamlit 1.67 does, 1.57 does not)."""
    return "on_script_error" in inspect.signature(st.App).parameters


def install() -> None:
    """Have `show_error` asked first in a Streamlit whose `App` cannot be told to."""

    def ask_first(otherwise: Callable[[BaseException], None]) -> Callable[[BaseException], None]:
        def handle(error: BaseException) -> None:
            if not (isinstance(error, Exception) and show_error(error)):
                otherwise(error)

        return handle

    for module in (exec_code, fragment):
        module.handle_uncaught_app_exception = ask_first(module.handle_uncaught_app_exception)  # type: ignore[attr-defined]

"""Streamlit's own log lines in the form of ours, under the id of the socket whose session they are of."""

from __future__ import annotations

import logging

from streamlit import config as streamlit_config
from streamlit import logger as streamlit_logger
from streamlit import runtime
from streamlit.config_option import ConfigOption
from streamlit.runtime.scriptrunner import get_script_run_ctx

from fluxlit_django import logs
from fluxlit_django.conf import Config

_FORMAT = "logger.messageFormat"


def follow(config: Config) -> None:
    """Give Streamlit's handlers our formatter, unless its user has set a format. Call once.

    Streamlit (1.67, `logger.py`) gives each of its loggers a handler of its own, and anew whenever its
    configuration is read.
    """
    if streamlit_config.get_where_defined(_FORMAT) != ConfigOption.DEFAULT_DEFINITION:
        return
    set_up = streamlit_logger.setup_formatter
    ours = logs.formatter(config)

    def set_up_as_ours(logger: logging.Logger) -> None:
        set_up(logger)
        handler = getattr(logger, "streamlit_console_handler", None)
        if isinstance(handler, logging.Handler):
            handler.setFormatter(ours)

    streamlit_logger.setup_formatter = set_up_as_ours
    streamlit_logger.update_formatter()


def request_id_of_session() -> str:
    """The request id of the socket whose session this script thread runs for; "" for none."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is None or not runtime.exists():
        return ""
    client = runtime.get_instance().get_client(context.session_id)
    connection = getattr(client, "client_context", None)
    if connection is None:
        return ""
    return next((value for name, value in connection.headers if name.lower() == "x-request-id"), "")

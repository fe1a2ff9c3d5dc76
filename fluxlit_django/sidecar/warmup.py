"""What a sidecar does before it takes visitors, so that the first of them doesn't wait for it."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from streamlit import runtime
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.session_manager import SessionClient

from fluxlit_django.exceptions import ConfigError

logger = logging.getLogger(__name__)

LONGEST_S = 30.0
"""Seconds after which a run that does not end is left alone and the sidecar serves without it."""


def preimport(names: Iterable[str]) -> None:
    """Import modules that scripts will want.

    Raises:
        ConfigError: one cannot be imported.
    """
    for name in names:
        try:
            import_module(name)
        except ImportError as exc:
            msg = f"FLUXLIT_STREAMLIT_PREIMPORT names {name!r}, which cannot be imported: {exc}."
            raise ConfigError(msg) from exc


class WarmUp:
    """An ASGI application around Streamlit's that runs the script once before the server listens.

    Args:
        app: Streamlit's.
        run: the run.
    """

    def __init__(self, app: Callable[..., Any], run: Callable[[], Any]) -> None:
        self._app = app
        self._run = run

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection; a server starts to listen when it is told that the start-up is complete."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_after_run(message: Any) -> None:
            if message["type"] == "lifespan.startup.complete":
                await self._run()
            await send(message)

        await self._app(scope, receive, send_after_run)


class _Nobody(SessionClient):
    """The browser of the run: it shows nothing, and waits for the end."""

    def __init__(self) -> None:
        self.has_finished = asyncio.Event()

    def write_forward_msg(self, msg: ForwardMsg) -> None:
        """Take a message, as Streamlit's loop, which is ours, delivers it."""
        if msg.WhichOneof("type") == "script_finished":
            self.has_finished.set()


async def run_once(longest_s: float = LONGEST_S) -> None:
    """Run the script in a session of nobody, which is gone afterwards, and set aside what it loaded.

    A script that raises shows that to nobody: a visitor's own run will.
    """
    if not runtime.exists():  # an `app = …` of the script's own, started in a way of its own
        logger.info("The warm-up is left out: Streamlit's runtime has not been started")
        return
    nobody = _Nobody()
    instance = runtime.get_instance()
    session_id = instance.connect_session(nobody, {})
    message = BackMsg()
    message.rerun_script.SetInParent()
    try:
        instance.handle_backmsg(session_id, message)
        await asyncio.wait_for(nobody.has_finished.wait(), longest_s)
    except asyncio.TimeoutError:
        logger.warning("The script did not end within %g s of its warm-up; it is stopped", longest_s)
    finally:
        instance.close_session(session_id)
    gc.collect()
    gc.freeze()

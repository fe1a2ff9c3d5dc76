"""What a sidecar says of itself to its supervisor, every few seconds."""

from __future__ import annotations

import asyncio
import contextlib

from streamlit import runtime

from fluxlit_django.control import ControlLine, SidecarLoad, encode_load
from fluxlit_django.sidecar.memory import resident_bytes
from fluxlit_django.sidecar.tuning import Activity

INTERVAL_S = 2.0


async def report_load(line: ControlLine, activity: Activity, now: asyncio.Event) -> None:
    """Tell the load again and again, and at once when asked by the event, until cancelled."""
    while True:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(now.wait(), INTERVAL_S)
        now.clear()
        line.send(encode_load(current_load(activity)))


def current_load(activity: Activity) -> SidecarLoad:
    """The sessions, scripts and memory of this process."""
    active, parked = count_sessions()
    return SidecarLoad(active, parked, activity.running, resident_bytes())


def count_sessions() -> tuple[int, int]:
    """How many sessions have an open socket, and how many wait for their browser to come back.

    Streamlit 1.67 keeps the latter for two minutes (`MemorySessionStorage`).
    """
    if not runtime.exists():
        return 0, 0
    sessions = runtime.get_instance()._session_mgr
    active = sessions.num_active_sessions()
    return active, sessions.num_sessions() - active

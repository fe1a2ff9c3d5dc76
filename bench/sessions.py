"""Browser tabs of the benchmark's scripts: the tests' protocol client, with a turn that costs little here."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import aiohttp
from streamlit.proto.BackMsg_pb2 import BackMsg

from bench.commands import BenchError
from fluxlit_django.gateway import protocol
from tests.streamlit_protocol import Closed, Run, StreamlitClient

_TIMEOUT_S = 60.0


class FailedRerun(BenchError):
    """A rerun did not show what it should."""


class Session(StreamlitClient):
    """One tab. Its slider is turned, and each turn is one rerun."""

    def __init__(self, address: str) -> None:
        origin = "http://localhost" if address.startswith("unix:") else address
        super().__init__(address, headers={"Origin": origin}, timeout=_TIMEOUT_S)
        self._slider = ""
        self._resting: asyncio.Task[None] | None = None
        self.turns = 0

    async def open(self) -> None:
        """Load the document, which gives the cookies, connect, and run the script for the first time."""
        async with self.http.get("/") as response:
            await response.read()
        await self.connect()
        run = await self.rerun()
        _require_value(run, 0)
        self._slider = run.widget("Value").id
        self.rest()

    async def close(self) -> None:
        """Close the WebSocket and every connection."""
        await self._wake()
        await super().close()

    def rest(self) -> None:
        """Answer pings until the next turn, as browsers do by themselves: servers close who does not."""
        self._resting = asyncio.create_task(self._answer_pings())

    async def _answer_pings(self) -> None:
        """aiohttp answers them while somebody receives."""
        while (await self.socket.receive()).type is aiohttp.WSMsgType.BINARY:
            """Nobody has turned the slider, so that nothing should come."""

    async def _wake(self) -> None:
        resting, self._resting = self._resting, None
        if resting is not None:
            resting.cancel()
            await asyncio.wait([resting])

    async def turn(self) -> float:
        """Turn the slider and wait until the script has finished; the seconds it took.

        Raises:
            Closed: the server closed the WebSocket first.
        """
        started = time.perf_counter()
        await self._send_turn()
        while True:
            frame = await self.socket.receive()
            if frame.type is not aiohttp.WSMsgType.BINARY:
                raise Closed(self.socket.close_code, str(frame.extra or ""))
            if protocol.ends_rerun(frame.data):
                return time.perf_counter() - started

    async def checked_turn(self) -> float:
        """A turn of which every message is read and checked; the seconds it took.

        Raises:
            FailedRerun: the page raised, or did not show the slider's value.
        """
        started = time.perf_counter()
        await self._send_turn()
        run = await self.collect()
        elapsed = time.perf_counter() - started
        self.rest()
        _require_value(run, self.turns)
        return elapsed

    async def _send_turn(self) -> None:
        await self._wake()
        self.turns += 1
        message = BackMsg()
        widget = message.rerun_script.widget_states.widgets.add(id=self._slider)
        widget.double_array_value.data.append(self.turns)
        await self.socket.send_bytes(message.SerializeToString())


def _require_value(run: Run, value: int) -> None:
    if run.exceptions() or run.finished != "FINISHED_SUCCESSFULLY":
        msg = f"A rerun ended as {run.finished}: {run.exceptions()}"
        raise FailedRerun(msg)
    if f"The value is {value}." not in run.texts():
        msg = f"A rerun does not show the value {value}: {run.texts()}"
        raise FailedRerun(msg)


@contextlib.asynccontextmanager
async def open_sessions(address: str, number: int) -> AsyncIterator[list[Session]]:
    """So many tabs, each of which has run its script once."""
    sessions = [Session(address) for _ in range(number)]
    try:
        await asyncio.gather(*(session.open() for session in sessions))
        yield sessions
    finally:
        await asyncio.gather(*(session.close() for session in sessions), return_exceptions=True)


async def turn_all(
    sessions: list[Session], seconds: float, pause_s: float = 0.0
) -> tuple[list[float], float]:
    """Turn all sliders again and again; how long each turn took, and the time until the last one ended."""
    started = time.perf_counter()
    durations: list[float] = []

    async def turn_one(session: Session) -> None:
        while time.perf_counter() - started < seconds:
            durations.append(await session.turn())
            if pause_s:
                await asyncio.sleep(pause_s)

    await asyncio.gather(*(turn_one(session) for session in sessions))
    elapsed = time.perf_counter() - started
    for session in sessions:
        session.rest()
    return durations, elapsed

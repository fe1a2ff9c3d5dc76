"""An event loop for the async dependencies of one run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from asgiref.sync import AsyncToSync, async_to_sync


class RunLoop:
    """Runs coroutines from a thread without a loop, all of them on one loop, until it is closed.

    What an async generator opens is therefore closed on the loop it was opened on. What a coroutine sends
    through `sync_to_async`, Django's async ORM included, runs in the calling thread: it has the page's
    database connection and its transaction.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fluxlit-run-loop", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The coroutine's result."""
        # A loop of its own: after the first call asgiref takes ours for the thread's main one.
        return async_to_sync(self._wait_for, force_new_loop=True)(coroutine)

    def close(self) -> None:
        """Cancel what still runs, and end the thread."""
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _wait_for(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        # asgiref (3.8 to 3.13) finds the way back to the calling thread by the running loop: lend it ours.
        executors = AsyncToSync.loop_thread_executors
        executors[self._loop] = executors[asyncio.get_running_loop()]
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))
        finally:
            del executors[self._loop]


async def _cancel_others() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()

from __future__ import annotations

import asyncio
import re
import sys
import threading

import pytest

from fluxlit_django.sidecar.tuning import (
    LONGEST_WAIT_S,
    MOST_GROWTH,
    QUIET_S,
    REST,
    Activity,
    Load,
    collect_when_idle,
    seconds_until_collection,
)
from tests.sidecar.process import Sidecar
from tests.streamlit_protocol import StreamlitClient


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (Load(running=0, runs=0, quiet_s=99, waiting_s=99), None),
        (Load(running=3, runs=0, quiet_s=99, waiting_s=99), None),
        (Load(running=0, runs=1, quiet_s=0, waiting_s=0), QUIET_S),
        (Load(running=0, runs=1, quiet_s=QUIET_S, waiting_s=QUIET_S), 0),
        (Load(running=0, runs=1, quiet_s=0, waiting_s=LONGEST_WAIT_S), 0),
        (Load(running=1, runs=1, quiet_s=99, waiting_s=1), LONGEST_WAIT_S - 1),
        (Load(running=1, runs=1, quiet_s=0, waiting_s=LONGEST_WAIT_S + 1), 0),
        (Load(running=0, runs=1, quiet_s=99, waiting_s=99, rest_s=5), 0),
        (Load(running=0, runs=1, quiet_s=99, waiting_s=1, rest_s=5), 5),
        (Load(running=0, runs=1, quiet_s=0, waiting_s=1, rest_s=QUIET_S / 2), QUIET_S),
        (Load(running=1, runs=1, quiet_s=0, waiting_s=0, growth=MOST_GROWTH), 0),
        (Load(running=1, runs=1, quiet_s=0, waiting_s=0, rest_s=5, growth=MOST_GROWTH), 5),
        (Load(running=1, runs=0, quiet_s=0, waiting_s=0, growth=MOST_GROWTH), None),
    ],
)
def test_seconds_until_collection__loads(load: Load, expected: float | None) -> None:
    """Collect after a pause, or without one after a long time or much growth; never for nothing."""
    assert expected == seconds_until_collection(load)


async def test_activity__counts_from_other_threads() -> None:
    """What script threads write, the loop reads."""
    activity = Activity(asyncio.get_running_loop(), clock=lambda: 5.0, memory=lambda: 100)

    def run_script() -> None:
        activity.begin()
        activity.count_run()

    thread = threading.Thread(target=run_script)
    thread.start()
    thread.join()

    assert Load(running=1, runs=1, quiet_s=0, waiting_s=0) == activity.load()


async def test_activity__collecting() -> None:
    """After a collection, reruns and memory count anew, and what it took is made up for by a rest."""
    now, held = 10.0, 500
    activity = Activity(asyncio.get_running_loop(), clock=lambda: now, memory=lambda: held)
    activity.begin()
    activity.count_run()
    held = 700
    before = activity.load()

    with activity.collecting():
        now, held = 10.5, 600
    now, held = 11.5, 650
    after = activity.load()

    assert (1, 200, 0.0) == (before.runs, before.growth, before.rest_s)
    assert (0, 50, REST * 0.5 - 1) == (after.runs, after.growth, after.rest_s)


async def test_activity__idle_when_the_last_script_ends() -> None:
    """`idle` waits for every script, and not longer."""
    activity = Activity(asyncio.get_running_loop())
    activity.begin()
    activity.begin()
    waiting = asyncio.create_task(activity.idle())

    activity.end()
    await asyncio.sleep(0)
    was_done_early = waiting.done()
    activity.end()
    await asyncio.wait_for(waiting, 5)

    assert not was_done_early


async def test_collect_when_idle__once_after_a_burst() -> None:
    """Many reruns in a row cost one collection."""
    activity = Activity(asyncio.get_running_loop())
    collected = asyncio.Event()
    collections = []
    loop = asyncio.get_running_loop()

    def collect() -> None:
        collections.append(1)
        loop.call_soon_threadsafe(collected.set)

    task = asyncio.create_task(collect_when_idle(activity, collect, freeze=lambda: None))
    for _ in range(5):
        activity.begin()
        activity.count_run()
        activity.end()
    await asyncio.wait_for(collected.wait(), 5)
    task.cancel()

    assert [1] == collections
    assert 0 == activity.load().runs


async def test_garbage__after_the_start(script_sidecar: Sidecar) -> None:
    """What a sidecar has loaded is looked at no more, and all else is collected again."""
    async with StreamlitClient(script_sidecar.address) as client:
        (text,) = (await client.rerun(query="way=garbage")).texts()

    found = re.fullmatch(r"collected: True, set aside: (\d+)", text)
    assert found
    assert int(found[1]) > 10_000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_memory__flat_over_500_reruns(script_sidecar: Sidecar) -> None:
    """A script that leaves 1 MB in a reference cycle per run does not grow its sidecar without bound."""
    async with StreamlitClient(script_sidecar.address) as client:
        for _ in range(100):
            await client.rerun(query="way=cycle")
        before = _resident_mb(script_sidecar)
        for _ in range(400):
            await client.rerun(query="way=cycle")
        after = _resident_mb(script_sidecar)

    assert after - before < 100


def _resident_mb(sidecar: Sidecar) -> float:
    with open(f"/proc/{sidecar.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 1e6

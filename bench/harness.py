"""Runs the workloads: contenders take turns, round by round, so that a slow minute slows them all."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence

from bench.contenders import DIRECT, STREAMLIT, Contender, Kind, Launcher
from bench.statistics import Figure
from bench.workloads import Plan, Probe, Upstream, Workload

Say = Callable[[str], None]


async def run_workload(
    workload: Workload, plan: Plan, launcher: Launcher, say: Say, *, without: Sequence[Kind] = ()
) -> dict[str, dict[str, Figure]]:
    """All rounds of one workload; each contender's metrics.

    Args:
        say: told what happens, in lines for people.
        without: kinds of contenders that are left out.
    """
    taking_part = [one for one in workload.taking_part(plan) if one == DIRECT or one.kind not in without]
    measured: dict[Contender, list[dict[str, float]]] = {contender: [] for contender in taking_part}
    async with contextlib.AsyncExitStack() as stack:
        upstream = ""
        if workload.upstream is Upstream.STUB:
            upstream = (await stack.enter_async_context(launcher.stub())).address
        elif workload.upstream is Upstream.STREAMLIT:
            streamlit = launcher.running(STREAMLIT, script="small.py")
            upstream = (await stack.enter_async_context(streamlit)).address
        probes: dict[Contender, Probe] = {}
        for contender in taking_part:
            launch = functools.partial(launcher.running, contender, script=workload.script, upstream=upstream)
            probes[contender] = await stack.enter_async_context(workload.open(launch, plan))
        for number in range(plan.rounds):
            for contender in rotated(taking_part, number):
                figures = await probes[contender]()
                measured[contender].append(figures)
                say(f"  {number + 1}/{plan.rounds}  {contender.label:<24} {_shown(workload, figures)}")
    return {contender.name: _figures(rounds) for contender, rounds in measured.items()}


def rotated(contenders: Sequence[Contender], number: int) -> list[Contender]:
    """Another one begins in each round."""
    start = number % len(contenders) if contenders else 0
    return [*contenders[start:], *contenders[:start]]


def _figures(rounds: Sequence[dict[str, float]]) -> dict[str, Figure]:
    return {name: Figure(tuple(figures[name] for figures in rounds)) for name in rounds[0]}


def _shown(workload: Workload, figures: dict[str, float]) -> str:
    return "  ".join(f"{metric.name} {figures[metric.name]:,.4g}" for metric in workload.metrics)

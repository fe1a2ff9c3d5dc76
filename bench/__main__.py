"""The command line: which workloads, how often, and where the report goes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import datetime
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import harness, machine, report, soak
from bench.commands import BenchError
from bench.contenders import ROOT, Kind, Launcher, nginx_program
from bench.peer_environment import fluxlit_python
from bench.report import RunReport
from bench.statistics import Figure
from bench.workloads import FULL, QUICK, WORKLOADS, Plan

PUBLISHED = ROOT / "docs"
UNPUBLISHED = ROOT / "test-results" / "bench"


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code is 0 when everything was measured, whatever the figures are."""
    options = _parser().parse_args(arguments)
    if options.list:
        for workload in WORKLOADS:
            print(f"{workload.name:<9} {workload.title}")
        return 0
    if sys.platform != "linux":
        print("The benchmark reads memory and CPU time from /proc: it needs Linux.", file=sys.stderr)
        return 1
    _allow_many_sockets()
    try:
        return asyncio.run(_until_signal(options))
    except BenchError as exc:
        print(f"\n{exc}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./scripts/bench", description="Measure ours against its peers.")
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--quick", action="store_true", help="one short round, in under three minutes")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, help="how often each contender is measured")
    parser.add_argument(
        "--soak", type=float, metavar="MINUTES", help="soak for so long, besides --only or alone"
    )
    parser.add_argument(
        "--soaked", type=Path, metavar="FOLDER", help="show the soak of an earlier run, whose report is there"
    )
    parser.add_argument("--without", nargs="+", choices=["nginx", "fluxlit"], default=[], help="leave out")
    parser.add_argument("--list", action="store_true", help="show the workloads and end")
    parser.add_argument(
        "--output", type=Path, help="folder of the report; docs/ for a complete run, else test-results/bench/"
    )
    return parser


async def _until_signal(options: argparse.Namespace) -> int:
    """Run, and clean up on Ctrl-C or SIGTERM as at the end."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:  # once: a second signal would break off the clean-up
            stopping = True
            _say("\nStopping …")
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await _run(options)
    except asyncio.CancelledError:
        print("\nStopped; every process is ended.", file=sys.stderr)
        return 130
    return 0


async def _run(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    plan = _plan(options)
    soak_only = options.soak and not options.only and not options.quick
    chosen = [one for one in WORKLOADS if not soak_only and (not options.only or one.name in options.only)]
    without = _without(options)
    fluxlit = None if Kind.FLUXLIT in without else await fluxlit_python()
    results: dict[str, dict[str, dict[str, Figure]]] = {}
    soaked = report.read_soak(options.soaked) if options.soaked else None
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        launcher = Launcher(Path(folder), fluxlit=fluxlit)
        await launcher.prepare()
        for workload in chosen:
            _say(f"{workload.name}: {workload.title}")
            results[workload.name] = await harness.run_workload(
                workload, plan, launcher, _say, without=without
            )
        if options.soak:
            _say(f"soak: {options.soak:g} minutes")
            soaked = await soak.run(launcher, options.soak)
    if soaked is not None:
        results["soak"] = {"ours": {name: Figure((value,)) for name, value in soaked.figures.items()}}
    today = datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
    finished = RunReport(machine.describe(), today, plan, results, soaked)
    is_complete = not (options.quick or options.only or options.soak or options.without)
    page = report.write(finished, options.output or (PUBLISHED if is_complete else UNPUBLISHED))
    _say("")
    for line in report.outcome_lines(results):
        _say(line)
    _say(f"\n{page} written after {time.perf_counter() - started:.0f} s.")


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    return dataclasses.replace(plan, rounds=options.rounds) if options.rounds else plan


def _without(options: argparse.Namespace) -> list[Kind]:
    without = [Kind(name) for name in options.without]
    if nginx_program() is None and Kind.NGINX not in without:
        _say("nginx is not installed and left out (Debian: apt install nginx).")
        without.append(Kind.NGINX)
    return without


def _allow_many_sockets() -> None:
    """Children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The benchmark runs and counts right. How fast anything is, is not tested."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
import websockets

from bench import bars, charts, contenders, harness, load, processes, report, soak, workloads
from bench.commands import BenchError
from bench.contenders import Launcher
from bench.report import RunReport
from bench.sessions import Session, open_sessions, turn_all
from bench.statistics import Figure, percentile, ratio, slope

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")

PLAN = dataclasses.replace(workloads.QUICK, rounds=2, window_s=0.2)


@pytest.fixture
def launcher(tmp_path_factory):
    """Starts contenders in a folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield Launcher(Path(folder))


def test_figure__middle_and_ends():
    """A figure is its middle round, with the least and the greatest."""
    figure = Figure((3.0, 1.0, 2.0))

    assert (2.0, 1.0, 3.0) == (figure.median, figure.low, figure.high)


def test_ratio__pairs_rounds():
    """Each round is divided by the same round of the reference."""
    assert Figure((2.0, 4.0)) == ratio(Figure((2.0, 8.0)), Figure((1.0, 2.0)))


def test_ratio__reference_of_nothing():
    """A ratio to 0 is refused."""
    with pytest.raises(ValueError, match="other than 0"):
        ratio(Figure((2.0,)), Figure((0.0,)))


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)])
def test_percentile__nearest_rank(share, expected):
    """A percentile is one of the values."""
    assert expected == percentile(range(100, 0, -1), share)


def test_slope__straight_line():
    """Points on a line give its slope, and a single point none."""
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)
    assert slope([(1.0, 3.0)]) == 0.0


def test_memory_figures__second_half():
    """Growth at the start does not count, only that of the second half."""
    megabytes = [10, 50, 100, 100, 100, 100]
    samples = [soak.Sample(float(at), mb * 10**6, 0, 0, 0) for at, mb in enumerate(megabytes)]

    figures = soak.memory_figures(samples)

    assert figures == {"slope_mb_per_h": 0.0, "growth_percent": 0.0}


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_read_frame__of_every_length(size):
    """Frames of each kind of length are told apart, and what follows one is left."""
    masked = load.client_frame(bytes(size))
    head = masked[: len(masked) - size - 4]
    buffer = bytearray([head[0], head[1] & 0x7F, *head[2:]]) + bytes(size) + b"\x89"

    assert load.read_frame(buffer) == (2, size)
    assert bytearray(b"\x89") == buffer
    assert load.read_frame(buffer) is None


def test_judge__met_and_missed():
    """A bar is judged by the middle of the ratios; one without figures is left out."""
    figures = {"streamlit": {"reruns_per_s": Figure((1.0,))}, "ours": {"reruns_per_s": Figure((9.0,))}}

    (small,) = bars.judge({"small": figures})
    (chart,) = bars.judge({"charts": figures})

    assert not small.is_met
    assert chart.is_met


def test_bars__refer_to_what_is_measured():
    """Every bar names a workload, a metric and contenders that take part in it."""
    known = {one.name: one for one in workloads.WORKLOADS}

    for bar in bars.BARS:
        if bar.workload == "soak":
            assert bar.metric in {metric.name for metric in soak.METRICS}
            continue
        workload = known[bar.workload]
        metrics = {metric.name for metric in workload.metrics}
        assert {bar.metric, bar.reference_metric or bar.metric} <= metrics
        assert {bar.contender, bar.reference or bar.contender} <= set(workload.contenders)


def test_rotated__another_one_begins():
    """Nobody is always first."""
    everybody = (contenders.STREAMLIT, contenders.OURS, contenders.NGINX)

    assert [contenders.OURS, contenders.NGINX, contenders.STREAMLIT] == harness.rotated(everybody, 4)


def test_bar_chart__is_valid():
    """A chart is well-formed, says its values in words, and has as many bars as rows."""
    rows = [charts.Row("ours & co", 1234.5, 1000, 1300, True), charts.Row("peer", 0.0, 0.0, 0.0, False)]

    root = ElementTree.fromstring(charts.bar_chart("Reruns", "more is better", "1/s", rows))

    names = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert 2 == names.count("rect")
    assert "ours & co: 1,234 1/s" in "".join(root.itertext())


async def test_hop__counts_and_report(launcher, tmp_path):
    """A tiny workload through the real gateway: every figure is there, and so is the report."""
    workload = next(one for one in workloads.WORKLOADS if one.name == "hop")
    workload = dataclasses.replace(workload, quick=(contenders.DIRECT, contenders.OURS))
    lines: list[str] = []

    results = {"hop": await harness.run_workload(workload, PLAN, launcher, lines.append)}
    page = report.write(RunReport({"Cores": "2"}, "2026-01-01", PLAN, results), tmp_path)

    assert {"direct", "ours"} == set(results["hop"])
    for figures in results["hop"].values():
        assert {metric.name for metric in workload.metrics} == set(figures)
        assert all(len(figure.rounds) == 2 and figure.low > 0 for figure in figures.values())
    assert 4 == len(lines)
    assert (tmp_path / "performance" / "results.json").is_file()
    for picture in re.findall(r"\]\((.+\.svg)\)", page.read_text()):
        assert (tmp_path / picture).is_file()


async def test_transfers__arrive_whole(launcher):
    """A download and an upload are counted to the byte, or refused."""
    async with launcher.stub() as server:
        assert await load.download(server.address, 3) > 0
        assert await load.upload(server.address, 3) > 0
        with pytest.raises(BenchError, match="status 200 after 2 bytes"):
            await load.download(f"{server.address}/_stcore/health?", 1)


async def test_sessions__count_reruns(launcher):
    """Reruns of real sessions are counted one by one, show their value, and leave no process behind."""
    async with launcher.running(contenders.SIDECAR, script="small.py") as server:
        pids = server.pids()
        async with open_sessions(server.address, 3) as tabs:
            durations, elapsed = await turn_all(tabs, 0.3)
            for tab in tabs:
                await tab.checked_turn()
        turned = sum(tab.turns for tab in tabs)

    assert turned == len(durations) + len(tabs)
    assert 0 < max(durations) <= elapsed
    assert pids
    assert not any(processes.tree(pid) for pid in pids)


async def test_sessions__answer_pings_while_they_rest():
    """A tab that waits for its next round is not closed by a server that asks whether it is there."""
    answered = asyncio.Event()

    async def ask(connection):
        await (await connection.ping())
        answered.set()
        await connection.wait_closed()

    async with websockets.serve(ask, "127.0.0.1", 0, subprotocols=["streamlit"]) as server:
        port = server.sockets[0].getsockname()[1]
        session = Session(f"http://127.0.0.1:{port}")
        await session.connect()
        session.rest()
        await asyncio.wait_for(answered.wait(), 10)
        await session.close()

    assert answered.is_set()


def test_soak__shown_with_a_later_run(tmp_path):
    """The soak of one run is read from its report, with its samples, for the report of another."""
    figures = {metric.name: float(number) for number, metric in enumerate(soak.METRICS)}
    soaked = soak.Soak(figures, (soak.Sample(1.0, 2, 3, 4, 5),))
    results = {"soak": {"ours": {name: Figure((value,)) for name, value in figures.items()}}}
    report.write(RunReport({}, "2026-01-01", PLAN, results, soaked), tmp_path)

    assert soaked == report.read_soak(tmp_path)


def test_soak__not_there(tmp_path):
    """A folder without a soak is refused with the way to make one."""
    with pytest.raises(BenchError, match="--soak MINUTES"):
        report.read_soak(tmp_path)

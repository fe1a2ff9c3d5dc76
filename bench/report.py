"""What a run leaves behind: results.json, a page for people, and its charts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import bars, contenders, soak
from bench.bars import Outcome, Results
from bench.charts import Row, bar_chart, shown_value
from bench.commands import BenchError
from bench.contenders import Contender, Kind
from bench.statistics import Figure
from bench.workloads import DOWNLOAD_MB, WORKLOADS, Metric, Plan, Workload

PAGE, FOLDER, RESULTS = "performance.md", "performance", "results.json"

_CHARTS = (
    ("small", "reruns_per_s"),
    ("charts", "reruns_per_s"),
    ("latency", "p50_ms"),
    ("page", "render_slow_ms"),
    ("page", "first_kb"),
    ("hop", "gets_per_s"),
    ("hop", "echoes_per_s"),
    ("start", "ready_ms"),
)
_CONTENDERS = {
    one.name: one
    for one in (
        contenders.STREAMLIT,
        contenders.DIRECT,
        contenders.OURS,
        contenders.OURS_2,
        contenders.DAPHNE,
        contenders.SIDECAR,
        contenders.NGINX,
        contenders.FLUXLIT,
    )
}

_INTRODUCTION = """\
# Performance

Made by `./scripts/bench`, which starts every contender on one machine and lets them take turns, round by
round. Absolute figures are those of this machine; the ratios between contenders of one run are what carries
over. Each value is the middle of its rounds, with the least and the greatest round behind it.

"""

_METHOD = """\
## How it is measured

- **Contenders.** `streamlit run` with its defaults. `fluxlit_run` with one gateway worker and one sidecar, on
  uvicorn (with uvloop and httptools), or on daphne where it says so; access is public, because the others
  ask nobody to sign in. The tuned sidecar alone, on its Unix socket. nginx with one worker and gzip in
  front of `streamlit run`. FluxLit from PyPI, in a virtual environment of its own with the same Streamlit.
- **Reruns** are real: a client opens the WebSocket, moves the slider, and waits for Streamlit's
  `script_finished` message before it moves it again. After each round every session's page is read and
  must show the slider's value.
- **The hop** stands in front of a stub that answers at once, so that nothing hides its cost: small GETs
  with `wrk` over 20 connections, and WebSocket frames that are sent again as soon as they are back. FluxLit's
  own command cannot go without Streamlit, so there its gateway is started by its own ASGI factory. Small
  GETs are measured in front of a `streamlit run` as well, whose own work per request is larger.
- **Transfers** go through a front that was started for them, so that its memory has not grown before; the
  growth is that of all its processes, from the first small request to the highest point.
- **Pages** are loaded by Chromium with an empty cache, the slow link by DevTools' network emulation,
  which leaves WebSockets as fast as they are. Rendered means that the script's text shows. Our frontend
  is compressed ahead, as in an image; without that the first start does it in the background.
- **Memory** is the proportional set size: pages that processes share are counted once.
- **Idle sessions** have run their script once. The active ones rerun, rest a quarter of a second, and rerun.
- **The soak** runs at half of the rate that the sidecar reaches just before, on a script that asks the
  database and leaves reference cycles behind, and checks every message of every rerun. What is left
  behind is counted two minutes later, when Streamlit has let go of the closed sessions.
- Client and servers share the machine's cores. So two sidecars have no core each to themselves on a
  machine of two.
"""


@dataclass(frozen=True)
class RunReport:
    """One run of the benchmark."""

    machine: dict[str, str]
    finished_on: str
    """The date."""
    plan: Plan
    results: Results
    soak: soak.Soak | None = None


def write(report: RunReport, folder: Path) -> Path:
    """Write the page, its charts and the results below a folder; the path of the page."""
    pictures = folder / FOLDER
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    drawn = dict(_charts(report))
    for name, svg in drawn.items():
        (pictures / name).write_text(svg)
    (pictures / RESULTS).write_text(json.dumps(as_json(report), indent=1, ensure_ascii=False) + "\n")
    page = folder / PAGE
    page.write_text("\n".join(_page(report, list(drawn))).rstrip() + "\n")
    return page


def as_json(report: RunReport) -> dict[str, Any]:
    """All that was measured, for programs."""
    return {
        "machine": report.machine,
        "finished_on": report.finished_on,
        "plan": dataclasses.asdict(report.plan),
        "bars": [_outcome_as_json(outcome) for outcome in bars.judge(report.results)],
        "workloads": {
            workload: {
                contender: {metric: _figure_as_json(figure) for metric, figure in figures.items()}
                for contender, figures in by_contender.items()
            }
            for workload, by_contender in report.results.items()
        },
        "soak_samples": [dataclasses.asdict(sample) for sample in report.soak.samples] if report.soak else [],
    }


def read_soak(folder: Path) -> soak.Soak:
    """The soak of an earlier run, whose report is in this folder.

    Raises:
        BenchError: there is none.
    """
    path = folder / FOLDER / RESULTS
    try:
        found = json.loads(path.read_text())
        figures = found["workloads"]["soak"]["ours"]
    except (OSError, ValueError, KeyError) as exc:
        msg = f"{path} holds no soak: {exc!r}. Make one with --soak MINUTES --output {folder}."
        raise BenchError(msg) from exc
    samples = tuple(soak.Sample(**sample) for sample in found["soak_samples"])
    return soak.Soak({name: figure["median"] for name, figure in figures.items()}, samples)


def _figure_as_json(figure: Figure) -> dict[str, Any]:
    rounds = [round(value, 4) for value in figure.rounds]
    return {"median": round(figure.median, 4), "rounds": rounds}


def _outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "what": outcome.bar.what,
        "bar": outcome.bar.shown,
        **_figure_as_json(outcome.figure),
        "is_met": outcome.is_met,
    }


def outcome_lines(results: Results) -> Iterator[str]:
    """The bars of a run, one to a line, for a terminal."""
    for outcome in bars.judge(results):
        mark = "met   " if outcome.is_met else "MISSED"
        value = _shown(outcome.figure.median, outcome)
        yield f"  {mark}  {value:>10}  ({outcome.bar.shown})  {outcome.bar.what}"


def _page(report: RunReport, pictures: list[str]) -> Iterator[str]:
    yield _INTRODUCTION
    yield "## Bars\n"
    if report.plan.is_quick:
        yield "From a quick run: short measurements, fewer contenders, smaller loads. Not for publishing.\n"
    yield (
        f"Rates over {report.plan.window_s:g} s, downloads of {DOWNLOAD_MB} MB, uploads of "
        f"{report.plan.upload_mb} MB, {report.plan.idle_sockets:,} idle sessions.\n"
    )
    yield "| What | Bar | Result | Rounds | |"
    yield "| --- | --- | --- | --- | --- |"
    for outcome in bars.judge(report.results):
        figure = outcome.figure
        spread = f"{shown_value(figure.low)} – {shown_value(figure.high)}" if len(figure.rounds) > 1 else ""
        verdict = "met" if outcome.is_met else "**missed**"
        value = _shown(figure.median, outcome)
        yield f"| {outcome.bar.what} | {outcome.bar.shown} | {value} | {spread} | {verdict} |"
    yield ""
    yield "## Charts\n"
    for name in pictures:
        yield f"![{name.removesuffix('.svg').replace('-', ' ')}]({FOLDER}/{name})\n"
    yield "## All figures\n"
    for workload in WORKLOADS:
        if workload.name in report.results:
            yield from _table(workload.title, workload.metrics, report.results[workload.name])
    if report.soak is not None:
        yield from _table("Soak", soak.METRICS, report.results["soak"])
    yield _METHOD
    yield "## The machine\n"
    yield f"{report.finished_on}, {_count(report.plan.rounds, 'round')}.\n"
    yield "| | |"
    yield "| --- | --- |"
    for name, fact in report.machine.items():
        yield f"| {name} | {fact} |"


def _table(title: str, metrics: tuple[Metric, ...], results: Any) -> Iterator[str]:
    names = list(results)
    yield f"### {title}\n"
    yield f"| | {' | '.join(_CONTENDERS[name].label for name in names)} |"
    yield f"| --- |{' --- |' * len(names)}"
    for metric in metrics:
        cells = " | ".join(_cell(results[name][metric.name]) for name in names)
        yield f"| {metric.title}{f', {metric.unit}' if metric.unit else ''} | {cells} |"
    yield ""


def _cell(figure: Figure) -> str:
    text = shown_value(figure.median)
    if len(figure.rounds) > 1:
        text += f" ({shown_value(figure.low)} – {shown_value(figure.high)})"
    return text


def _shown(value: float, outcome: Outcome) -> str:
    return f"{shown_value(value)} {outcome.bar.unit}".replace(" ×", "×")


def _charts(report: RunReport) -> Iterator[tuple[str, str]]:
    by_name = {workload.name: workload for workload in WORKLOADS}
    for workload_name, metric_name in _CHARTS:
        results = report.results.get(workload_name)
        if results is None:
            continue
        workload = by_name[workload_name]
        metric = next(metric for metric in workload.metrics if metric.name == metric_name)
        rows = [
            _row(_CONTENDERS[name], figures[metric_name])
            for name, figures in results.items()
            if metric_name in figures
        ]
        rows.sort(key=lambda row: row.value, reverse=metric.more_is_better)
        name = f"{workload_name}-{metric_name.replace('_', '-')}.svg"
        yield name, bar_chart(metric.title, _note(workload, metric), metric.unit, rows)


def _note(workload: Workload, metric: Metric) -> str:
    better = "more" if metric.more_is_better else "less"
    return f"{workload.title}; {better} is better. The line spans the rounds."


def _row(contender: Contender, figure: Figure) -> Row:
    is_ours = contender.kind in {Kind.OURS, Kind.SIDECAR}
    return Row(contender.label, figure.median, figure.low, figure.high, is_ours)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""What we hold ourselves to, as ratios within one run or as plain figures, and whether a run meets it."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench import contenders
from bench.contenders import Contender
from bench.statistics import Figure, ratio

Results = Mapping[str, Mapping[str, Mapping[str, Figure]]]
"""By workload, contender and metric."""


class Bound(enum.Enum):
    """Which side of a bar is good."""

    AT_LEAST = "≥"
    AT_MOST = "≤"


@dataclass(frozen=True)
class Bar:
    """One thing to reach."""

    what: str
    workload: str
    metric: str
    bound: Bound
    limit: float
    reference: Contender | None = None
    """What the figure is divided by; None for a plain figure."""
    reference_metric: str = ""
    """The metric of the reference, when it is another one."""
    contender: Contender = contenders.OURS
    unit: str = "×"

    @property
    def shown(self) -> str:
        """The bar as people write it."""
        return f"{self.bound.value} {self.limit:g} {self.unit}".replace(" ×", "×")

    def is_met_by(self, value: float) -> bool:
        """Whether this value reaches it."""
        return value >= self.limit if self.bound is Bound.AT_LEAST else value <= self.limit


@dataclass(frozen=True)
class Outcome:
    """A bar and what a run made of it."""

    bar: Bar
    figure: Figure

    @property
    def is_met(self) -> bool:
        """Whether the middle of the rounds reaches the bar."""
        return self.bar.is_met_by(self.figure.median)


_LEAST, _MOST = Bound.AT_LEAST, Bound.AT_MOST
_STREAMLIT, _DIRECT, _FLUXLIT = contenders.STREAMLIT, contenders.DIRECT, contenders.FLUXLIT

BARS = (
    Bar("Reruns/s, small script, 50 sessions, 1 sidecar, against `streamlit run`",
        "small", "reruns_per_s", _LEAST, 10, _STREAMLIT),
    Bar("Reruns/s, table and charts, 20 sessions, 1 sidecar, against `streamlit run`",
        "charts", "reruns_per_s", _LEAST, 2, _STREAMLIT),
    Bar("Reruns/s, table and charts, 2 sidecars against 1",
        "charts", "reruns_per_s", _LEAST, 1.7, contenders.OURS, contender=contenders.OURS_2),
    Bar("Rerun, median, one session, against the same sidecar without the gateway",
        "latency", "p50_ms", _MOST, 1.15, contenders.SIDECAR),
    Bar("Bytes of the first load, against `streamlit run`",
        "page", "first_kb", _MOST, 0.40, _STREAMLIT),
    Bar("First render, 10 Mbit/s and 40 ms, against `streamlit run`",
        "page", "render_slow_ms", _MOST, 0.5, _STREAMLIT),
    Bar("First render, 10 Mbit/s and 40 ms, against FluxLit",
        "page", "render_slow_ms", _MOST, 0.5, _FLUXLIT),
    Bar("First render, loopback, against `streamlit run`",
        "page", "render_ms", _MOST, 1.0, _STREAMLIT),
    Bar("Small GETs through the hop, against `streamlit run` direct",
        "gets", "gets_per_s", _LEAST, 0.5, _DIRECT),
    Bar("Small GETs through the hop, against a stub direct, which answers at once",
        "hop", "gets_per_s", _LEAST, 0.5, _DIRECT),
    Bar("Small GETs through the hop, against FluxLit",
        "hop", "gets_per_s", _LEAST, 8, _FLUXLIT),
    Bar("WebSocket echoes of 2 kB over 20 sockets, against the upstream direct",
        "hop", "echoes_per_s", _LEAST, 0.6, _DIRECT),
    Bar("WebSocket echoes of 1 MB, against the upstream direct",
        "hop", "large_echoes_per_s", _LEAST, 0.8, _DIRECT),
    Bar("Download, against the upstream direct",
        "transfer", "download_mb_per_s", _LEAST, 0.6, _DIRECT),
    Bar("Upload, against the upstream direct",
        "transfer", "upload_mb_per_s", _LEAST, 0.6, _DIRECT),
    Bar("Growth of the gateway's memory during the download",
        "transfer", "download_growth_mb", _MOST, 20, unit="MB"),
    Bar("Growth of the gateway's memory during the upload",
        "transfer", "upload_growth_mb", _MOST, 20, unit="MB"),
    Bar("Start to ready, against `streamlit run` to healthy",
        "start", "ready_ms", _MOST, 1.5, _STREAMLIT),
    Bar("Memory of an idle session in the gateway",
        "idle", "idle_kb", _MOST, 100, unit="kB"),
    Bar("99th percentile of 20 active sessions, with idle ones against without",
        "idle", "p99_among_idle_ms", _MOST, 1.5, contenders.OURS, "p99_ms"),
    Bar("Failed reruns during the soak", "soak", "failed_reruns", _MOST, 0, unit="reruns"),
    Bar("Growth of memory over the second half of the soak", "soak", "growth_percent", _MOST, 5, unit="%"),
    Bar("Descriptors left after the soak", "soak", "leaked_descriptors", _MOST, 0, unit="descriptors"),
    Bar("Threads left after the soak", "soak", "leaked_threads", _MOST, 0, unit="threads"),
    Bar("Database connections left after the soak",
        "soak", "leaked_connections", _MOST, 0, unit="connections"),
)  # fmt: skip


def judge(results: Results) -> Iterator[Outcome]:
    """The outcome of every bar that a run has the figures for."""
    for bar in BARS:
        workload = results.get(bar.workload, {})
        figure = workload.get(bar.contender.name, {}).get(bar.metric)
        if figure is None:
            continue
        if bar.reference is None:
            yield Outcome(bar, figure)
            continue
        reference = workload.get(bar.reference.name, {}).get(bar.reference_metric or bar.metric)
        if reference is not None:
            yield Outcome(bar, ratio(figure, reference))

"""Metrics of the gateway for Prometheus.

Imported only where they are switched on. Every label has few values: names of apps and sidecars come from the
configuration, everything else from lists.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from fluxlit_django import __version__
from fluxlit_django.conf import Config
from fluxlit_django.control import SidecarStatus
from fluxlit_django.gateway import headers, responses
from fluxlit_django.gateway.edge import Edge
from fluxlit_django.gateway.observation import Dispatch, Observation, Refusal
from fluxlit_django.gateway.upstream import Directory
from fluxlit_django.metrics import files as metric_files

NO_APP = "-"
"""The label of what concerns no app; no app can have this name."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "WEBSOCKET"})
_OTHER = "OTHER"
_CLOSE_CODES = frozenset({1000, 1001, 1005, 1006, 1009, 1011, 1012, 1013, 4401, 4403, 4410, 4503})
_REQUEST_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_RERUN_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SOCKET_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
_UP = frozenset({"ready", "draining"})


@dataclass(frozen=True)
class _Series:
    """What requests of one kind count in."""

    requests: Counter
    answers: Counter
    received: Counter
    sent: Counter
    durations: Histogram | None
    """None for sockets."""


class Metrics:
    """A recorder that counts.

    Args:
        registry: where the series are kept.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = Counter(
            "fluxlit_gateway_requests",
            "Requests and WebSockets, by who answers them.",
            ["dispatch", "method_kind"],
            registry=registry,
        )
        self._durations = Histogram(
            "fluxlit_gateway_request_duration_seconds",
            "Time from a request's head to the end of its answer; WebSockets are not in it.",
            ["dispatch"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._responses = Counter(
            "fluxlit_gateway_responses",
            "Answers to requests and handshakes by class of status; none where the browser had gone.",
            ["dispatch", "app", "status_class"],
            registry=registry,
        )
        self._upstream_errors = Counter(
            "fluxlit_gateway_upstream_errors",
            "Requests and WebSockets that a sidecar failed: it was not there, too late, or broke off.",
            ["app", "kind"],
            registry=registry,
        )
        self._refusals = Counter(
            "fluxlit_gateway_refusals",
            "Requests and WebSockets that the gateway refused, by reason.",
            ["app", "reason"],
            registry=registry,
        )
        self._received = Counter(
            "fluxlit_gateway_received_bytes",
            "Bytes of request bodies and WebSocket messages from browsers.",
            ["dispatch", "protocol"],
            registry=registry,
        )
        self._sent = Counter(
            "fluxlit_gateway_sent_bytes",
            "Bytes of response bodies and WebSocket messages to browsers.",
            ["dispatch", "protocol"],
            registry=registry,
        )
        self._open_sockets = Gauge(
            "fluxlit_gateway_open_sockets",
            "WebSockets that are open now.",
            ["app"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._socket_durations = Histogram(
            "fluxlit_gateway_socket_duration_seconds",
            "Time for which WebSockets were open.",
            ["app"],
            buckets=_SOCKET_BUCKETS,
            registry=registry,
        )
        self._closes = Counter(
            "fluxlit_gateway_socket_closes",
            "WebSockets that ended, by close code.",
            ["app", "code"],
            registry=registry,
        )
        self._reruns = Histogram(
            "fluxlit_gateway_rerun_duration_seconds",
            "Time from a browser's wish for a rerun to the end of the script.",
            ["app"],
            buckets=_RERUN_BUCKETS,
            registry=registry,
        )
        self._told: dict[Observation, tuple[int, int]] = {}
        """Of open sockets, the bytes that have been counted already."""
        self._series: dict[tuple[str, ...], _Series] = {}

    def opened(self, seen: Observation) -> None:
        """Count an open socket."""
        self._told[seen] = (0, 0)
        self._open_sockets.labels(seen.app or NO_APP).inc()

    def reran(self, seen: Observation, duration_s: float) -> None:
        """Count a rerun, and what has passed of its socket so far: one may be open for days."""
        app = seen.app or NO_APP
        self._reruns.labels(app).observe(duration_s)
        self._count_bytes(seen, self._series_of(seen, app))

    def ended(self, seen: Observation) -> None:
        """Count a request or a socket."""
        if seen.dispatch is Dispatch.PROBE:
            return
        app = seen.app or NO_APP
        series = self._series_of(seen, app)
        series.requests.inc()
        series.answers.inc()
        self._count_bytes(seen, series)
        if series.durations is not None:
            series.durations.observe(seen.duration_s)
        elif self._told.pop(seen, None) is not None:
            self._open_sockets.labels(app).dec()
            self._socket_durations.labels(app).observe(seen.duration_s)
            code = str(seen.close_code) if seen.close_code in _CLOSE_CODES else "other"
            self._closes.labels(app, code).inc()
        if seen.refusal is not None:
            self._refusals.labels(app, seen.refusal.value).inc()
        if seen.upstream_error:
            self._upstream_errors.labels(app, seen.upstream_error).inc()

    def _series_of(self, seen: Observation, app: str) -> _Series:
        """The series of this kind of request, looked up once: each look-up costs as much as a count."""
        dispatch = seen.dispatch.value
        method = seen.method if seen.method in _METHODS else _OTHER
        answer = f"{seen.status // 100}xx" if 100 <= seen.status < 600 else "none"
        key = (dispatch, method, app, answer)
        found = self._series.get(key)
        if found is None:
            protocol = "websocket" if seen.is_socket else "http"
            found = self._series[key] = _Series(
                requests=self._requests.labels(dispatch, method),
                answers=self._responses.labels(dispatch, app, answer),
                received=self._received.labels(dispatch, protocol),
                sent=self._sent.labels(dispatch, protocol),
                durations=None if seen.is_socket else self._durations.labels(dispatch),
            )
        return found

    def _count_bytes(self, seen: Observation, series: _Series) -> None:
        received, sent = self._told.get(seen, (0, 0))
        if seen.bytes_in > received:
            series.received.inc(seen.bytes_in - received)
        if seen.bytes_out > sent:
            series.sent.inc(seen.bytes_out - sent)
        if seen in self._told:
            self._told[seen] = (seen.bytes_in, seen.bytes_out)


class SidecarCollector:
    """The sidecars, as every worker is told of them by the supervisor."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        """The series of all sidecars; one that drains counts with its replacement, which has its name."""
        labels = ["app", "sidecar"]
        up = GaugeMetricFamily("fluxlit_sidecar_up", "Whether a sidecar serves.", labels=labels)
        restarts = CounterMetricFamily(
            "fluxlit_sidecar_restarts", "How often a sidecar had to be started again.", labels=labels
        )
        memory = GaugeMetricFamily(
            "fluxlit_sidecar_resident_memory_bytes", "Memory that a sidecar holds.", labels=labels
        )
        sessions = GaugeMetricFamily(
            "fluxlit_sidecar_sessions", "Sessions with an open socket at a sidecar.", labels=labels
        )
        for (app, name), statuses in self._by_name().items():
            key = [app, name]
            up.add_metric(key, float(any(status.state in _UP for status in statuses)))
            restarts.add_metric(key, sum(status.restarts for status in statuses))
            memory.add_metric(key, sum(status.rss_bytes for status in statuses))
            sessions.add_metric(key, sum(status.sessions for status in statuses))
        info = GaugeMetricFamily(
            "fluxlit_info", "Versions of what runs.", labels=["version", "python", "django", "streamlit"]
        )
        info.add_metric([__version__, platform.python_version(), version("django"), version("streamlit")], 1)
        yield from (up, restarts, memory, sessions, info)

    def _by_name(self) -> dict[tuple[str, str], list[SidecarStatus]]:
        found: dict[tuple[str, str], list[SidecarStatus]] = {}
        for status in self._directory.all():
            if status.state != "stopped":
                found.setdefault((status.app, status.name), []).append(status)
        return found


class _Together:
    """What several collectors have, as one registry for an encoder."""

    def __init__(self, collectors: Iterable[Any]) -> None:
        self._collectors = list(collectors)

    def collect(self) -> Iterator[Metric]:
        for collector in self._collectors:
            yield from collector.collect()


class Exporter:
    """Answers a scrape: the sum over all workers, whichever answers.

    Args:
        config: who may ask.
        directory: the sidecars.
        registry: the metrics of this process, where it is the only one.
    """

    def __init__(self, config: Config, directory: Directory, registry: CollectorRegistry = REGISTRY) -> None:
        self._token = config.gateway_prometheus_metrics_token.encode()
        networks = config.gateway_prometheus_metrics_allow_ips
        self._networks = Edge(networks) if networks else None
        self._sidecars = SidecarCollector(directory)
        self._registry = registry
        files = os.environ.get(metric_files.VARIABLE)
        self._files = Path(files) if files else None
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Any, send: Any, seen: Observation) -> None:
        """Answer one GET or HEAD."""
        peer = scope["client"][0] if scope.get("client") else None
        if self._networks is not None and not self._networks.is_trusted(peer):
            seen.refuse(Refusal.FORBIDDEN)
            await responses.send_text(send, 403, "Forbidden: not from this address.")
            return
        given = headers.get(scope["headers"], b"authorization") or b""
        if self._token and not hmac.compare_digest(given, b"Bearer " + self._token):
            seen.refuse(Refusal.SIGN_IN)
            await responses.send_text(
                send, 401, "Unauthorized: a token is needed.", headers=((b"www-authenticate", b"Bearer"),)
            )
            return
        encode, content_type = choose_encoder(
            (headers.get(scope["headers"], b"accept") or b"").decode("latin-1")
        )
        async with self._lock:  # scrapes that come together read the files one after the other
            body = await asyncio.to_thread(self._encode, encode)
        fields = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": fields, "trailers": False})
        body = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _encode(self, encode: Any) -> bytes:
        if self._files is None:
            return bytes(encode(_Together([self._registry, self._sidecars])))
        with metric_files.locked(self._files):
            collector = MultiProcessCollector(None, str(self._files))  # type: ignore[no-untyped-call]
            return bytes(encode(_Together([collector, self._sidecars])))

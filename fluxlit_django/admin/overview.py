"""How the site is doing now: a page with small charts, which asks for its data every few seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone

from fluxlit_django.admin.events import tone
from fluxlit_django.admin.record import RecordAdmin, clock
from fluxlit_django.conf import get_config
from fluxlit_django.gateway.live import KEPT_SAMPLES, Sample, patience
from fluxlit_django.models import GatewayWorker, Overview, SidecarEvent

_SHOWN_EVENTS = 12
_MOST_WORKERS = 200
_MOST_RESTARTS = 1000
_HOURS = 24

Points = list[tuple[float, float]]


@admin.register(Overview)
class OverviewAdmin(RecordAdmin):
    """The page, in the place of a list, and its data."""

    def get_urls(self) -> list[URLPattern]:
        """The page and its data; there are no rows to look at."""
        wrap: Callable[[Any], Any] = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="fluxlit_overview_changelist"),
            path("data/", wrap(self.data_view), name="fluxlit_overview_data"),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """The page.

        Raises:
            PermissionDenied: the user may not view the overview.
        """
        self._require_permission(request)
        interval = get_config().live_sessions_interval_s
        context = {
            **self.admin_site.each_context(request),
            "title": "Overview",
            "opts": self.opts,
            "data_url": reverse(f"{self.admin_site.name}:fluxlit_overview_data"),
            "interval_s": interval,
            "may_see_events": self._may_see_events(request),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/fluxlit/overview.html", context)

    def data_view(self, request: HttpRequest) -> HttpResponse:
        """What the page shows, as JSON.

        Raises:
            PermissionDenied: the user may not view the overview.
        """
        self._require_permission(request)
        events = self._events() if self._may_see_events(request) else []
        return JsonResponse({**overview(), "events": events}, headers={"Cache-Control": "no-store"})

    def _require_permission(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _may_see_events(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("fluxlit.view_sidecarevent"))

    def _events(self) -> list[dict[str, Any]]:
        return [
            {
                "at": clock(event.at, "j M H:i:s"),
                "tone": tone(event.kind),
                "event": event.get_kind_display(),
                "process": event.child or "supervisor",
                "code": event.code,
                "url": self._event_url(event),
            }
            for event in SidecarEvent.objects.defer("last_lines")[:_SHOWN_EVENTS]
        ]

    def _event_url(self, event: SidecarEvent) -> str:
        try:
            return reverse(f"{self.admin_site.name}:fluxlit_sidecarevent_change", args=[event.pk])
        except NoReverseMatch:  # this admin site does not show events
            return ""


def overview() -> dict[str, Any]:
    """The workers that are alive, their sidecars, and the charts. Two queries, whatever there is."""
    interval = get_config().live_sessions_interval_s
    alive = GatewayWorker.objects.filter(seen_at__gte=timezone.now() - patience(interval))
    workers = list(alive.order_by("host", "pid")[:_MOST_WORKERS])
    newest = _newest_by_host(workers)
    return {
        "at": clock(timezone.now(), "H:i:s"),
        "workers": [
            {"host": worker.host, "pid": worker.pid, "sockets": worker.sockets} for worker in workers
        ],
        "sidecars": [
            {**sidecar, "host": worker.host} for worker in newest.values() for sidecar in worker.sidecars
        ],
        "charts": {
            "sockets": [{"name": "open sockets", "points": _sockets(workers, interval)}],
            "sessions": _by_sidecar(newest, lambda load: load[0]),
            "memory": _by_sidecar(newest, lambda load: load[1]),
            "restarts": [{"name": "restarts", "points": _restarts()}],
        },
    }


def _newest_by_host(workers: Iterable[GatewayWorker]) -> dict[str, GatewayWorker]:
    """The worker of each host that reported last: all of a host's know the same sidecars."""
    return {worker.host: worker for worker in sorted(workers, key=lambda worker: worker.seen_at)}


def _samples(worker: GatewayWorker) -> list[Sample]:
    return [Sample(*sample) for sample in worker.samples]


def _sockets(workers: Sequence[GatewayWorker], interval_s: float) -> Points:
    """The sum of all workers' sockets at a few moments, each worker counting with its sample before."""
    of_each = [_samples(worker) for worker in workers]
    moments = sorted({sample.at for samples in of_each for sample in samples})
    if not moments:
        return []
    step = max(interval_s, (moments[-1] - moments[0]) / KEPT_SAMPLES)
    last, count = moments[-1], int((moments[-1] - moments[0]) / step)
    times = [last - step * number for number in range(count, -1, -1)]
    return [(time, sum(_sockets_at(samples, time) for samples in of_each)) for time in times]


def _sockets_at(samples: Sequence[Sample], time: float) -> int:
    return next((sample.sockets for sample in reversed(samples) if sample.at <= time), 0)


def _by_sidecar(
    newest: Mapping[str, GatewayWorker], value: Callable[[tuple[int, int]], int]
) -> list[dict[str, Any]]:
    """A line for each sidecar there is now; its host is in its name when there are several."""
    lines = []
    for host, worker in newest.items():
        for name in dict.fromkeys(sidecar["name"] for sidecar in worker.sidecars):
            points = [
                (sample.at, value(sample.sidecars[name]))
                for sample in _samples(worker)
                if name in sample.sidecars
            ]
            lines.append({"name": name if len(newest) == 1 else f"{host}: {name}", "points": points})
    return lines


def _restarts() -> Points:
    """How many processes came back in each of the last hours, the present one last."""
    now = timezone.now()
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    first = this_hour - timedelta(hours=_HOURS - 1)
    restarts = SidecarEvent.objects.filter(kind=SidecarEvent.Kind.RESTARTED, at__gte=first)
    times = restarts.values_list("at", flat=True)[:_MOST_RESTARTS]
    counts = Counter(int((at - first).total_seconds() // 3600) for at in times)
    return [((first + timedelta(hours=hour)).timestamp(), counts.get(hour, 0)) for hour in range(_HOURS)]

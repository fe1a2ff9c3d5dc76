"""The overview: its page and the data that it draws."""

import time

import pytest
from django.urls import reverse
from django.utils import timezone

from fluxlit_django.admin.overview import overview
from fluxlit_django.models import SidecarEvent
from tests.admin.test_live_sessions import add_worker

PAGE, DATA = "admin:fluxlit_overview_changelist", "admin:fluxlit_overview_data"
SIDECAR = {
    "name": "default-0",
    "app": "default",
    "state": "ready",
    "restarts": 1,
    "detail": "",
    "generation": 1,
    "sessions": 2,
    "rss_bytes": 1 << 20,
}


def samples(*sockets, start=None):
    start = time.time() - 5 * len(sockets) if start is None else start
    return [[start + 5 * number, count, {"default-0": [count, 1000]}] for number, count in enumerate(sockets)]


def values(line):
    return [value for _, value in line["points"]]


@pytest.mark.django_db
def test_overview__sums_workers():
    """Sockets of all workers are summed, each counting as it last said; the sidecars are told once."""
    start = time.time() - 20
    add_worker(samples=samples(1, 2, 3, start=start), sockets=3, sidecars=[SIDECAR])
    add_worker(samples=samples(10, 10, start=start + 6), sockets=10, sidecars=[SIDECAR])
    add_worker(seen_ago_s=600, samples=samples(100), sockets=100)

    data = overview()

    assert [3, 10] == sorted(worker["sockets"] for worker in data["workers"])
    (sockets,) = data["charts"]["sockets"]
    assert 13 == values(sockets)[-1]
    assert 1 == values(sockets)[0]
    assert ["default-0"] == [sidecar["name"] for sidecar in data["sidecars"]]
    (sessions,) = data["charts"]["sessions"]
    assert "default-0" == sessions["name"]


@pytest.mark.django_db
def test_overview__several_hosts():
    """With several hosts, a sidecar is named with its own."""
    for host in ("one", "two"):
        worker = add_worker(samples=samples(1), sidecars=[SIDECAR])
        worker.host = host
        worker.save()

    data = overview()

    assert ["one: default-0", "two: default-0"] == sorted(line["name"] for line in data["charts"]["memory"])


@pytest.mark.django_db
def test_overview__nobody_reports():
    """Without workers there is nothing to draw, and no error."""
    data = overview()

    assert [] == data["workers"]
    assert [] == values(data["charts"]["sockets"][0])


@pytest.mark.django_db
def test_overview__restarts():
    """Restarts are counted by the hour, the present one last."""
    for _ in range(2):
        SidecarEvent.objects.create(kind="restarted", host="box", at=timezone.now())
    SidecarEvent.objects.create(kind="exited", host="box")

    (line,) = overview()["charts"]["restarts"]

    assert (24, 2, 2) == (len(values(line)), values(line)[-1], sum(values(line)))


@pytest.mark.django_db
def test_data__is_few_queries(admin_client, django_assert_num_queries):
    """The data take five queries: session, user, events, workers, restarts."""
    for _ in range(5):
        add_worker(samples=samples(1, 2), sidecars=[SIDECAR])
    SidecarEvent.objects.bulk_create(SidecarEvent(kind="ready", host="box") for _ in range(500))

    with django_assert_num_queries(5):
        data = admin_client.get(reverse(DATA)).json()

    assert 12 == len(data["events"])
    assert data["events"][0]["url"].startswith("/admin/fluxlit/sidecarevent/")


@pytest.mark.django_db
def test_data__events_need_their_own_permission(make_staff):
    """Who may see the overview and no events sees the overview without them."""
    SidecarEvent.objects.create(kind="ready", host="box")
    client = make_staff("view_overview")

    page = client.get(reverse(PAGE)).content.decode()
    data = client.get(reverse(DATA)).json()

    assert "Recent events" not in page
    assert [] == data["events"]


@pytest.mark.django_db
def test_page__under_a_strict_policy(admin_client):
    """No script and no style stands in the page itself, as a strict Content-Security-Policy asks."""
    page = admin_client.get(reverse(PAGE)).content.decode()
    own = page[page.index('class="fluxlit-overview"') :].partition("</main>")[0]

    assert "<script" not in own
    assert "style=" not in own
    assert 'src="/static/fluxlit/overview.js" defer' in page

"""Starts and events in the admin: read only, by permission, and fast with many rows."""

import csv
import json

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from fluxlit_django.history.snapshot import save_snapshot
from fluxlit_django.models import LiveSession, SettingsSnapshot, SidecarEvent
from tests.history.test_snapshot import take

EVENTS = "admin:fluxlit_sidecarevent_changelist"
STARTS = "admin:fluxlit_settingssnapshot_changelist"
MANY = 100_000


@pytest.fixture
def many_events(db):
    """A hundred thousand events, of which one in a thousand is an exit."""
    now = timezone.now()
    SidecarEvent.objects.bulk_create(
        (
            SidecarEvent(
                at=now,
                kind="exited" if number % 1000 == 0 else "ready",
                child=f"default-{number % 4}",
                app="default",
                host="box",
                last_lines="one\ntwo",
            )
            for number in range(MANY)
        ),
        batch_size=10_000,
    )


def test_events__many(admin_client, many_events, django_assert_num_queries):
    """With a hundred thousand rows a list takes four queries: session, user, a count with a limit, rows."""
    lists = ["", "p=3", "kind__exact=exited", "app=default", "q=default-1", "p=200"]

    for query in lists:
        with django_assert_num_queries(4) as queries:
            response = admin_client.get(f"{reverse(EVENTS)}?{query}")

        assert 200 == response.status_code
        assert response.context["cl"].result_list
        count, rows = (query["sql"] for query in queries.captured_queries[2:])
        assert "LIMIT 10000)" in count
        assert "LIMIT 50" in rows


@pytest.mark.parametrize(
    "rows",
    [
        SidecarEvent.objects.all(),
        SidecarEvent.objects.filter(kind="exited"),
        SidecarEvent.objects.filter(child="default-1"),
        SidecarEvent.objects.filter(app="explore"),
    ],
    ids=["all", "kind", "process", "app"],
)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plan")
def test_events__by_index(db, rows):
    """The newest rows of each filter come in the order of an index: nothing is sorted."""
    plan = rows[:50].explain()

    assert "B-TREE" not in plan


def test_events__newest_first(admin_client, db):
    """The newest event is at the top, with the line that says most."""
    SidecarEvent.objects.create(kind="ready", child="default-0", host="box")
    SidecarEvent.objects.create(
        kind="exited", child="default-0", code=-9, host="box", last_lines="a\n<b>last"
    )

    page = admin_client.get(reverse(EVENTS)).content.decode()

    assert page.index("exited</span>") < page.index("ready</span>")
    assert "&lt;b&gt;last" in page


@pytest.mark.parametrize("model", [SidecarEvent, SettingsSnapshot, LiveSession])
def test_records__are_read_only(admin_client, db, model):
    """Not even a superuser adds, changes or deletes a record."""
    name = f"admin:fluxlit_{model._meta.model_name}"
    SidecarEvent.objects.create(kind="ready", host="box")
    save_snapshot(take())

    added = admin_client.post(reverse(f"{name}_add"))
    listed = admin_client.get(reverse(f"{name}_changelist"))
    deleted = admin_client.post(
        reverse(f"{name}_changelist"), {"action": "delete_selected", "_selected_action": ["1"], "post": "yes"}
    )

    assert [403, 200] == [added.status_code, listed.status_code]
    assert "delete_selected" not in listed.content.decode()
    assert deleted.status_code in {200, 302}
    assert (1, 1) == (SidecarEvent.objects.count(), SettingsSnapshot.objects.count())


def test_event__cannot_be_changed(admin_client, db):
    """A form that is sent all the same changes nothing."""
    event = SidecarEvent.objects.create(kind="ready", host="box")
    url = reverse("admin:fluxlit_sidecarevent_change", args=[event.pk])

    codes = [admin_client.post(url, {"kind": "exited"}).status_code]
    codes.append(admin_client.post(reverse("admin:fluxlit_sidecarevent_delete", args=[event.pk])).status_code)

    assert [403, 403] == codes
    event.refresh_from_db()
    assert "ready" == event.kind


@pytest.mark.parametrize(
    ("codename", "url"),
    [
        ("view_sidecarevent", EVENTS),
        ("view_settingssnapshot", STARTS),
        ("view_livesession", "admin:fluxlit_livesession_changelist"),
        ("view_overview", "admin:fluxlit_overview_changelist"),
        ("view_overview", "admin:fluxlit_overview_data"),
    ],
)
def test_permissions(make_staff, db, codename, url):
    """Each page has a permission of its own: who has it sees that page, and no other."""
    pages = {
        EVENTS: "view_sidecarevent",
        STARTS: "view_settingssnapshot",
        "admin:fluxlit_livesession_changelist": "view_livesession",
        "admin:fluxlit_overview_changelist": "view_overview",
        "admin:fluxlit_overview_data": "view_overview",
    }
    client = make_staff(codename)

    codes = {page: client.get(reverse(page)).status_code for page in pages}

    assert {page: 200 if needed == codename else 403 for page, needed in pages.items()} == codes
    assert 200 == codes[url]


def test_start__differences(admin_client, db):
    """The page of a start shows what is another than before, with the sources, and then the rest."""
    save_snapshot(take(workers=1))
    second = take(workers=2, sources={"workers": "flag"})
    second.diagnostics = [{"id": "fluxlit.W001", "level": "warning", "message": "<odd>", "hint": "Mend it."}]
    second.problems = 1
    save_snapshot(second)

    page = admin_client.get(
        reverse("admin:fluxlit_settingssnapshot_change", args=[second.pk])
    ).content.decode()

    changes, _, rest = page[page.index("Changes since") :].partition("As before")
    assert "FLUXLIT_WORKERS" in changes
    assert "<del>1</del>" in changes
    assert "<ins>2</ins>" in changes
    assert "flag" in changes
    assert "FLUXLIT_TITLE" not in changes
    assert "FLUXLIT_TITLE" in rest
    assert "fluxlit.W001" in page
    assert "&lt;odd&gt;" in page


def test_start__is_few_queries(admin_client, db, django_assert_max_num_queries):
    """The page of a start reads two starts, however many there are."""
    for _ in range(30):
        save_snapshot(take())

    with django_assert_max_num_queries(7):  # session, user, savepoint, type, the start, the one before
        admin_client.get(
            reverse("admin:fluxlit_settingssnapshot_change", args=[SettingsSnapshot.objects.first().pk])
        )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", 3),
        ("settings=changed", 1),
        ("settings=same", 1),
        ("diagnostics=some", 1),
        ("diagnostics=none", 2),
    ],
)
def test_starts__filters(admin_client, db, query, expected):
    """Starts are found by whether their settings changed and by whether something was wrong."""
    for snapshot in (take(), take(), take(workers=2)):
        save_snapshot(snapshot)
    SettingsSnapshot.objects.filter(changes=None).update(problems=1)

    response = admin_client.get(f"{reverse(STARTS)}?{query}")

    assert expected == len(response.context["cl"].result_list)


def export(client, url, action, *rows):
    """The text of the file that an action gives."""
    response = client.post(
        reverse(url), {"action": action, "_selected_action": [row.pk for row in rows], "index": 0}
    )
    assert "attachment" in response["Content-Disposition"]
    return b"".join(response.streaming_content).decode()


def test_starts__export_json(admin_client, db):
    """Chosen starts come as JSON, with all that is known of them."""
    chosen, other = take(workers=3), take()
    save_snapshot(chosen)
    save_snapshot(other)

    (row,) = json.loads(export(admin_client, STARTS, "export_json", chosen))

    assert 3 == row["settings"]["FLUXLIT_WORKERS"]["value"]
    assert set(row) == {field.name for field in SettingsSnapshot._meta.fields}


def test_starts__export_csv(admin_client, db):
    """Chosen starts come as CSV, a line for each fact, and no cell is a formula."""
    start = take(title="=1+2", workers=3, sources={"workers": "environment"})
    save_snapshot(start)

    header, *lines = csv.reader(export(admin_client, STARTS, "export_csv", start).splitlines())

    assert ["at", "host", "name", "value", "source"] == header
    facts = {name: (value, source) for _, _, name, value, source in lines}
    assert ("3", "environment") == facts["FLUXLIT_WORKERS"]
    assert "'=1+2" == facts["FLUXLIT_TITLE"][0]


def test_events__export(admin_client, db):
    """Events come as files too."""
    event = SidecarEvent.objects.create(kind="exited", child="default-0", code=3, host="box")

    (row,) = json.loads(export(admin_client, EVENTS, "export_json", event))
    _, line = csv.reader(export(admin_client, EVENTS, "export_csv", event).splitlines())

    assert ("exited", 3) == (row["kind"], row["code"])
    assert ["exited", "default-0", "", "3", "0", "box", ""] == line[1:]

"""What a start is remembered by, and how it differs from the one before."""

import json

import pytest
from django.core import serializers

from fluxlit_django import conf
from fluxlit_django.conf import AppConfig, Config
from fluxlit_django.history.snapshot import (
    differences,
    previous_of,
    save_snapshot,
    scrubber_of,
    take_snapshot,
)
from fluxlit_django.models import SettingsSnapshot, SidecarEvent
from fluxlit_django.supervisor.events import Event, EventKind
from tests.history.test_recorder import make_recorder

SECRETS = {
    name: f"{name}-5ecret"
    for name in ("flag", "variable", "upstream", "setting", "key", "database", "override", "cache", "named")
}


def take(**options):
    config = Config(**options)
    return take_snapshot(config, ["manage.py", "fluxlit_run"], scrubber_of(config))


def test_take_snapshot():
    """Every setting is there with its source, and the versions, and the command line."""
    config = Config(workers=3, sources={"workers": "flag"}, apps=(AppConfig("explore", "/explore"),))

    snapshot = take_snapshot(config, ["manage.py", "fluxlit_run", "--workers", "3"], scrubber_of(config))

    assert {"value": 3, "source": "flag", "place": "--workers"} == snapshot.settings["FLUXLIT_WORKERS"]
    unset = snapshot.settings["FLUXLIT_STREAMLIT_PREIMPORT"]
    assert {"value": [], "source": "default", "place": ""} == unset
    assert {"value": "/explore", "source": "settings"} == snapshot.settings["APPS.explore.mount"]
    assert {"value": "login", "source": "default"} == snapshot.settings["APPS.explore.access"]
    assert "manage.py fluxlit_run --workers 3" == snapshot.command_line
    assert {"fluxlit-django", "Python", "Django", "Streamlit"} == set(snapshot.versions)


def test_take_snapshot__diagnostics(settings):
    """What the system checks say of our settings is there."""
    settings.FLUXLIT = {"ACESS": "public"}

    snapshot = take()

    (diagnostic,) = snapshot.diagnostics
    assert ("fluxlit.E002", "error") == (diagnostic["id"], diagnostic["level"])
    assert "ACCESS" in diagnostic["hint"]
    assert 1 == snapshot.problems


def test_scrubber__warns_of_nothing(settings, recwarn):
    """Settings that Django gives up, and the project does not use, are nothing to warn of at a start."""
    settings.SHOP_NAME = "Ada's"  # what has been read before is forgotten

    scrubber_of(Config())

    assert [] == recwarn.list


def test_differences__values_and_sources():
    """A fact is changed when its value or its source is another; so is one that is new or gone."""
    before, now = take(workers=1), take(workers=2, sources={"mount": "environment"})
    before.settings["FLUXLIT_OLD"] = {"value": True, "source": "settings"}
    del before.settings["FLUXLIT_TITLE"]

    changed = {
        found.name: (found.before, found.now) for found in differences(before, now) if found.is_changed
    }

    assert {
        "FLUXLIT_TITLE": ("", "FluxLit"),
        "FLUXLIT_MOUNT": ("", ""),
        "FLUXLIT_WORKERS": ("1", "2"),
        "FLUXLIT_OLD": ("true", ""),
    } == changed


@pytest.mark.django_db
def test_save_snapshot():
    """The number of changes against the start before is saved; the first has none."""
    snapshots = [take(), take(), take(workers=2)]

    for snapshot in snapshots:
        save_snapshot(snapshot)

    assert [None, 0, 1] == [snapshot.changes for snapshot in snapshots]
    assert snapshots[1] == previous_of(snapshots[2])
    assert previous_of(snapshots[0]) is None


@pytest.mark.django_db(transaction=True)
def test_no_secret_is_stored(settings, monkeypatch):
    """Secrets in flags, the environment, settings and URLs are in no row, nor what a child prints of them."""
    secret = SECRETS
    settings.SECRET_KEY = secret["key"]
    settings.CACHES = {"default": {"LOCATION": f"redis://:{secret['cache']}@cache/0"}}
    monkeypatch.setenv("SHOP_API_TOKEN", secret["variable"])
    monkeypatch.setenv("DATABASE_URL", f"postgres://ada:{secret['database']}@db/shop")
    monkeypatch.setenv("FLUXLIT_STREAMLIT_UPSTREAM", f"http://ada:{secret['upstream']}@127.0.0.1:8501")
    monkeypatch.setenv("FLUXLIT_TESTS", "true")
    monkeypatch.setenv("FLUXLIT_TEST_PAGE_OVERRIDES", json.dumps({"token": secret["override"]}))
    monkeypatch.setenv(
        conf.FLAGS_VARIABLE, json.dumps({"gateway_host": f"http://ada:{secret['flag']}@127.0.0.1"})
    )
    settings.FLUXLIT = {
        "INTERNAL_API_BASE": f"http://ada:{secret['setting']}@127.0.0.1/api",
        "APPS": {"far": {"STREAMLIT_UPSTREAM": f"http://ada:{secret['named']}@127.0.0.1:8502"}},
    }
    arguments = ["manage.py", "fluxlit_run", "--host", f"http://ada:{secret['flag']}@127.0.0.1"]
    config, _ = conf.load_config()
    scrubber = scrubber_of(config)
    printed = tuple(f"{name} is {value}" for name, value in secret.items())

    snapshot = take_snapshot(config, arguments, scrubber)
    with make_recorder(scrubber=scrubber, snapshot=snapshot) as recorder:
        recorder(Event(EventKind.EXITED, "default-0", 1, printed))

    rows = serializers.serialize("json", [*SettingsSnapshot.objects.all(), *SidecarEvent.objects.all()])
    assert "[REDACTED]" in rows
    assert [] == [value for value in secret.values() if value in rows]

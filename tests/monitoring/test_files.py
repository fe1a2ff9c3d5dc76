"""The files for Prometheus and Grafana in `deploy`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fluxlit_django.conf import Config, setting_fields
from fluxlit_django.gateway.metrics import Metrics, SidecarCollector
from fluxlit_django.gateway.upstream import Directory
from tests.monitoring.prometheus import FILES, find_program
from tests.site import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
NAME = re.compile(r"\bfluxlit_\w+")


@pytest.mark.parametrize(
    "arguments", [("check", "config", "prometheus.yml"), ("check", "rules", "rules.yml")], ids=" ".join
)
def test_promtool(arguments: tuple[str, ...]) -> None:
    """Prometheus's own tool finds nothing wrong."""
    done = subprocess.run(
        [find_program("promtool"), *arguments], cwd=FILES, capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def test_rules(tmp_path: Path) -> None:
    """An alert fires when it should, and only then."""
    shutil.copy(FILES / "rules.yml", tmp_path)
    shutil.copy(Path(__file__).with_name("rules_test.yml"), tmp_path)

    done = subprocess.run(
        [find_program("promtool"), "test", "rules", "rules_test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def series_names() -> set[str]:
    """The names that the gateway gives its series."""
    registry = CollectorRegistry()
    Metrics(registry)
    families = [*registry.collect(), *SidecarCollector(Directory()).collect()]
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    return {f"{family.name}{suffix}" for family in families for suffix in suffixes[family.type]}


@pytest.mark.parametrize("path", [FILES / "rules.yml", DASHBOARD], ids=lambda path: path.name)
def test_names(path: Path) -> None:
    """What the rules and the dashboard ask for exists."""
    assert set() == set(NAME.findall(path.read_text())) - series_names() - {"fluxlit_run"}


def test_rules__settings() -> None:
    """The settings that the files name exist."""
    known = {f"FLUXLIT_{field.name.upper()}" for field in setting_fields()}
    text = "".join(path.read_text() for path in FILES.iterdir())

    assert set() == set(re.findall(r"FLUXLIT_\w+", text)) - known


def test_prometheus__path() -> None:
    """The path that is scraped is the default one."""
    text = (FILES / "prometheus.yml").read_text()

    assert f"metrics_path: {Config().gateway_prometheus_metrics_path}\n" in text


def panels() -> list[dict[str, Any]]:
    """The dashboard's panels, its rows' headings left out."""
    found = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def test_dashboard__grid() -> None:
    """Panels have ids of their own, stay within the width and do not cover each other."""
    taken = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells

    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)


def test_docs__series() -> None:
    """docs/observability.md lists every series with its labels."""
    page = (ROOT / "docs" / "observability.md").read_text()
    rows = page.partition("<!-- series -->")[2].partition("<!-- /series -->")[0].splitlines()
    listed = {
        name: labels
        for row in rows
        if (names := re.findall(r"`([^`]+)`", "|".join(row.split("|")[1:3])))
        for name, *labels in [names]
    }
    registry = CollectorRegistry()
    Metrics(registry)
    ours = {
        f"{metric._name}_total" if metric._type == "counter" else metric._name: list(metric._labelnames)
        for metric in registry._collector_to_names
    }
    sidecars = {
        f"{family.name}_total" if family.type == "counter" else family.name: list(family._labelnames)
        for family in SidecarCollector(Directory()).collect()
    }

    assert ours | sidecars == listed

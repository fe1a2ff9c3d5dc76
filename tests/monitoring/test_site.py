"""One request as logs and metrics show it: the real command with two workers, and a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.prometheus import running_prometheus
from tests.monitoring.test_files import panels
from tests.site import Site, manage, running_site, site_environment
from tests.streamlit_protocol import StreamlitClient

LIMIT_S = 30
PAGES = """
from fluxlit_django import FluxLit

app = FluxLit(title="Watched")


@app.page("/")
def home(st, client):
    print("printed by the page")
    st.write(client.get("/nothing").status_code)
    if st.query_params.get("fail"):
        raise RuntimeError("no answer from http://ann:pw@h/?token=SECRET")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the site has its files."""
    return tmp_path_factory.mktemp("watched")


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    """A site with two workers, logs in JSON and metrics."""
    (folder / "watched_pages.py").write_text(PAGES)
    environment = site_environment(
        folder,
        PYTHONPATH=str(folder),
        FLUXLIT_APP="watched_pages:app",
        FLUXLIT_ACCESS="public",
        FLUXLIT_LOG_FORMAT="json",
        FLUXLIT_RUNTIME_DIR=str(folder / "run"),
        FLUXLIT_ENABLE_GATEWAY_PROMETHEUS_METRICS="true",
    )
    manage(environment, "migrate", "-v0")
    with running_site(environment, "--workers", "2") as running:
        yield running


def lines(site: Site) -> list[dict[str, Any]]:
    """All that the command has printed, each line of which is an object."""
    return [json.loads(line) for line in site.log.splitlines()]


async def open_page(site: Site, query: str) -> str:
    """Visit the page in a new tab; the request id of its socket."""
    async with StreamlitClient(site.url, headers={"Origin": site.url}) as tab:
        await tab.rerun(query=query)
        response = tab.socket._response
    return response.headers["X-Request-ID"]


def test_logs__joined(site: Site) -> None:
    """The socket, what its page asks of the API and what it logs stand under one id, without secrets."""
    request_id = asyncio.run(open_page(site, "fail=1&fluxlit_sid=SECRET"))

    deadline = time.monotonic() + LIMIT_S
    while True:
        ours = [line for line in lines(site) if line.get("request_id") == request_id]
        if any(line.get("method") == "WEBSOCKET" for line in ours):
            break
        assert time.monotonic() < deadline, site.log
        time.sleep(0.1)
    by_path = {line["path"]: line for line in ours if "path" in line}
    socket, call = by_path["/_stcore/stream"], by_path["/api/nothing"]
    error = next(line for line in ours if "exception" in line)
    assert (101, "default", "default-0", 1) == tuple(
        socket[name] for name in ("status", "app", "sidecar", "reruns")
    )
    assert (404, "api") == (call["status"], call["dispatch"])
    assert "gateway" == socket["process"].split("-")[0] == call["process"].split("-")[0]
    assert "default-0" == error["process"]
    assert "no answer from http://[REDACTED]@h/?token=[REDACTED]" in error["exception"]
    assert any(line["message"] == "Not Found: /api/nothing" for line in ours)
    assert any(
        (line["process"], line["message"]) == ("default-0", "printed by the page") for line in lines(site)
    )
    assert "SECRET" not in site.log


def test_prometheus(site: Site, tmp_path: Path) -> None:
    """A real Prometheus scrapes the site, whose rules and dashboard it understands."""
    asyncio.run(open_page(site, ""))
    with running_prometheus(tmp_path, site.url.removeprefix("http://")) as prometheus:
        prometheus.wait_for('up{job="fluxlit"}', lambda values: values == [1])
        prometheus.wait_for("fluxlit_sidecar_up", lambda values: values and set(values) == {1})
        reruns = "fluxlit_gateway_rerun_duration_seconds_count"
        prometheus.wait_for(f"sum({reruns})", lambda values: values and values[0] >= 1)
        prometheus.wait_for("fluxlit:requests:rate5m", lambda values: values)
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        firing = prometheus.query('ALERTS{alertname!="FluxlitReruns"}')
        for panel in panels():
            for target in panel["targets"]:
                expression = target["expr"].replace("$__rate_interval", "1m")
                prometheus.query(re.sub(r"\$\w+", ".*", expression))

    assert {"ok"} == {rule["health"] for rule in rules}
    assert {} == firing


def scrape(site: Site) -> dict[str, float]:
    """The series that whichever worker answers shows."""
    with urllib.request.urlopen(f"{site.url}/__fluxlit/metrics", timeout=10) as response:
        text = response.read().decode()
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_metrics__survive_a_worker(site: Site, folder: Path) -> None:
    """A worker that is killed takes none of its counts with it, and leaves no file behind."""
    series = 'fluxlit_gateway_requests_total{dispatch="django",method_kind="GET"}'
    for _ in range(20):
        urllib.request.urlopen(f"{site.url}/", timeout=10).close()
    deadline = time.monotonic() + LIMIT_S
    # A request counts when its answer is on its way already.
    while (before := scrape(site)[series]) < 20:
        assert time.monotonic() < deadline, before
        time.sleep(0.1)
    killed = site.child("fluxlit_django.gateway")

    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + LIMIT_S
    while any((folder / "run").glob(f"metrics-*/*_{killed}.db")):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert before <= scrape(site)[series]
    assert any((folder / "run").glob("metrics-*/counter_gone.db"))


def test_metrics__of_django(site: Site) -> None:
    """What django-prometheus counts in the project's middleware is in the same sum."""
    urllib.request.urlopen(f"{site.url}/", timeout=10).close()

    assert any(name.startswith("django_http_requests_total_by_method_total") for name in scrape(site))

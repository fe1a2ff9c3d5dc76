"""Secrets of a running site: where they were put, and nowhere else."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from tests.command.test_faults import is_so_within, tab, wait_for_line
from tests.site import manage, running_site, site_environment
from tests.streamlit_protocol import Closed

SCRIPT = """
import logging
import os

import streamlit as st

logging.getLogger("shop").warning("no answer from https://ann:%s@shop.example/?token=%s", *2 * ["sesame-log"])
if "end" in st.query_params:
    print("api key", os.environ["MY_API_KEY"], "token=sesame-print", flush=True)
    os._exit(7)
"""
VARIABLES = {
    "FLUXLIT_ACCESS": "public",
    "FLUXLIT_ENABLE_GATEWAY_PROMETHEUS_METRICS": "true",
    "FLUXLIT_GATEWAY_PROMETHEUS_METRICS_TOKEN": "sesame-metrics",
    "FLUXLIT_PUBLIC_BASE_URL": "https://ann:sesame-base@shop.example",
    "MY_API_KEY": "sesame-variable",
    "REPORTS_DATABASE_URL": "postgres://ann:sesame-database@127.0.0.1/reports",
}


async def test_secrets__are_nowhere_else(tmp_path):
    """Neither the database nor the metrics hold one, nor the log but for what a script prints by itself."""
    script = tmp_path / "plain.py"
    script.write_text(SCRIPT)
    environment = site_environment(tmp_path, FLUXLIT_SCRIPT=str(script), **VARIABLES)
    manage(environment, "migrate", "-v0")
    with running_site(environment) as site:
        fetch(f"{site.url}/api/healthz?token=sesame-query")
        fetch(f"{site.url}/?api_key=sesame-query")
        async with tab(site) as client:
            await client.rerun()
            with pytest.raises(Closed):
                await client.rerun(query="end=1")
        wait_for_line(site, "default-0 serves again")
        metrics = fetch(f"{site.url}/__fluxlit/metrics", Authorization="Bearer sesame-metrics")
        assert is_so_within(10, lambda: b"api key [REDACTED] token=[REDACTED]" in database(tmp_path))

    assert b"fluxlit_gateway_requests_total" in metrics
    assert b"https://[REDACTED]@shop.example" in database(tmp_path)
    assert b"sesame" not in metrics + database(tmp_path)
    assert "GET /?api_key=[REDACTED] 200" in site.log
    assert ["api key sesame-variable token=sesame-print"] == [
        line.partition("| ")[2] for line in site.log.splitlines() if "sesame" in line
    ]


def fetch(url: str, **headers: str) -> bytes:
    """The body of an answer that is no error."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return answer.read()


def database(folder: Path) -> bytes:
    """Everything that the database's files hold."""
    return b"".join(path.read_bytes() for path in folder.glob("db.sqlite3*"))

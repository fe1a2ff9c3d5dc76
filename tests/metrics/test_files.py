"""The metrics of processes that have gone."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from fluxlit_django.metrics import files as metric_files

COUNT = """
from prometheus_client import Counter, Gauge, Histogram, Summary
Counter("visits", "Visits.", ["page"]).labels("a").inc(2)
Histogram("waits", "Waits.", buckets=[1, 5]).observe(3)
Summary("sizes", "Sizes.").observe(7)
Gauge("open", "Open.", multiprocess_mode="livesum").inc(4)
Gauge("now", "Now.").set(5)
"""


def run_process(folder: Path) -> int:
    """A process that counts and ends; its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNT], env={**os.environ, metric_files.VARIABLE: str(folder)}
    )
    assert 0 == process.wait(30)
    return process.pid


def series(folder: Path) -> dict[str, float]:
    """What a scrape would show."""
    collector = MultiProcessCollector(None, str(folder))
    registry = CollectorRegistry()
    registry.register(collector)
    lines = generate_latest(registry).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_forget_process(tmp_path: Path) -> None:
    """Its counts stay in the sum, its gauges go, and so do its files."""
    before = run_process(tmp_path)
    other = run_process(tmp_path)

    metric_files.forget_process(tmp_path, before)
    one_gone = series(tmp_path)
    metric_files.forget_process(tmp_path, other)
    both_gone = series(tmp_path)

    counts = {
        'visits_total{page="a"}': 4,
        'waits_bucket{le="1.0"}': 0,
        'waits_bucket{le="5.0"}': 2,
        'waits_bucket{le="+Inf"}': 2,
        "waits_sum": 6,
        "waits_count": 2,
        "sizes_sum": 14,
        "sizes_count": 2,
    }
    assert {**counts, "open": 4, f'now{{pid="{other}"}}': 5} == one_gone
    assert counts == both_gone
    assert ["counter_gone.db", "histogram_gone.db", "lock", "summary_gone.db"] == sorted(os.listdir(tmp_path))


def test_forget_process__unknown(tmp_path: Path) -> None:
    """A process without metrics leaves nothing to take over."""
    metric_files.forget_process(tmp_path, 1)

    assert ["lock"] == os.listdir(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xff\x00\x00" + bytes(60)])
def test_forget_process__killed_in_mid_write(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is not whole is dropped, as every scrape would fail at it."""
    (tmp_path / "counter_7.db").write_bytes(content)

    with caplog.at_level(logging.WARNING):
        metric_files.forget_process(tmp_path, 7)

    assert ["The metrics of process 7 are lost"] == [line.split(":")[0] for line in caplog.messages]
    assert {} == series(tmp_path)


def test_locked__keeps_writers_out(tmp_path: Path) -> None:
    """While somebody reads, nothing is taken over; otherwise a sum would have it twice, or not at all."""
    pid = run_process(tmp_path)
    thread = threading.Thread(target=metric_files.forget_process, args=(tmp_path, pid))

    with metric_files.locked(tmp_path):
        thread.start()
        thread.join(0.3)
        during = sorted(os.listdir(tmp_path))
    thread.join(10)

    assert f"counter_{pid}.db" in during
    assert "counter_gone.db" not in during
    assert f"counter_{pid}.db" not in os.listdir(tmp_path)


def test_folder(tmp_path: Path) -> None:
    """A folder is new, nobody else's, and gone at the end."""
    with metric_files.folder(tmp_path) as made:
        (made / "counter_1.db").touch()
        mode = made.stat().st_mode & 0o777

    assert 0o700 == mode
    assert not made.exists()

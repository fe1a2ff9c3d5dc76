"""The files in which the processes of one site keep their metrics, so that each of them can show the sum.

They are prometheus_client's own (its multi-process mode). What is added here is an end to them: when a
process has gone, its counts go into one file for all that have gone, and its gauges, which tell of now, go.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client keeps metrics in files if this is set when it is imported (`values.get_value_class`)."""

_GONE = "gone"
_LOCK = "lock"


@contextlib.contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """A new folder for metrics below another, removed at the end."""
    made = Path(tempfile.mkdtemp(prefix="metrics-", dir=parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def locked(directory: Path, *, exclusive: bool = False) -> Iterator[None]:
    """Keep others from changing what is read, or from reading what is changed. May block: not for a loop."""
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def forget_process(directory: Path, pid: int) -> None:
    """Take over the counts of a process that has gone, and drop its gauges. May block."""
    with locked(directory, exclusive=True):
        for path in directory.glob(f"*_{pid}.db"):
            kind = path.name.partition("_")[0]
            try:
                if kind != "gauge":
                    _add(path, directory / f"{kind}_{_GONE}.db")
            except (RuntimeError, ValueError, struct.error) as exc:  # it was killed while it wrote
                logger.warning("The metrics of process %d are lost: %s", pid, exc)
            path.unlink()


def _add(source: Path, target: Path) -> None:
    """Add the values of a file to those of another."""
    from prometheus_client.mmap_dict import MmapedDict  # costs nothing where there are no metrics

    files: Any = MmapedDict
    values = list(files.read_all_values_from_file(str(source)))  # all of them, or none
    total = files(str(target))
    try:
        for key, value, timestamp, _ in values:
            known, _ = total.read_value(key)
            total.write_value(key, known + value, timestamp)
    finally:
        total.close()

"""What Linux tells of a tree of processes: memory, CPU time, threads, open files. Read from /proc."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_PARENT, _USER_TIME, _SYSTEM_TIME, _THREADS, _START = 1, 11, 12, 17, 19
"""Positions in /proc/PID/stat, counted from the field behind the name (proc(5))."""


@dataclass(frozen=True)
class ProcessId:
    """A process, told apart from a later one with the same number by its start."""

    pid: int
    start: int
    """In clock ticks since the machine's start."""

    def is_alive(self) -> bool:
        """Whether it is still there; a zombie is not."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[_START]) == self.start and fields[0] != "Z"

    def send_signal(self, number: signal.Signals) -> None:
        """Signal it, unless it is gone."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def tree(root: int) -> list[ProcessId]:
    """A process and all its descendants that are alive."""
    children: dict[int, list[ProcessId]] = {}
    found: list[ProcessId] = []
    for pid, fields in _all_stats():
        process = ProcessId(pid, int(fields[_START]))
        children.setdefault(int(fields[_PARENT]), []).append(process)
        if pid == root:
            found.append(process)
    for process in found:  # grows while we go
        found.extend(children.get(process.pid, ()))
    return found


def command_line(pid: int) -> str:
    """A process's command line, "" when it is gone."""
    return _read(pid, "cmdline").replace("\0", " ").strip()


def resident_bytes(pids: list[int]) -> int:
    """Memory that is present, pages that processes share counted in each. Cheap."""
    return sum(int(text.split()[1]) * _PAGE for pid in pids if (text := _read(pid, "statm")))


def proportional_bytes(pids: list[int]) -> int:
    """Memory that is present, each shared page divided among those who share it."""
    return sum(_proportional(pid) for pid in pids)


def _proportional(pid: int) -> int:
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pids: list[int]) -> float:
    """User and system time so far."""
    stats = [fields for pid in pids if (fields := _stat(pid)) is not None]
    return sum(int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME]) for fields in stats) / _TICKS


def threads(pids: list[int]) -> int:
    """Threads of all these processes."""
    return sum(int(fields[_THREADS]) for pid in pids if (fields := _stat(pid)) is not None)


def open_files(pids: list[int]) -> list[str]:
    """What each open descriptor of these processes refers to."""
    return [target for pid in pids for target in _descriptors(pid)]


def _descriptors(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                yield str(entry.readlink())


def _all_stats() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            yield int(entry.name), fields


def _stat(pid: int) -> list[str] | None:
    text = _read(pid, "stat")
    # The name is in brackets and may hold anything, brackets too.
    return text.rpartition(")")[2].split() if text else None


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""

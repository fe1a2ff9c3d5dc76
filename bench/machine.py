"""What the benchmark ran on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.browser import find_chromium
from bench.contenders import nginx_program
from bench.peer_environment import FLUXLIT_VERSION

_PACKAGES = (
    "streamlit",
    "django",
    "channels",
    "uvicorn",
    "uvloop",
    "httptools",
    "websockets",
    "aiohttp",
    "daphne",
    "brotli",
)


def describe() -> dict[str, str]:
    """The machine and the versions, as a table for people."""
    facts = {
        "Processor": _from_proc("cpuinfo", "model name") or platform.processor() or platform.machine(),
        "Cores": str(len(os.sched_getaffinity(0))),
        "Memory": _memory(),
        "System": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "FluxLit": FLUXLIT_VERSION,
        "nginx": _program_version(nginx_program(), "-v"),
        "Chromium": _program_version(find_chromium(), "--version"),
    }
    return facts | {package: _package_version(package) for package in _PACKAGES}


def _memory() -> str:
    kilobytes = _from_proc("meminfo", "MemTotal").partition(" ")[0]
    return f"{int(kilobytes) / (1 << 20):.0f} GiB" if kilobytes else "unknown"


def _from_proc(file: str, key: str) -> str:
    for line in Path("/proc", file).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _program_version(program: str | None, flag: str) -> str:
    if program is None:
        return "not installed"
    done = subprocess.run([program, flag], capture_output=True, text=True, check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0].partition(": ")[2] or lines[0] if lines else "unknown"

"""How each child is started: from the configuration to names, arguments and environment."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fluxlit_django.conf import FLAGS_VARIABLE, Config

GATEWAY = "gateway"
SIDECAR = "sidecar"
JOB = "job"

_STANDARD_LIBRARY_ZIP = re.compile(r"python\d+\.zip")  # in front of the standard library, there or not


@dataclass(frozen=True)
class Command:
    """What to run as one child."""

    name: str
    """`gateway-0`, or `<app>-<index>` for a sidecar."""
    kind: str
    """`gateway`, `sidecar`, or `job` for what runs once and ends by itself."""
    argv: tuple[str, ...]
    app: str = ""
    """Name of a sidecar's app."""


def commands(config: Config) -> list[Command]:
    """All children of a supervisor: the gateway workers, then the sidecars of every app that is run here."""
    return [*gateway_commands(config), *sidecar_commands(config)]


def gateway_commands(config: Config) -> list[Command]:
    """One command per gateway worker."""
    argv = (sys.executable, "-m", "fluxlit_django.gateway")
    return [Command(f"gateway-{index}", GATEWAY, argv) for index in range(config.workers)]


def sidecar_commands(config: Config) -> list[Command]:
    """One command per sidecar; none for an app whose Streamlit somebody else runs."""
    return [
        Command(
            f"{app.name}-{index}",
            SIDECAR,
            (sys.executable, "-m", "fluxlit_django.sidecar", app.name),
            app=app.name,
        )
        for app in config.apps
        if not app.upstream
        for index in range(app.sidecars)
    ]


def assets_command() -> Command:
    """The job that compresses Streamlit's frontend while everything serves already."""
    return Command("assets", JOB, (sys.executable, "-m", "django", "fluxlit_assets", "--background"))


def child_environment(
    inherited: Mapping[str, str], *, port: int, import_path: Sequence[str] = ()
) -> dict[str, str]:
    """The environment that all children share.

    Args:
        inherited: the supervisor's own.
        port: the public port as bound, which the configuration leaves open when it asks for port 0.
        import_path: what the children shall have in front of their `sys.path`. They are started with `-m`,
            which does not put the directory of manage.py there.
    """
    flags = json.loads(inherited.get(FLAGS_VARIABLE, "{}"))
    environment = {
        "PYTHONUNBUFFERED": "1",  # a line is shown when it is printed, not when a buffer is full
        **inherited,
        FLAGS_VARIABLE: json.dumps({**flags, "gateway_port": port}),
    }
    if import_path:
        environment["PYTHONPATH"] = ":".join(import_path)
    return environment


def leading_import_path(path: Sequence[str], standard_library: str) -> list[str]:
    """The entries of a `sys.path` in front of the standard library: where the project is."""
    leading: list[str] = []
    for entry in path:
        if entry == standard_library or _STANDARD_LIBRARY_ZIP.fullmatch(os.path.basename(entry)):
            break
        if entry:
            leading.append(entry)
    return leading

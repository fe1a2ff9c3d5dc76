"""What can be tried on this machine, without a running site, and beside one."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import sys
import sysconfig
import urllib.request
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from channels.layers import get_channel_layer
from django.conf import settings
from django.core.cache import caches
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from fluxlit_django import client, diagnostics
from fluxlit_django.conf import AppConfig, Config
from fluxlit_django.doctor.report import Row, Status, failed, passed, skipped, warned
from fluxlit_django.exceptions import StartupError
from fluxlit_django.gateway import assets, precompress
from fluxlit_django.redaction.names import redact
from fluxlit_django.supervisor.command import (
    Command,
    child_environment,
    leading_import_path,
    sidecar_commands,
)
from fluxlit_django.supervisor.operator_line import Identity, find_own
from fluxlit_django.supervisor.process import Process, describe_exit
from fluxlit_django.supervisor.sockets import SidecarSockets, bind_public_socket, show_address

_ANSWER_S = 3.0
_STOP_S = 5.0


def examine(config: Config, *, start_sidecars: bool = True) -> Iterator[Row]:
    """Every check of this machine, as it is made.

    Args:
        config: may be one with problems; what depends on them is left out.
        start_sidecars: start one sidecar of each app, as `fluxlit_run` does, and stop it.
    """
    yield passed("versions", ", ".join(f"{name} {number}" for name, number in diagnostics.versions().items()))
    problems = diagnostics.find()
    if not problems:
        yield passed("configuration", "nothing to say")
    for problem in problems:
        status = Status.FAIL if problem.is_error else Status.WARN
        yield Row(problem.code, status, problem.message, problem.hint)
    own = running_here(config)
    yield gateway_bind(config, own)
    yield runtime_directory(config, own)
    yield from databases()
    yield cache()
    yield asyncio.run(channel_layer())
    yield frontend(config)
    for app in config.apps:
        if app.upstream:
            yield upstream(app)
    for command in one_sidecar_each(config) if start_sidecars else ():
        yield asyncio.run(sidecar(config, command))


def running_here(config: Config) -> list[Identity]:
    """Every `fluxlit_run` of this project and this user that runs now."""
    with contextlib.ExitStack() as cleanup:
        return [operator.identity for operator in find_own(config.runtime_dir, None, cleanup)]


def gateway_bind(config: Config, own: Sequence[Identity]) -> Row:
    """Whether the gateway's address can be listened on, or is ours already."""
    name, address = "gateway_bind", show_address(config.gateway_host, config.gateway_port)
    try:
        bind_public_socket(config.gateway_host, config.gateway_port).close()
    except StartupError as exc:
        holder = next((each for each in own if each.port == config.gateway_port), None)
        if holder is not None:
            return passed(name, f"{address} is held by our own fluxlit_run, process {holder.pid}")
        if is_alive(config):
            return passed(name, f"{address} is held by a site that answers as healthy")
        reason, _, remedy = str(exc).partition(". ")
        return failed(name, f"{reason}.", remedy)
    return passed(name, f"{address} can be listened on")


def is_alive(config: Config) -> bool:
    """Whether the gateway's address answers as a site of ours does; of another user, perhaps."""
    own = dataclasses.replace(config, internal_api_base="", api_transport="http")
    base = client.default_base_url(own)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{base}/healthz", timeout=_ANSWER_S) as response:
            return bool(json.load(response) == {"status": "ok"})
    except (OSError, ValueError):
        return False


def runtime_directory(config: Config, own: Sequence[Identity]) -> Row:
    """Whether the sidecars' sockets can be made, and only we can reach them."""
    name = "runtime_dir"
    where = config.runtime_dir or "a new directory for temporary files"
    if config.runtime_dir and own:
        return passed(name, f"{where} is in use by our own fluxlit_run, process {own[0].pid}")
    try:
        with SidecarSockets(config.runtime_dir, [command.name for command in sidecar_commands(config)]):
            return passed(name, f"sockets can be made in {where}")
    except StartupError as exc:
        reason, _, remedy = str(exc).rpartition(". ")
        return failed(name, reason or str(exc), remedy)


# Services


def databases() -> Iterator[Row]:
    """Whether each database answers, and has the tables that the code expects."""
    for alias in settings.DATABASES:
        name = "database" if alias == "default" else f"database.{alias}"
        connection = connections[alias]
        try:
            executor = MigrationExecutor(connection)
            missing = [
                str(migration) for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())
            ]
        except DatabaseError as exc:
            said = redact(str(exc).strip().replace("\n", " "))
            yield failed(name, f"it does not answer: {said}", "Start it, or mend DATABASES.")
            continue
        finally:
            connection.close()
        if not missing:
            yield passed(name, f"{connection.vendor} answers and is migrated")
            continue
        shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        yield failed(name, f"{len(missing)} migrations are not applied: {shown}", "Run: manage.py migrate")


def cache() -> Row:
    """Whether the default cache keeps what it is given."""
    key, store = "fluxlit-doctor", caches["default"]
    kind = type(store).__name__
    try:
        store.set(key, "x", 10)
        kept = store.get(key)
        store.delete(key)
    except Exception as exc:  # each backend has errors of its own
        return failed("cache", f"{kind} does not answer: {redact(str(exc))}", "Start it, or mend CACHES.")
    if kept != "x":
        return warned(
            "cache", f"{kind} keeps nothing", "Set CACHES to one that does, such as Django's RedisCache."
        )
    return passed("cache", f"{kind} answers")


async def channel_layer() -> Row:
    """Whether a message comes back from the channel layer, which carries sign-outs to the open sockets."""
    layer = get_channel_layer()
    if layer is None:
        return failed(
            "channel_layer", "there is none", "Take CHANNEL_LAYERS out of your settings, or name one."
        )
    kind = type(layer).__name__
    try:
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "fluxlit.doctor"})
        await asyncio.wait_for(layer.receive(channel), _ANSWER_S)
    except asyncio.TimeoutError:
        return failed(
            "channel_layer", f"{kind} loses messages", "Look at the server that CHANNEL_LAYERS names."
        )
    except Exception as exc:  # each layer has errors of its own
        said = redact(str(exc))
        return failed("channel_layer", f"{kind} does not answer: {said}", "Start it, or mend CHANNEL_LAYERS.")
    finally:
        if hasattr(layer, "close_pools"):
            await layer.close_pools()
    return passed("channel_layer", f"{kind} answers")


def frontend(config: Config) -> Row:
    """Whether Streamlit's frontend has been compressed."""
    folder = assets.cache_directory(config.assets_dir)
    if precompress.is_complete(assets.bundle_directory(), folder):
        return passed("frontend", f"compressed in {folder}")
    detail = f"not compressed in {folder} yet; fluxlit_run does it in the background"
    return warned("frontend", detail, "Run: manage.py fluxlit_assets")


def upstream(app: AppConfig) -> Row:
    """Whether a Streamlit that somebody else runs can be reached."""
    name, parts = f"streamlit_upstream.{app.name}", urlsplit(app.upstream)
    address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(address, timeout=_ANSWER_S).close()
    except OSError as exc:
        remedy = "Start that Streamlit, or mend FLUXLIT_STREAMLIT_UPSTREAM."
        return failed(name, f"{redact(app.upstream)} cannot be reached: {exc}", remedy)
    return passed(name, f"{redact(app.upstream)} can be reached")


# Sidecars


def one_sidecar_each(config: Config) -> list[Command]:
    """The command of the first sidecar of every app that is run here."""
    return list({command.app: command for command in reversed(sidecar_commands(config))}.values())[::-1]


async def sidecar(config: Config, command: Command) -> Row:
    """Start a sidecar as `fluxlit_run` does, on a socket of its own, and stop it when it serves."""
    name = f"sidecar.{command.app}"
    import_path = leading_import_path(sys.path, sysconfig.get_path("stdlib"))
    environment = child_environment(os.environ, port=config.gateway_port, import_path=import_path)
    try:
        with SidecarSockets("", [command.name]) as sockets:
            process = Process(command, environment, sockets.sockets[command.name], lambda *line: None)
            await process.start()
            serves = await process.wait_ready(config.streamlit_start_timeout_s)
            code = process.exit_code
            await process.stop(_STOP_S)
    except (StartupError, OSError) as exc:
        return skipped(name, f"could not be tried: {exc}")
    if serves:
        return passed(name, "starts and serves")
    said = (
        describe_exit(code)
        if code is not None
        else f"did not serve within {config.streamlit_start_timeout_s:g} s"
    )
    last = redact(" | ".join(list(process.last_lines)[-3:]))
    return failed(name, f"{said}; its last lines: {last or 'none'}", "Mend what its last lines say.")

"""Replacing what runs, one at a time: sidecars by generations, gateway workers on their shared socket."""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from fluxlit_django.control import SidecarStatus, decode_sidecars
from fluxlit_django.supervisor.events import EventKind
from fluxlit_django.supervisor.process import Process
from fluxlit_django.supervisor.supervisor import Patience
from tests.supervisor.children import CONFIG, RULES, fake, is_alive, running, until, until_gone

EMPTY = 'send:{"type": "load", "sessions": 0, "parked": 0, "running": 0, "rss_bytes": 1}'
BUSY = EMPTY.replace('"sessions": 0', '"sessions": 3')


def child(run, name):
    """The supervisor's record of a child."""
    return next(child for child in run.supervisor.children if child.command.name == name)


def generations(run):
    """The generation and state of every sidecar, as gateway workers are told."""
    return [(status.name, status.generation, status.state) for status in run.supervisor.statuses()]


def told(path):
    """State and generation of all sidecars, as a gateway worker was told one time after the other."""
    messages = map(json.loads, path.read_text().splitlines())
    return [
        [(status.state, status.generation) for status in decode_sidecars(message)] for message in messages
    ]


def by_start(*starts):
    """Makes the n-th process of every child from the n-th list of words, the last list for all later ones."""
    seen = {}

    def make_process(command, *rest):
        number = seen[command.name] = seen.get(command.name, 0) + 1
        return Process(fake(command.name, *starts[min(number, len(starts)) - 1]), *rest)

    return make_process


async def test_replace__sidecar_on_a_new_socket():
    """A replacement has a socket of its own; the old one drains, ends, and its socket is gone."""
    reports = ["sleep:0.3", EMPTY, EMPTY] * 8
    async with running(fake("default-0"), make_process=by_start(["ready", *reports], ["ready"])) as run:
        await run.until_event(EventKind.SERVING)
        old = child(run, "default-0")
        problem = await run.supervisor.replace_children()
        new_path = Path(child(run, "default-0").address.removeprefix("unix:"))
        old_path = Path(old.address.removeprefix("unix:"))
        during = generations(run)
        await run.until_event(EventKind.GONE, "default-0")
        after = generations(run)
        left = [old_path.exists(), new_path.exists(), is_alive(old.process.pid)]

    assert problem == ""
    assert (old_path.name, new_path.name) == ("default-0.sock", "default-0.2.sock")
    assert during == [("default-0", 2, "ready"), ("default-0", 1, "draining")]
    assert after == [("default-0", 2, "ready")]
    assert left == [False, True, False]


async def test_replace__sessions_go_on(tmp_path):
    """A sidecar with sessions is left alone until their time is over, then stopped in order."""
    log = tmp_path / "log"
    patience = Patience(start_s=10, drain_s=2, sidecar_stop_s=2, sessions_s=0.4)
    make_process = by_start(["ready", BUSY, f"use_log:{log},old"], ["ready"])
    async with running(fake("default-0"), make_process=make_process, patience=patience) as run:
        await run.until_event(EventKind.SERVING)
        await until(lambda: log.exists() and child(run, "default-0").process.load.sessions)
        await run.supervisor.replace_children()
        status = run.supervisor.statuses()[1]
        early = log.read_text()
        await run.until_event(EventKind.GONE, "default-0")

    assert (status.state, status.sessions, status.detail) == ("draining", 3, "replaced by generation 2")
    assert "term" not in early
    assert "old term" in log.read_text()


async def test_replace__gateways_are_told_before_the_old_one_ends(tmp_path):
    """Gateway workers learn of the new one and the drain together, and of the end before it comes."""
    control = tmp_path / "control"

    def make_process(command, *rest):
        words = ["ready", *["sleep:0.2", EMPTY] * 20]
        if command.kind == "gateway":
            words = ["ready", f"keep_control:{control}"]
        return Process(fake(command.name, *words), *rest)

    async with running(fake("gateway-0"), fake("default-0"), make_process=make_process) as run:
        await run.until_event(EventKind.SERVING)
        await run.supervisor._replace(child(run, "default-0"))
        await run.until_event(EventKind.GONE, "default-0")
        await until(lambda: told(control)[-1] == [("ready", 2)])

    assert told(control)[-3:] == [
        [("ready", 2), ("draining", 1)],
        [("ready", 2), ("stopped", 1)],
        [("ready", 2)],
    ]


async def test_replace__that_never_serves(caplog):
    """If a replacement does not start, the old one stays and nobody else is touched; the operator is told."""
    make_process = by_start(["ready"], ["write:no such table", "leave:3"])
    async with running(fake("default-0"), fake("explore-0"), make_process=make_process) as run:
        await run.until_event(EventKind.SERVING)
        before = {each.command.name: each.process.pid for each in run.supervisor.children}
        problem = await run.supervisor.replace_children()
        after = {each.command.name: each.process.pid for each in run.supervisor.children}
        states = generations(run)
        sockets = sorted(os.listdir(run.supervisor._sockets.directory))

    assert "The sidecar default-0 ended with exit code 3 before it served." in problem
    assert "no such table" in problem
    assert problem in caplog.text
    assert before == after
    assert states == [("default-0", 1, "ready"), ("explore-0", 1, "ready")]
    assert sockets == ["default-0.sock", "explore-0.sock", "operator.sock"]


async def test_replace__one_at_a_time():
    """The next one is started only when the one before serves; sidecars come before gateway workers."""
    names = ["gateway-0", "default-0", "default-1"]
    patience = Patience(start_s=10, drain_s=0, margin_s=0.1, sidecar_stop_s=1, sessions_s=60)
    make_process = by_start(["sleep:0.05", "ready"])
    async with running(*map(fake, names), make_process=make_process, patience=patience) as run:
        await run.until_event(EventKind.SERVING)
        run.events.clear()
        await run.supervisor.replace_children()
        steps = [(event.kind.value, event.child) for event in run.events]

    assert steps[:5] == [
        ("reloading", ""),
        ("started", "default-0"),
        ("replaced", "default-0"),
        ("started", "default-1"),
        ("replaced", "default-1"),
    ]
    assert ("replaced", "gateway-0") in steps[4:]


async def test_replace__again_while_the_first_drains():
    """Generations go on counting, and several may drain at once."""
    async with running(fake("default-0", "ready", BUSY)) as run:
        await run.until_event(EventKind.SERVING)
        await run.supervisor.replace_children()
        await run.supervisor.replace_children()
        states = generations(run)
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        code = await run.finish()

    assert states == [("default-0", 3, "ready"), ("default-0", 1, "draining"), ("default-0", 2, "draining")]
    assert code == 0


async def test_replace__draining_one_dies():
    """A draining sidecar that dies is not started again, and nobody waits for its sessions."""
    async with running(fake("default-0", "ready", BUSY)) as run:
        await run.until_event(EventKind.SERVING)
        old = child(run, "default-0")
        await run.supervisor.replace_children()
        os.kill(old.process.pid, signal.SIGKILL)
        await run.until_event(EventKind.GONE, "default-0")
        states = generations(run)

    assert states == [("default-0", 2, "ready")]


async def test_replace__new_one_dies_later():
    """The replacement is kept alive as its predecessor was, on its own socket."""
    async with running(fake("default-0", "ready")) as run:
        await run.until_event(EventKind.SERVING)
        await run.supervisor.replace_children()
        new = child(run, "default-0")
        os.kill(new.process.pid, signal.SIGKILL)
        await run.until_event(EventKind.RESTARTED, "default-0")
        status = run.supervisor.statuses()[0]

    assert status == SidecarStatus("default-0", "default", new.address, "ready", restarts=1, generation=2)


async def test_replace__gateway_leaves_its_socket_to_the_next(tmp_path):
    """A gateway worker that is replaced is asked to retire, on its control line, when the new one serves."""
    control = tmp_path / "control"
    patience = Patience(start_s=10, drain_s=0.2, margin_s=0.1, sidecar_stop_s=1)
    make_process = by_start(["ready", f"keep_control:{control}"], ["ready"])
    async with running(fake("gateway-0"), make_process=make_process, patience=patience) as run:
        await run.until_event(EventKind.SERVING)
        old = child(run, "gateway-0").process
        await run.supervisor.replace_children()
        new = child(run, "gateway-0").process

    assert json.loads(control.read_text().splitlines()[-1]) == {"type": "retire"}
    assert old.pid != new.pid


async def test_sighup__replaces_everything():
    """SIGHUP is the operator's request, and the supervisor goes on."""
    async with running(fake("default-0", "ready")) as run:
        await run.until_event(EventKind.SERVING)
        run.supervisor.inbox.put_nowait(signal.SIGHUP)
        await run.until_event(EventKind.REPLACED, "default-0")
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        code = await run.finish()

    assert code == 0


async def test_sighup__of_a_terminal_that_was_closed():
    """SIGHUP of a closed terminal stops the command, as it always did: nothing runs on unseen."""
    async with running(fake("default-0", "ready"), has_terminal=iter([True, False]).__next__) as run:
        await run.until_event(EventKind.SERVING)
        run.supervisor.inbox.put_nowait(signal.SIGHUP)
        code = await run.finish()

    assert code == 0
    assert run.of_kind(EventKind.REPLACED, "default-0") == []


async def test_sighup__while_starting(caplog):
    """Nothing is replaced before everything serves."""
    async with running(fake("default-0")) as run:
        await run.until_event(EventKind.STARTED, "default-0")
        run.supervisor.inbox.put_nowait(signal.SIGHUP)
        await until(lambda: "It is still starting" in caplog.text)

    assert run.of_kind(EventKind.REPLACED, "default-0") == []


async def test_stop__while_replacing():
    """A stop does not wait for a replacement that hangs in its start, and leaves none behind."""
    async with running(fake("default-0"), make_process=by_start(["ready"], ["sleep:600"])) as run:
        await run.until_event(EventKind.SERVING)
        run.supervisor.inbox.put_nowait(signal.SIGHUP)
        await run.until_event(EventKind.STARTED, "default-0", times=2)
        pids = [process.pid for process in run.supervisor._processes]
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        code = await run.finish()

    assert code == 0
    assert len(pids) == 2
    await until_gone(*pids)


@pytest.mark.parametrize("reports", [[EMPTY, BUSY, EMPTY], [BUSY, EMPTY]])
async def test_wait_empty__one_report_is_not_enough(reports):
    """A single empty report may be older than the last session: two in a row count."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = ["ready", "sleep:0.1", *reports]
        process = Process(fake("default-0", *words), os.environ, listener, lambda name, text: None)
        await process.start()
        await process.wait_ready(10)
        is_empty = await process.wait_empty(0.4)
        process.kill()
        await process.wait()

    assert is_empty is False


async def test_wait_empty__gone():
    """A sidecar that is gone has no sessions."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = Process(fake("default-0", "leave:0"), os.environ, listener, lambda name, text: None)
        await process.start()
        is_empty = await process.wait_empty(10)
        await process.wait()

    assert is_empty is True


@contextlib.asynccontextmanager
async def operator(run):
    """A connection to the supervisor's operator socket, and its greeting."""
    path = run.supervisor._sockets.directory / "operator.sock"
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield reader, writer, json.loads(await reader.readline())
    finally:
        writer.close()
        await writer.wait_closed()


async def test_operator__asks_for_a_reload():
    """The command on the other end of the socket is answered when all is done."""
    async with running(fake("default-0", "ready")) as run:
        await run.until_event(EventKind.SERVING)
        async with operator(run) as (reader, writer, greeting):
            writer.write(b'{"type": "reload"}\n')
            answer = json.loads(await asyncio.wait_for(reader.readline(), 10))
        replaced = run.of_kind(EventKind.REPLACED, "default-0")

    assert (greeting["pid"], greeting["port"]) == (os.getpid(), run.supervisor.port)
    assert answer == {"type": "reloaded", "problem": ""}
    assert len(replaced) == 1


async def test_operator__supervisor_stopped_meanwhile():
    """A supervisor that is stopped during a reload ends the connection: no answer is no success."""
    async with running(fake("default-0"), make_process=by_start(["ready"], ["sleep:600"])) as run:
        await run.until_event(EventKind.SERVING)
        async with operator(run) as (reader, writer, _):
            writer.write(b'{"type": "reload"}\n')
            await run.until_event(EventKind.STARTED, "default-0", times=2)
            run.supervisor.inbox.put_nowait(signal.SIGTERM)
            code = await run.finish()
            rest = await asyncio.wait_for(reader.read(), 10)

    assert (code, rest) == (0, b"")


async def test_operator__two_at_once():
    """The second one is told to ask later."""
    async with running(fake("default-0"), make_process=by_start(["ready"], ["sleep:0.5", "ready"])) as run:
        await run.until_event(EventKind.SERVING)
        async with operator(run) as (reader, writer, _), operator(run) as (other_reader, other_writer, _):
            writer.write(b'{"type": "reload"}\n')
            await run.until_event(EventKind.STARTED, "default-0", times=2)
            other_writer.write(b'{"type": "reload"}\n')
            second = json.loads(await other_reader.readline())
            first = json.loads(await asyncio.wait_for(reader.readline(), 10))

    assert "Ask again" in second["problem"]
    assert first["problem"] == ""


async def test_operator__sends_nonsense():
    """What is no JSON ends the connection and nothing else."""
    async with running(fake("default-0", "ready")) as run:
        await run.until_event(EventKind.SERVING)
        async with operator(run) as (reader, writer, _):
            writer.write(b"reload!\n")
            rest = await asyncio.wait_for(reader.read(), 10)
        async with operator(run) as (_, _, greeting):
            pid = greeting["pid"]

    assert (rest, pid) == (b"", os.getpid())


LARGE = EMPTY.replace('"rss_bytes": 1', '"rss_bytes": 300000000')
SOON = dataclasses.replace(RULES, healthy_s=0, retry_s=0.2)


async def test_recycle__replaces_one_that_has_grown(caplog):
    """Above the limit, the replacement is started first; the old one drains, and the log says why."""
    config = dataclasses.replace(CONFIG, streamlit_max_rss_mb=200)
    make_process = by_start(["ready", "sleep:0.2", LARGE], ["ready", "sleep:0.2", EMPTY])
    async with running(fake("default-0"), config=config, rules=SOON, make_process=make_process) as run:
        await run.until_event(EventKind.REPLACED, "default-0")
        states = generations(run)

    assert states == [("default-0", 2, "ready"), ("default-0", 1, "draining")]
    assert "default-0 holds 286 MiB, more than FLUXLIT_STREAMLIT_MAX_RSS_MB (200)" in caplog.text


@pytest.mark.parametrize("most", [0, 1000])
async def test_recycle__below_the_limit(most):
    """Without a limit, or below it, nothing is replaced; the memory is told all the same."""
    config = dataclasses.replace(CONFIG, streamlit_max_rss_mb=most)
    async with running(fake("default-0", "ready", LARGE), config=config, rules=SOON) as run:
        await run.until_event(EventKind.SERVING)
        await until(lambda: run.supervisor.statuses()[0].rss_bytes)
        states = generations(run)

    assert states == [("default-0", 1, "ready")]


async def test_recycle__large_from_the_start():
    """A sidecar that has just begun to serve is not replaced: the next one would be as large."""
    config = dataclasses.replace(CONFIG, streamlit_max_rss_mb=200)
    async with running(fake("default-0", "ready", LARGE), config=config) as run:
        await run.until_event(EventKind.SERVING)
        await until(lambda: run.supervisor.statuses()[0].rss_bytes)
        states = generations(run)

    assert states == [("default-0", 1, "ready")]


async def test_recycle__replacement_never_serves(caplog):
    """The large one goes on, and the next try comes only after a pause."""
    config = dataclasses.replace(CONFIG, streamlit_max_rss_mb=200)
    make_process = by_start(["ready", *["sleep:0.05", LARGE] * 4], ["leave:1"])
    rules = dataclasses.replace(SOON, retry_s=60)
    async with running(fake("default-0"), config=config, rules=rules, make_process=make_process) as run:
        await until(lambda: "The one before it goes on" in caplog.text)
        states = generations(run)
        await asyncio.sleep(0.3)  # reports go on meanwhile
        tries = len(run.of_kind(EventKind.STARTED, "default-0"))

    assert states == [("default-0", 1, "ready")]
    assert tries == 2


async def test_load__told_to_gateways(tmp_path):
    """Gateway workers are told of a change of sessions, and not of every report."""
    control = tmp_path / "control"

    def make_process(command, *rest):
        words = ["ready", *["sleep:0.1", BUSY, BUSY, BUSY, EMPTY]]
        if command.kind == "gateway":
            words = ["ready", f"keep_control:{control}"]
        return Process(fake(command.name, *words), *rest)

    async with running(fake("gateway-0"), fake("default-0"), make_process=make_process) as run:
        await run.until_event(EventKind.SERVING)
        await until(lambda: control.exists() and sessions_told(control)[-2:] == [3, 0])
        told_times = len(sessions_told(control))

    assert told_times <= 5


async def test_load__told_again_after_a_restart(tmp_path):
    """A new process has told nothing yet: what it then has is news, though it be what the last one had."""
    control, dying = tmp_path / "control", tmp_path / "dying"

    def make_process(command, *rest):
        words = ["ready", f"keep_control:{control}"]
        if command.kind == "sidecar":
            end = ["sleep:600"] if dying.exists() else [f"wait_for:{dying}", "leave:3"]
            words = ["ready", "sleep:0.1", BUSY, *end]
        return Process(fake(command.name, *words), *rest)

    async with running(fake("gateway-0"), fake("default-0"), make_process=make_process) as run:
        await until(lambda: control.exists() and sessions_told(control)[-1:] == [3])
        dying.touch()
        await run.until_event(EventKind.RESTARTED, "default-0")
        await until(lambda: sessions_told(control)[-1] == 3)

        assert 0 in sessions_told(control)[sessions_told(control).index(3) :]


def sessions_told(path):
    """The sessions of the one sidecar, as a gateway worker was told one time after the other."""
    return [decode_sidecars(json.loads(line))[0].sessions for line in path.read_text().splitlines()]

"""All children: started together, kept alive, stopped in order."""

import asyncio
import dataclasses
import json
import os
import re
import signal
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from fluxlit_django.conf import AppConfig, Config
from fluxlit_django.control import SidecarStatus, decode_sidecars
from fluxlit_django.exceptions import StartupError
from fluxlit_django.supervisor.command import JOB, Command
from fluxlit_django.supervisor.events import EventKind
from fluxlit_django.supervisor.process import Process
from fluxlit_django.supervisor.supervisor import Patience
from tests.supervisor.children import RULES, fake, is_alive, running, until, until_gone

RUN_SUPERVISOR = Path(__file__).parent.parent / "resources" / "run_supervisor.py"


def child(run, name):
    """The supervisor's record of a child."""
    return next(child for child in run.supervisor.children if child.command.name == name)


def told(path):
    """The states of all sidecars, as a gateway worker was told one after the other."""
    lines = path.read_text().splitlines() if path.exists() else []  # it is made after the child is ready
    messages = map(json.loads, lines)
    return [{status.name: status.state for status in decode_sidecars(message)} for message in messages]


async def test_supervisor__serves_and_stops():
    """Everything becomes ready, and a request to stop is exit code 0."""
    async with running(fake("gateway-0", "ready"), fake("default-0", "ready")) as run:
        await run.until_event(EventKind.SERVING)
        pids = [child.process.pid for child in run.supervisor.children]
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        code = await run.finish()

    assert code == 0
    assert not any(map(is_alive, pids))
    assert {child.state.value for child in run.supervisor.children} == {"stopped"}


async def test_supervisor__starts_in_parallel(tmp_path):
    """A child that takes long does not hold up the others."""
    go = tmp_path / "go"
    waits = f"wait_for:{go}"
    async with running(fake("gateway-0", waits, "ready"), fake("default-0", "ready")) as run:
        await run.until_event(EventKind.READY, "default-0")
        serving_early = run.of_kind(EventKind.SERVING)
        go.touch()
        await run.until_event(EventKind.SERVING)

    assert serving_early == []


async def test_supervisor__stops_gateways_first(tmp_path):
    """A sidecar is asked to stop only when the gateway workers, which drain into it, are gone."""
    log = tmp_path / "log"
    async with running(
        fake("gateway-0", f"use_log:{log},gateway-0", "slow_term:0.3", "ready"),
        fake("default-0", f"use_log:{log},default-0", "ready"),
    ) as run:
        await run.until_event(EventKind.SERVING)
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        code = await run.finish()

    assert code == 0
    assert log.read_text().splitlines()[2:] == ["gateway-0 term", "gateway-0 drained", "default-0 term"]


async def test_supervisor__kills_what_does_not_stop(tmp_path):
    """A child that ignores the request is killed after its time, and the exit code is still 0."""
    patience = Patience(start_s=10, drain_s=0.1, margin_s=0.1, sidecar_stop_s=0.1)
    async with running(
        fake("gateway-0", "ignore_term:", "ready"),
        fake("default-0", "ignore_term:", "ready"),
        patience=patience,
    ) as run:
        await run.until_event(EventKind.SERVING)
        run.supervisor.inbox.put_nowait(signal.SIGINT)
        code = await run.finish()

    assert code == 0


async def test_supervisor__second_interrupt_hurries():
    """A second Ctrl-C kills at once what is still draining."""
    patience = Patience(start_s=10, drain_s=600, sidecar_stop_s=600)
    async with running(
        fake("gateway-0", "ignore_term:", "ready"),
        fake("default-0", "ignore_term:", "ready"),
        patience=patience,
    ) as run:
        await run.until_event(EventKind.SERVING)
        run.supervisor.inbox.put_nowait(signal.SIGINT)
        await run.until_event(EventKind.STOPPING)
        run.supervisor.inbox.put_nowait(signal.SIGINT)
        code = await run.finish()

    assert code == 0


async def test_supervisor__second_sigterm_does_not_hurry(tmp_path):
    """Only a person at the keyboard hurries: a repeated SIGTERM leaves the drain its time."""
    log = tmp_path / "log"
    async with running(fake("gateway-0", f"use_log:{log},gateway-0", "slow_term:0.3", "ready")) as run:
        await run.until_event(EventKind.SERVING)
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        await run.finish()

    assert "gateway-0 drained" in log.read_text()


async def test_supervisor__stopped_while_starting():
    """A request to stop does not wait for a child that hangs in its start."""
    async with running(fake("gateway-0", "ready"), fake("default-0")) as run:
        await run.until_event(EventKind.READY, "gateway-0")
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        code = await run.finish(5)

    assert code == 0


async def test_supervisor__stopped_before_it_started():
    """A signal that comes first of all is obeyed."""
    async with running(fake("default-0")) as run:
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        code = await run.finish(5)

    assert code == 0


async def test_supervisor__never_started():
    """A child that ends before it ever served ends the command, with its own last lines."""
    async with running(
        fake("gateway-0", "ignore_term:", "ready"), fake("default-0", "write:no such module: shop", "leave:3")
    ) as run:
        with pytest.raises(StartupError) as caught:
            await run.finish(5)

    assert "The sidecar default-0 ended with exit code 3 before it served." in str(caught.value)
    assert "    no such module: shop" in str(caught.value)
    assert [child.restarts for child in run.supervisor.children] == [0, 0]


async def test_supervisor__never_ready():
    """A child that hangs in its start ends the command when its time is over."""
    async with running(fake("gateway-0"), patience=Patience(start_s=0.2)) as run:
        with pytest.raises(StartupError) as caught:
            await run.finish()

    assert str(caught.value) == (
        "The gateway worker gateway-0 did not serve within 0.2 s. It printed nothing."
    )


async def test_supervisor__no_such_program():
    """A program that cannot be started is a message, not a traceback."""
    async with running(Command("default-0", "sidecar", ("/no/such/program",), "default")) as run:
        with pytest.raises(StartupError, match="default-0 could not be started: No such file or directory"):
            await run.finish()


async def test_supervisor__port_in_use():
    """A port in use ends the command before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        config = Config(gateway_port=other.getsockname()[1])
        async with running(fake("gateway-0", "ready"), config=config) as run:
            with pytest.raises(StartupError, match="the port is in use"):
                await run.finish()

    assert run.events == []


async def test_supervisor__bad_runtime_directory(tmp_path):
    """A runtime directory that is open to others ends the command before anything is started."""
    tmp_path.chmod(0o755)
    config = Config(gateway_port=0, runtime_dir=str(tmp_path))
    async with running(fake("default-0", "ready"), config=config) as run:
        with pytest.raises(StartupError, match="chmod 700"):
            await run.finish()

    assert run.events == []


async def test_supervisor__died_and_restarted(tmp_path):
    """A child that served and died is started again on the same address; the gateway is told each state."""
    control = tmp_path / "control"
    async with running(
        fake("gateway-0", "ready", f"keep_control:{control}"), fake("default-0", "ready")
    ) as run:
        await run.until_event(EventKind.SERVING)
        first = child(run, "default-0").process
        address = child(run, "default-0").address
        os.kill(first.pid, signal.SIGKILL)
        exited = await run.until_event(EventKind.EXITED, "default-0")
        await run.until_event(EventKind.RESTARTED, "default-0")
        await until(lambda: len(told(control)) >= 5)
        status = run.supervisor.statuses()[0]

    states = [states["default-0"] for states in told(control)]
    assert states[-4:] == ["ready", "restarting", "starting", "ready"]
    assert (exited.code, exited.restarts) == (-signal.SIGKILL, 0)
    assert status == SidecarStatus("default-0", "default", address, "ready", restarts=1)


async def test_supervisor__restarted_gateway_is_told(tmp_path):
    """A gateway worker that died is started again and given the sidecars again."""
    control = tmp_path / "control"
    async with running(
        fake("gateway-0", "ready", f"keep_control:{control}"), fake("default-0", "ready")
    ) as run:
        await run.until_event(EventKind.SERVING)
        await until(lambda: told(control)[-1:] == [{"default-0": "ready"}])
        before = len(told(control))
        os.kill(child(run, "gateway-0").process.pid, signal.SIGKILL)
        await run.until_event(EventKind.RESTARTED, "gateway-0")
        await until(lambda: len(told(control)) > before)

    assert {"default-0": "ready"} == told(control)[before]


async def test_supervisor__upstream_of_somebody_else(tmp_path):
    """An app whose Streamlit somebody else runs is told as one sidecar that is ready."""
    config = Config(gateway_port=0, apps=(AppConfig("far", "/far", upstream="http://127.0.0.1:8501"),))
    async with running(fake("gateway-0", "ready"), config=config) as run:
        await run.until_event(EventKind.SERVING)
        statuses = run.supervisor.statuses()

    assert statuses == [SidecarStatus("far-0", "far", "http://127.0.0.1:8501", "ready")]


async def test_supervisor__crash_loop(tmp_path):
    """Repeated deaths open the breaker, the gateway is told; when a later try lives, it serves again."""
    control, healthy = tmp_path / "control", tmp_path / "healthy"
    healthy.touch()
    async with running(
        fake("gateway-0", "ready", f"keep_control:{control}"),
        fake("default-0", f"exit_unless:{healthy}", "ready"),
    ) as run:
        await run.until_event(EventKind.SERVING)
        healthy.unlink()
        os.kill(child(run, "default-0").process.pid, signal.SIGKILL)
        opened = await run.until_event(EventKind.BREAKER, "default-0")
        failed = run.supervisor.statuses()[0]
        await run.until_event(EventKind.EXITED, "default-0", times=RULES.deaths + 1)
        during_try = {event.kind for event in run.events[run.events.index(opened) :]}
        healthy.touch()
        await run.until_event(EventKind.RESTARTED, "default-0")
        await until(lambda: told(control)[-1] == {"default-0": "ready"})

    assert opened.restarts == RULES.deaths
    assert (failed.state, failed.detail) == ("failed", "keeps dying; ended with exit code 1 before it served")
    assert EventKind.STARTED in during_try
    assert EventKind.RESTARTED not in during_try
    states = [states["default-0"] for states in told(control)]
    assert states[-2:] == ["failed", "ready"]
    assert "starting" not in states[states.index("failed") :]


async def test_supervisor__one_crash_loop_leaves_the_others_alone(tmp_path):
    """A sidecar in a crash loop does not stop the command or its neighbours."""
    healthy = tmp_path / "healthy"
    healthy.touch()
    async with running(
        fake("default-0", f"exit_unless:{healthy}", "ready"), fake("explore-0", "ready")
    ) as run:
        await run.until_event(EventKind.SERVING)
        healthy.unlink()
        os.kill(child(run, "default-0").process.pid, signal.SIGKILL)
        await run.until_event(EventKind.BREAKER, "default-0")
        states = {status.name: status.state for status in run.supervisor.statuses()}
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        code = await run.finish()

    assert states == {"default-0": "failed", "explore-0": "ready"}
    assert code == 0


async def test_supervisor__restart_that_hangs():
    """A restarted child that does not serve in time is killed and tried again."""
    seen = []

    def make_process(command, *rest):
        """Serve at first, hang at the second start, serve again."""
        seen.append(command)
        return Process(fake(command.name, *([] if len(seen) == 2 else ["ready"])), *rest)

    patience = Patience(start_s=1, sidecar_stop_s=5)
    async with running(fake("default-0"), make_process=make_process, patience=patience) as run:
        await run.until_event(EventKind.SERVING)
        os.kill(child(run, "default-0").process.pid, signal.SIGKILL)
        await run.until_event(EventKind.RESTARTED, "default-0")

    assert len(seen) == 3
    assert child(run, "default-0").restarts == 2


async def test_supervisor__exit_event_has_last_lines():
    """A hook is given what a dead child printed last."""
    async with running(fake("default-0", "ready", "write:out of memory", "leave:137")) as run:
        event = await run.until_event(EventKind.EXITED, "default-0")

    assert (event.code, event.last_lines) == (137, ("out of memory",))


async def test_supervisor__hook_that_fails(caplog):
    """A hook that raises is logged and does not take the server down."""
    async with running(fake("default-0", "ready"), hooks=[lambda event: 1 / 0]) as run:
        await run.until_event(EventKind.SERVING)
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        code = await run.finish()

    assert code == 0
    assert "ZeroDivisionError" in caplog.text


async def test_supervisor__noisy_children():
    """Endless lines and bytes that are no text disturb nobody, and lines carry their child's name."""
    async with running(
        fake("default-0", "ready", "flood:4", "write_hex:ff0a"), fake("default-1", "write:hello", "ready")
    ) as run:
        await run.until_event(EventKind.SERVING)
        await run.until(lambda: any(text.endswith("\ufffd") for _, text in run.lines))
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        code = await run.finish()

    assert code == 0
    assert ("default-1", "hello") in run.lines


async def test_supervisor__port_is_told():
    """Children learn the port that was bound when any free one was asked for."""
    async with running(fake("gateway-0", "show_environment:FLUXLIT_FLAGS", "ready")) as run:
        await run.until_event(EventKind.SERVING)
        port = run.supervisor.port

    assert port > 0
    assert [json.loads(text) for _, text in run.lines] == [{"gateway_port": port}]


async def test_supervisor__repr():
    """The state of everything can be read in a log."""
    async with running(fake("default-0", "ready")) as run:
        await run.until_event(EventKind.SERVING)
        shown = repr(run.supervisor)

    assert re.fullmatch(
        r"<Supervisor port \d+, "
        r"\[<Child default-0, ready, 0 restarts, <Process default-0, ready, pid \d+>>\]>",
        shown,
    )


def job(*words):
    """A fake job: something that runs once."""
    return dataclasses.replace(fake("assets", *words), kind=JOB)


async def test_job__runs_when_everything_serves():
    """A job starts once everything serves, has no listening socket, and its end disturbs nobody."""
    words = ("write:half done", "show_environment:FLUXLIT_LISTEN_FD", "leave:0")
    async with running(fake("default-0", "ready"), jobs=[job(*words)]) as run:
        await run.until_event(EventKind.SERVING)
        printed_before = list(run.lines)
        await run.until(lambda: ("assets", "None") in run.lines)
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        code = await run.finish()

    assert printed_before == []
    assert ("assets", "half done") in run.lines
    assert code == 0


async def test_job__fails(caplog):
    """A job that fails is one warning; it is not started again and the children go on."""
    async with running(fake("default-0", "ready"), jobs=[job("write:disk full", "leave:1")]) as run:
        await until(lambda: "assets" in caplog.text)
        state = child(run, "default-0").state.value
        started = [event.child for event in run.events if event.kind is EventKind.STARTED]

    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["assets ended with exit code 1; everything else goes on"]
    assert state == "ready"
    assert started == ["default-0"]


async def test_job__stopped_with_the_rest(tmp_path, caplog):
    """A job that still runs at the end is stopped and nobody is warned of it."""
    log = tmp_path / "log"
    async with running(fake("default-0", "ready"), jobs=[job(f"use_log:{log},assets")]) as run:
        await until(lambda: log.exists() and "started" in log.read_text())
        run.supervisor.inbox.put_nowait(signal.SIGTERM)
        code = await run.finish()

    assert code == 0
    assert "assets term" in log.read_text()
    assert "WARNING" not in caplog.text


async def test_job__no_such_program(caplog):
    """A job that cannot be started at all is one warning as well."""
    nothing = Command("assets", JOB, ("/no/such/program",))
    async with running(fake("default-0", "ready"), jobs=[nothing]) as run:
        await until(lambda: "assets could not be started: No such file or directory" in caplog.text)
        state = child(run, "default-0").state.value

    assert state == "ready"


# A supervisor of its own, to send signals to.


@pytest.fixture(autouse=True)
def temporary(monkeypatch):
    """A directory for the sockets that a killed supervisor leaves behind, short enough for their paths."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        monkeypatch.setenv("TMPDIR", directory)
        yield


async def start_supervisor(**children):
    """Run `run_supervisor.py` over fake children, given with `_` for `-` in their names."""
    words = json.dumps({name.replace("_", "-"): words for name, words in children.items()})
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(RUN_SUPERVISOR),
        words,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(RUN_SUPERVISOR.parents[2])},
    )


async def read_until(process, text):
    """Read a supervisor's output up to a line with this text."""

    async def read():
        while text not in (line := (await process.stdout.readline()).decode()):
            assert line, f"it ended without saying {text!r}"

    await asyncio.wait_for(read(), 15)


def logged_pids(log):
    """The process ids that children wrote to their log."""
    return [int(line.rpartition(" ")[2]) for line in log.read_text().splitlines() if " started " in line]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_supervisor__signal(number, tmp_path):
    """A real signal ends everything, grandchildren too, with exit code 0."""
    log, pid_file = tmp_path / "log", tmp_path / "grandchild"
    process = await start_supervisor(
        gateway_0=[f"use_log:{log},gateway-0", "ready"],
        default_0=[f"use_log:{log},default-0", f"grandchild:{pid_file}", "ready"],
    )
    await read_until(process, "event serving")

    process.send_signal(number)
    await asyncio.wait_for(process.communicate(), 10)

    assert process.returncode == 0
    await until_gone(*logged_pids(log), int(pid_file.read_text()))


@pytest.mark.parametrize("words", [["die_with_parent:"], []], ids=["by the kernel", "by the control line"])
async def test_supervisor__sigkill(words, tmp_path):
    """When the supervisor is killed its children go within two seconds, whatever they are doing."""
    log = tmp_path / "log"
    process = await start_supervisor(
        gateway_0=[f"use_log:{log},gateway-0", *words, "ready"],
        default_0=[f"use_log:{log},default-0", *words, "ready", *(["sleep:600"] if words else [])],
    )
    await read_until(process, "event serving")

    process.kill()
    await asyncio.wait_for(process.communicate(), 10)

    pids = logged_pids(log)
    assert len(pids) == 2
    await until_gone(*pids, timeout_s=2)


async def test_supervisor__sigkill_while_starting(tmp_path):
    """Children that had not yet served go as well."""
    log = tmp_path / "log"
    process = await start_supervisor(default_0=["die_with_parent:", f"use_log:{log},default-0", "sleep:600"])
    await until(log.exists)

    process.kill()
    await asyncio.wait_for(process.communicate(), 10)

    await until_gone(*logged_pids(log), timeout_s=2)

"""One child process."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from fluxlit_django.supervisor.command import Command
from fluxlit_django.supervisor.process import LINE_LIMIT, LINES_KEPT, Process, ProcessState, describe_exit
from tests.supervisor.children import fake, is_alive, until, until_gone


@contextlib.asynccontextmanager
async def started(*words, command=None, environment=None):
    """A started fake child and the lines it prints; killed at the end."""
    lines = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = Process(
            command or fake("default-0", *words),
            {**os.environ, **(environment or {})},
            listener,
            lambda name, texts: lines.extend((name, text) for text in texts),
        )
        try:
            await process.start()
            yield process, lines
        finally:
            process.kill()
            if process.pid is not None:
                await process.wait()


async def test_process__life():
    """Started, ready, stopped: each can be seen in its repr."""
    async with started("ready") as (process, _):
        seen = [repr(process)]
        await process.wait_ready(10)
        seen.append(repr(process))
        await process.stop(10)
        seen.append(repr(process))

    pid = process.pid
    assert [
        f"<Process default-0, starting, pid {pid}>",
        f"<Process default-0, ready, pid {pid}>",
        f"<Process default-0, exited, pid {pid}, ended with exit code 0>",
    ] == seen


async def test_process__inherits_the_listener():
    """A child serves on the socket that it was handed."""
    async with started("answer:hello") as (process, _):
        address = process._listener.getsockname()
        reader, writer = await asyncio.open_connection(*address)
        answer = await reader.read()
        writer.close()

    assert answer == b"hello"


async def test_process__own_session():
    """A Ctrl-C in the terminal reaches the supervisor only: the child leads its own session."""
    async with started("ready") as (process, _):
        await process.wait_ready(10)
        session = os.getsid(process.pid)

    assert process.pid == session


async def test_process__environment():
    """The child sees the environment it is given."""
    async with started("show_environment:COLOUR", "leave:0", environment={"COLOUR": "red"}) as (
        process,
        lines,
    ):
        await process.wait()

    assert lines == [("default-0", "red")]


async def test_process__exits_before_ready():
    """A child that ends early is not ready, and its last lines and code are kept."""
    async with started("write:first", "write:last words", "leave:3") as (process, _):
        ready = await process.wait_ready(10)

    assert not ready
    assert process.exit_code == 3
    assert list(process.last_lines) == ["first", "last words"]


async def test_process__not_ready_in_time():
    """A child that hangs is not waited for longer than asked."""
    async with started() as (process, _):
        ready = await process.wait_ready(0.05)
        state = process.state

    assert not ready
    assert state is ProcessState.STARTING


async def test_process__no_such_program():
    """A program that is not there is an OSError, and no descriptor is left open."""
    before = set(os.listdir("/proc/self/fd"))

    with pytest.raises(FileNotFoundError):
        async with started(command=Command("default-0", "sidecar", ("/no/such/program",))):
            pass
    await asyncio.sleep(0)

    assert set(os.listdir("/proc/self/fd")) <= before


async def test_process__leaves_no_descriptor():
    """A child that came and went costs nothing."""
    async with started("leave:0") as (process, _):
        await process.wait()
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(3):
        async with started("leave:0") as (process, _):
            await process.wait()
    await asyncio.sleep(0)

    assert before == len(os.listdir("/proc/self/fd"))


async def test_process__ignores_term():
    """A child that does not stop when asked is killed."""
    async with started("ignore_term:", "ready") as (process, _):
        await process.wait_ready(10)
        await process.stop(0.1)

    assert process.exit_code == -signal.SIGKILL


@pytest.mark.parametrize("how", ["stop", "kill", "exit"])
async def test_process__grandchildren(how, tmp_path):
    """However a child ends, what it started ends too, also when that ignores SIGTERM and holds the output."""
    pid_file = tmp_path / "pid"
    words = ["leave:1"] if how == "exit" else ["ready"]
    async with started(f"grandchild:{pid_file}", *words) as (process, _):
        await process.wait_ready(10)
        if how == "stop":
            await process.stop(10)
        if how == "kill":
            process.kill()
        await process.wait(10)

        assert process.state is ProcessState.EXITED
        await until_gone(int(pid_file.read_text()))


async def test_process__killed_from_outside():
    """A child killed by somebody else is noticed with its signal."""
    async with started("ready") as (process, _):
        await process.wait_ready(10)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait(10)

    assert "<Process default-0, exited, " in repr(process)
    assert "killed by SIGKILL" in repr(process)


async def test_process__control_line_ends():
    """A child that sees the end of its control line goes by itself."""
    async with started("ready") as (process, _):
        await process.wait_ready(10)
        process._line.close()
        gone = await process.wait(10)

    assert gone
    assert process.exit_code == 0


async def test_process__sends():
    """Messages reach the child as lines of JSON."""
    async with started("print_control:", "leave:0") as (process, lines):
        process.send({"type": "sidecars", "sidecars": []})
        await process.wait(10)

    assert lines == [("default-0", '{"type": "sidecars", "sidecars": []}')]


async def test_process__not_json_on_the_control_line(caplog):
    """A message that is not JSON is logged, and the child goes on."""
    async with started("ready", "send:}{", "write:done") as (process, lines):
        await process.wait_ready(10)
        await until(lambda: lines and caplog.messages)
        alive = is_alive(process.pid)

    assert "default-0 sent a control message that is not JSON" in caplog.text
    assert alive


async def test_process__not_utf8():
    """Bytes that are no text are shown as the replacement character."""
    async with started("write_hex:ff61fe0a", "write_hex:c3a90d0a", "leave:0") as (process, lines):
        await process.wait()

    assert lines == [("default-0", "\ufffda\ufffd"), ("default-0", "é")]


async def test_process__no_final_newline():
    """The last words of a child that died in the middle of a line are not lost."""
    async with started("write_hex:616263", "leave:1") as (process, lines):
        await process.wait()

    assert lines == [("default-0", "abc")]


async def test_process__endless_line():
    """A line without an end is shown in pieces, and never held as a whole."""
    async with started("flood:8", "leave:0") as (process, lines):
        await process.wait()

    assert {LINE_LIMIT} == {len(text) for _, text in lines}
    assert sum(len(text) for _, text in lines) == 8 << 20
    assert len(process.last_lines) == LINES_KEPT


async def test_process__grandchild_outside_the_group(tmp_path):
    """A descendant that left the group and holds the output open does not hide the child's end."""
    code = "import time; time.sleep(600)"
    script = tmp_path / "child.py"
    pid_file = tmp_path / "pid"
    script.write_text(
        "import subprocess, sys\n"
        f"born = subprocess.Popen([sys.executable, '-c', {code!r}], start_new_session=True)\n"
        f"open({str(pid_file)!r}, 'w').write(str(born.pid))\n"
    )
    command = Command("default-0", "sidecar", (sys.executable, str(script)))
    async with started(command=command) as (process, _):
        gone = await process.wait(10)

    os.kill(int(Path(pid_file).read_text()), signal.SIGKILL)
    assert gone
    assert process.exit_code == 0


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (-9, "was killed by SIGKILL"),
        (-40, "was killed by signal 40"),
    ],
)
def test_describe_exit(code, words):
    """How a process ended, in words."""
    assert words == describe_exit(code)

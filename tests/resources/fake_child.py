"""A child for tests of the supervisor: carries out its arguments in order, then waits as a server would.

It knows only the contract of the children: the control line, the inherited socket, SIGTERM.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time

control = socket.socket(fileno=int(os.environ["FLUXLIT_CONTROL_FD"]))
log = ""
name = ""


def note(what):
    """Append a line to the log that all children of a test share."""
    if log:
        with open(log, "a") as file:
            file.write(f"{name} {what}\n")


def on_term(*args):
    note("term")
    sys.exit(0)


def ready(argument):
    control.sendall(b'{"type": "ready"}\n')


def send(argument):
    control.sendall(argument.encode() + b"\n")


def use_log(argument):
    global log, name
    log, name = argument.split(",")
    note(f"started {os.getpid()}")


def write(argument):
    print(argument, flush=True)


def write_hex(argument):
    os.write(1, bytes.fromhex(argument))


def flood(argument):
    """So many mebibytes without an end of line."""
    for _ in range(int(argument)):
        os.write(1, b"x" * (1 << 20))


def leave(argument):
    raise SystemExit(int(argument))


def exit_unless(argument):
    """End with 1 as long as a file is missing."""
    if not os.path.exists(argument):
        raise SystemExit(1)


def ignore_term(argument):
    signal.signal(signal.SIGTERM, lambda *args: note("ignored"))


def slow_term(argument):
    """Take so many seconds to drain."""

    def drain(*args):
        note("term")
        time.sleep(float(argument))
        note("drained")
        sys.exit(0)

    signal.signal(signal.SIGTERM, drain)


def wait_for(argument):
    """Wait until a file is there."""
    while not os.path.exists(argument):
        time.sleep(0.02)


def die_with_parent(argument):
    """As every real child does first of all."""
    sys.path += os.environ["PYTHONPATH"].split(":")
    from fluxlit_django.control import die_with_parent

    die_with_parent()


def grandchild(argument):
    """A process that ignores SIGTERM and holds our output open."""
    code = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('born', flush=True); time.sleep(600)"
    )
    born = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stdout=subprocess.PIPE)
    born.stdout.readline()
    with open(argument, "w") as file:
        file.write(str(born.pid))


def keep_control(argument):
    """Write all that comes on the control line to a file."""
    with open(argument, "ab", buffering=0) as file:
        while data := control.recv(65536):
            file.write(data)


def print_control(argument):
    """Print what comes next on the control line."""
    print(control.recv(65536).decode(), end="", flush=True)


def sleep(argument):
    time.sleep(float(argument))


def answer(argument):
    """Accept one connection and send a word."""
    listener = socket.socket(fileno=int(os.environ["FLUXLIT_LISTEN_FD"]))
    connection, _ = listener.accept()
    connection.sendall(argument.encode())
    connection.close()


def show_environment(argument):
    print(os.environ.get(argument), flush=True)


woken, wake = socket.socketpair()
wake.setblocking(False)
signal.set_wakeup_fd(wake.fileno())  # a signal that comes just before `select` ends that too
signal.signal(signal.SIGTERM, on_term)
for word in sys.argv[1:]:
    action, _, argument = word.partition(":")
    globals()[action](argument)
while woken in (readable := select.select([control, woken], [], [])[0]) or control.recv(65536):
    if woken in readable:
        woken.recv(16)

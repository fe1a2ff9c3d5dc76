"""What the command shows while it runs."""

import io
import json
import logging

from fluxlit_django.supervisor.events import Event, EventKind
from fluxlit_django.supervisor.output import JsonOutput, Output, OutputHandler, StartScreen, uses_colour


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


class ClosedPipe(io.StringIO):
    """A stream whose reader went away."""

    writes = 0

    def write(self, text):
        self.writes += 1
        raise BrokenPipeError


def test_output__line():
    """Names are padded, so that lines of all children stand in one column."""
    stream = io.StringIO()

    Output(stream, width=10).lines("gateway-0", ["hello"])

    assert stream.getvalue() == "gateway-0  | hello\n"


def test_output__lines_together():
    """Lines that came together are one write, each under its child's name."""
    stream = Terminal()
    writes = []
    stream.write = writes.append

    Output(stream).lines("gateway-0", ["one", "two"])

    assert writes == ["gateway-0 | one\ngateway-0 | two\n"]


def test_output__line_in_colour():
    """A child's name is dim, its line is as it came."""
    stream = Terminal()

    Output(stream, colour=True).lines("gateway-0", ["hello"])

    assert stream.getvalue() == "\x1b[2mgateway-0 |\x1b[0m hello\n"


def test_json_output():
    """Whatever is shown, by a child or for people, is one JSON object per line, with its process's name."""
    stream = Terminal()
    output = JsonOutput(stream)

    output.progress("Starting a-0 ...")
    output.progress("")
    output.lines("a-0", ["hello"])
    output.lines("a-0", ['{"message": "own"}'])
    output.text("\n  FluxLit\n\n  ready in 1.0 s\n")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [
        ("supervisor", "Starting a-0 ..."),
        ("a-0", "hello"),
        ("a-0", "own"),
        ("supervisor", "FluxLit"),
        ("supervisor", "ready in 1.0 s"),
    ] == [(line["process"], line["message"]) for line in lines]


def test_output__reader_gone():
    """A reader that goes away (`fluxlit_run | head`) ends the output, not the server."""
    stream = ClosedPipe()
    output = Output(stream)

    output.lines("gateway-0", ["one"])
    output.lines("gateway-0", ["two"])

    assert stream.writes == 1


def test_output__ascii_stream():
    """A stream that cannot show a character shows its code."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")

    Output(stream).lines("gateway-0", ["5 €"])

    assert stream.buffer.getvalue() == b"gateway-0 | 5 \\u20ac\n"


def test_output__progress_on_a_terminal():
    """The progress line stays below what is printed meanwhile, until it is taken away."""
    stream = Terminal()
    output = Output(stream)

    output.progress("Starting a")
    output.text("a line\n")
    output.progress("")

    assert stream.getvalue() == "\r\x1b[KStarting a\r\x1b[Ka line\nStarting a\r\x1b[K"


def test_uses_colour(monkeypatch):
    """Only on a terminal, and not where NO_COLOR is set."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    on_terminal, on_file = uses_colour(Terminal()), uses_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    unwanted = uses_colour(Terminal())

    assert (on_terminal, on_file, unwanted) == (True, False, False)


def test_output_handler():
    """The supervisor's own log stands among its children's lines, a traceback line by line."""
    stream = io.StringIO()
    logger = logging.Logger("test")
    logger.addHandler(OutputHandler(Output(stream, width=10)))

    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        logger.exception("It failed")

    lines = stream.getvalue().splitlines()
    assert lines[0] == "supervisor | It failed"
    assert lines[-1] == "supervisor | ZeroDivisionError: division by zero"


def test_start_screen__file():
    """Without a terminal: one line when things start, the banner when they serve."""
    stream = io.StringIO()
    now = iter([10.0, 12.5])
    screen = StartScreen(
        Output(stream), ["gateway-0", "default-0"], "ready in {}\n".format, lambda: next(now)
    )

    screen.show()
    screen(Event(EventKind.READY, "default-0"))
    screen(Event(EventKind.READY, "gateway-0"))
    screen(Event(EventKind.SERVING))

    assert stream.getvalue() == "Starting gateway-0, default-0 ...\nready in 2.5\n"


def test_start_screen__terminal():
    """On a terminal one line says what is waited for, and leaves no trace."""
    stream = Terminal()
    screen = StartScreen(Output(stream), ["gateway-0", "default-0"], lambda seconds: "banner\n")

    screen.show()
    screen(Event(EventKind.READY, "default-0"))
    screen(Event(EventKind.SERVING))

    shown = stream.getvalue().split("\r\x1b[K")
    assert shown == ["", "Starting gateway-0, default-0 ...", "Starting gateway-0 ...", "banner\n"]


def test_start_screen__failed():
    """A start that fails leaves no progress line in front of the error."""
    stream = Terminal()
    screen = StartScreen(Output(stream), ["default-0"], str)

    screen.show()
    screen(Event(EventKind.STOPPING))

    assert stream.getvalue().endswith("\r\x1b[K")

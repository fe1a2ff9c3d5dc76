"""What the command shows: every child's lines under its name, and one progress line while things start."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TextIO

from fluxlit_django.logs import json_line
from fluxlit_django.supervisor.events import Event, EventKind

_DIM = "\x1b[2m{}\x1b[0m"
_CLEAR_LINE = "\r\x1b[K"


def uses_colour(stream: TextIO) -> bool:
    """Whether this stream is a terminal whose owner has not asked for no colour (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Output:
    """Writes to one stream; a reader that goes away does not stop the supervisor."""

    def __init__(self, stream: TextIO, *, width: int = 0, colour: bool = False) -> None:
        self._stream = stream
        self._width = width
        self._colour = colour
        self.is_terminal = stream.isatty()
        self._progress = ""
        self._is_gone = False

    def lines(self, name: str, texts: Sequence[str]) -> None:
        """Show lines of a child, in one go: a busy gateway's come faster than each could be written alone."""
        prefix = f"{name:<{self._width}} |"
        prefix = _DIM.format(prefix) if self._colour else prefix
        self.text("".join(f"{prefix} {text}\n" for text in texts))

    def text(self, text: str) -> None:
        """Show text as it is, above the progress line."""
        if self._progress:
            text = f"{_CLEAR_LINE}{text}{self._progress}"
        self._write(text)

    def progress(self, text: str) -> None:
        """Show what is waited for, in place of what was shown before; "" takes it away.

        Nothing can be replaced on a stream that is not a terminal: it gets the text as a line.
        """
        if not self.is_terminal:
            self._write(f"{text}\n" if text else "")
            return
        self._progress = _DIM.format(text) if text and self._colour else text
        self._write(_CLEAR_LINE + self._progress)

    def _write(self, text: str) -> None:
        if self._is_gone:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except UnicodeEncodeError:
            self._write(text.encode("ascii", "backslashreplace").decode("ascii"))
        except OSError:  # the other end of a pipe was closed, or a terminal hung up
            self._is_gone = True


class JsonOutput(Output):
    """Writes one JSON object per line, whatever a child prints."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.is_terminal = False

    def lines(self, name: str, texts: Sequence[str]) -> None:
        """Show lines of a child, each under its name."""
        self._write("".join(f"{json_line(name, text)}\n" for text in texts))

    def text(self, text: str) -> None:
        """Show what is meant for people, line by line."""
        self.lines("supervisor", [line for line in map(str.strip, text.splitlines()) if line])

    def progress(self, text: str) -> None:
        """Show what is waited for."""
        self.text(text)


class JsonStream(io.StringIO):
    """A stream whose text becomes JSON lines, for what Django's commands write."""

    def __init__(self, output: JsonOutput) -> None:
        super().__init__()
        self._output = output

    def write(self, text: str) -> int:
        """Write text, line by line."""
        self._output.text(text)
        return len(text)


class OutputHandler(logging.Handler):
    """Shows log records of the supervisor among its children's lines."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record, a traceback under it."""
        self._output.lines("supervisor", self.format(record).splitlines())


class StartScreen:
    """A hook: shows what is waited for until everything serves, then the banner."""

    def __init__(
        self,
        output: Output,
        names: Iterable[str],
        render_banner: Callable[[float], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output = output
        self._waiting = list(names)
        self._render_banner = render_banner
        self._clock = clock
        self._started = clock()

    def show(self) -> None:
        """Show what is waited for."""
        self._output.progress(f"Starting {', '.join(self._waiting)} ..." if self._waiting else "")

    def __call__(self, event: Event) -> None:
        """Take an event of the supervisor."""
        if event.kind is EventKind.READY and event.child in self._waiting:
            self._waiting.remove(event.child)
            if self._output.is_terminal:
                self.show()
        elif event.kind is EventKind.SERVING:
            self._output.progress("")
            self._output.text(self._render_banner(self._clock() - self._started))
        elif event.kind is EventKind.STOPPING:
            self._output.progress("")

"""HTTP and WebSocket load, from a client that costs little, so that the servers are what is timed."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import struct
import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import aiohttp

from bench import processes
from bench.commands import BenchError

_STREAM = "/_stcore/stream"
_SAMPLE_S = 0.02
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10  # RFC 6455 §5.2
_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: streamlit, PLACEHOLDER_AUTH_TOKEN\r\n\r\n"
)


async def requests_per_second(url: str, seconds: float, connections: int = 20) -> float:
    """Small GETs over connections that stay open: with `wrk` where it is installed.

    Raises:
        BenchError: an answer was not 200.
    """
    program = shutil.which("wrk")
    if program is None:
        return await _own_requests_per_second(url, seconds, connections)
    command = [
        program,
        "--threads=1",
        f"--connections={connections}",
        f"--duration={max(1, round(seconds))}s",
    ]
    process = await asyncio.create_subprocess_exec(*command, url, stdout=asyncio.subprocess.PIPE)
    try:
        output = (await process.communicate())[0].decode()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is None or "Non-2xx" in output or "Socket errors" in output:
        msg = f"{url} did not answer every request with 200:\n{output}"
        raise BenchError(msg)
    return float(found[1])


async def _own_requests_per_second(url: str, seconds: float, connections: int) -> float:
    parts = urlsplit(url)
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    started = time.perf_counter()
    counts = await asyncio.gather(
        *(_repeat_request(parts.hostname, parts.port, request, started + seconds) for _ in range(connections))
    )
    return sum(counts) / (time.perf_counter() - started)


async def _repeat_request(host: str | None, port: int | None, request: bytes, until: float) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    count = 0
    try:
        while time.perf_counter() < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                msg = f"The answer to a small GET was {head[:40]!r}."
                raise BenchError(msg)
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            if length is not None:
                await reader.readexactly(int(length[1]))
            else:
                await reader.readuntil(b"0\r\n\r\n")
            count += 1
    finally:
        writer.close()
    return count


class _EchoSocket(asyncio.Protocol):
    """Sends a frame, waits until it is back, and sends it again.

    The frame is made once, with a mask of zeroes: a server unmasks it as any other.
    """

    def __init__(self, handshake: bytes, size: int, note_echo: Callable[[], bool]) -> None:
        self._handshake = handshake
        self._size = size
        self._frame = client_frame(bytes(size))
        self._note_echo = note_echo
        self._buffer = bytearray()
        self._is_open = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._handshake)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open and not self._take_handshake():
            return
        while (frame := read_frame(self._buffer)) is not None:
            self._take_frame(*frame)

    def _take_handshake(self) -> bool:
        head, blank, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not blank:
            return False
        if b" 101 " not in head.partition(b"\r\n")[0]:
            self._fail(f"The WebSocket was refused: {head[:80]!r}")
            return False
        self._buffer = bytearray(rest)
        self._is_open = True
        self._transport.write(self._frame)
        return True

    def _take_frame(self, opcode: int, length: int) -> None:
        if opcode == _PING:
            self._transport.write(client_frame(b"", _PONG))
        elif opcode == _CLOSE:
            self._fail("The server closed the WebSocket.")
        elif opcode in {_TEXT, _BINARY}:
            if length != self._size:
                self._fail(f"An echo had {length} bytes instead of {self._size}.")
            elif self._note_echo():
                self._transport.write(self._frame)
            elif not self.done.done():
                self.done.set_result(None)

    def _fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(BenchError(reason))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("The connection of a WebSocket was lost.")

    def close(self) -> None:
        """Leave without a word; the server notices."""
        if not self.done.done():
            self.done.cancel()
        self._transport.close()


def client_frame(payload: bytes, opcode: int = _BINARY) -> bytes:
    """A final frame from a client, masked with zeroes."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    return head + bytes(4) + payload


def read_frame(buffer: bytearray) -> tuple[int, int] | None:
    """Take one unmasked frame off the front: its opcode and length; None while it is not whole."""
    if len(buffer) < 2:
        return None
    length, start = buffer[1] & 0x7F, 2
    if length == 126:
        length, start = int.from_bytes(buffer[2:4], "big"), 4
    elif length == 127:
        length, start = int.from_bytes(buffer[2:10], "big"), 10
    if len(buffer) < max(start + length, start):
        return None
    opcode = buffer[0] & 0x0F
    del buffer[: start + length]
    return opcode, length


async def echoes_per_second(address: str, seconds: float, *, sockets: int, size: int) -> float:
    """Frames that come back each second, over so many sockets with one frame of `size` bytes each under way.

    Raises:
        BenchError: a socket was refused or closed, or an echo was of another size.
    """
    host = address.removeprefix("http://")
    name, _, port = host.partition(":")
    handshake = _HANDSHAKE.format(path=_STREAM, host=host).encode()
    count = 0
    until = time.perf_counter() + seconds

    def note_echo() -> bool:
        nonlocal count
        count += 1
        return time.perf_counter() < until

    loop = asyncio.get_running_loop()
    opened = []
    started = time.perf_counter()
    try:
        for _ in range(sockets):
            _, echo = await loop.create_connection(
                lambda: _EchoSocket(handshake, size, note_echo), name, int(port)
            )
            opened.append(echo)
        await asyncio.gather(*(echo.done for echo in opened))
        return count / (time.perf_counter() - started)
    finally:
        for echo in opened:
            echo.close()


async def download(address: str, megabytes: int) -> float:
    """Megabytes per second of one download.

    Raises:
        BenchError: it was not whole.
    """
    started = time.perf_counter()
    received = 0
    async with (
        aiohttp.ClientSession(read_bufsize=1 << 20) as client,
        client.get(f"{address}/media/{megabytes}") as response,
    ):
        async for chunk in response.content.iter_any():
            received += len(chunk)
        if response.status != 200 or received != megabytes * 1_000_000:
            msg = f"The download ended with status {response.status} after {received} bytes."
            raise BenchError(msg)
    return received / 1e6 / (time.perf_counter() - started)


async def upload(address: str, megabytes: int) -> float:
    """Megabytes per second of one upload.

    Raises:
        BenchError: it did not arrive whole.
    """
    chunk = bytes(1_000_000)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(megabytes):
            yield chunk

    started = time.perf_counter()
    headers = {"Content-Length": str(megabytes * len(chunk)), "Content-Type": "application/octet-stream"}
    async with aiohttp.ClientSession() as client:
        url = f"{address}/_stcore/upload_file/session/file"
        async with client.put(url, data=body(), headers=headers) as response:
            arrived = await response.text()
    if arrived != str(megabytes * len(chunk)):
        msg = f"The upload ended with status {response.status}: {arrived[:80]!r}"
        raise BenchError(msg)
    return megabytes / (time.perf_counter() - started)


@contextlib.asynccontextmanager
async def memory_growth(pids: list[int]) -> AsyncIterator[Callable[[], float]]:
    """Watch the memory of processes; what it yields gives the growth to the highest point so far, in MB."""
    before = highest = processes.resident_bytes(pids)

    async def watch() -> None:
        nonlocal highest
        while True:
            highest = max(highest, processes.resident_bytes(pids))
            await asyncio.sleep(_SAMPLE_S)

    watcher = asyncio.create_task(watch())
    try:
        yield lambda: (highest - before) / 1e6
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)

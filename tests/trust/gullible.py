"""A server that falls for every attack: what an audit must tell from a good one."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from urllib.parse import unquote

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

SESSION_ID = "11111111-2222-3333-4444-555555555555"
_ACCEPT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §4.2.2
_MIXED_UP = 10


class GullibleServer:
    """Answers whoever asks, believes all it is told, and waits for ever."""

    def __init__(self) -> None:
        self._anonymous_pages = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, without a look at where they end."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, target, *_ = head.split(" ", 2)
                headers = dict(re.findall(r"^([\w-]+) *: *(.*?)\r$", head, re.MULTILINE))
                headers = {name.lower().replace("_", "-"): value for name, value in headers.items()}
                if "websocket" in headers.get("upgrade", ""):
                    await self._open_socket(reader, writer, headers)
                    return
                if method == "POST" and "application/x-www-form" in headers.get("content-type", ""):
                    await reader.readexactly(int(headers.get("content-length", 0)))
                status, fields, body = self._answer(method, target, headers)
                lines = [f"HTTP/1.1 {status} X", "Server: uvicorn", f"Content-Length: {len(body)}", *fields]
                writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body.encode())
                if headers.get("connection") == "close" and method != "POST":
                    break
        writer.close()

    def _answer(self, method: str, target: str, headers: dict[str, str]) -> tuple[int, list[str], str]:
        path, _, query = target.partition("?")
        if "%0d" in target:
            return 302, [f"Location: {unquote(target)}"], ""
        if "passwd" in path:
            return 200, [], "root:x:0:0:root:/root:/bin/sh"
        if path.startswith(("//", "/\\")):
            return 302, [f"Location: {path}"], ""
        if path.startswith("/accounts/log"):
            return self._answer_login(method, query, headers)
        if path == "/_stcore/health":
            return 200, ["Set-Cookie: _streamlit_xsrf=x"], ""
        if method == "PUT":
            return 204, [], ""
        if path.startswith(("/_stcore/", "/media/")) or self._is_believed(headers):
            return 200, [], "a page"
        host = headers.get("x-forwarded-host") or headers.get("host", "")
        return 302, [f"Location: http://{host}/accounts/login/?next=/"], ""

    def _answer_login(self, method: str, query: str, headers: dict[str, str]) -> tuple[int, list[str], str]:
        if method != "POST":
            return 200, [], '<input name="csrfmiddlewaretoken" value="x">'
        planted = re.search(r"sessionid=(\w+)", headers.get("cookie", ""))
        key = planted[1] if planted else secrets.token_hex(16)
        return (
            302,
            [f"Location: {unquote(query.partition('=')[2]) or '/'}", f"Set-Cookie: sessionid={key}; Path=/"],
            "",
        )

    def _is_believed(self, headers: dict[str, str]) -> bool:
        if "sessionid" in headers.get("cookie", "") or {"x-fluxlit-user-id", "authorization"} & set(headers):
            return True
        self._anonymous_pages += 1
        return self._anonymous_pages % _MIXED_UP == 0

    async def _open_socket(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]
    ) -> None:
        digest = hashlib.sha1((headers["sec-websocket-key"] + _ACCEPT).encode()).digest()
        writer.write(
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: streamlit\r\nSec-WebSocket-Accept: "
            + base64.b64encode(digest)
            + b"\r\n\r\n"
        )
        # Whatever comes first is taken for the wish to run the script.
        await reader.readexactly(2)
        for frame in run_of_the_script():
            writer.write(bytes([0x82, len(frame)]) + frame)
        await reader.read()


def run_of_the_script() -> list[bytes]:
    """What a run sends: its session, something with a media file, and its end."""
    start, middle, end = ForwardMsg(), ForwardMsg(), ForwardMsg()
    start.new_session.initialize.session_id = SESSION_ID
    middle.delta.new_element.markdown.body = "/media/0123456789abcdef.wav"
    end.script_finished = ForwardMsg.FINISHED_SUCCESSFULLY
    return [message.SerializeToString() for message in (start, middle, end)]


@contextlib.asynccontextmanager
async def running_gullible_server() -> AsyncIterator[str]:
    """Run one until the end of the block; its URL."""
    gullible = GullibleServer()
    writers: list[asyncio.StreamWriter] = []
    tasks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        tasks.append(asyncio.current_task())
        await gullible.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 24)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*tasks)

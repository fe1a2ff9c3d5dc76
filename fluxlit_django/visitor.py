"""A visitor of a running site, who comes as browsers do: what the audit and the doctor are made of."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import aiohttp
from django.conf import settings
from yarl import URL

from fluxlit_django.conf import parse_url
from fluxlit_django.exceptions import FluxLitError
from fluxlit_django.gateway import protocol
from fluxlit_django.redaction.names import redact

TIMEOUT = aiohttp.ClientTimeout(total=20)
RERUN = bytes([protocol.RERUN_SCRIPT_FIELD << 3 | 2, 0])
"""A BackMsg that asks for a run of the script."""

XSRF_COOKIE = "_streamlit_xsrf"
_BOUNDARY = "fluxlit-visitor"
_PIECE = 1 << 16  # bytes
_UPLOAD_TIMEOUT = aiohttp.ClientTimeout(total=300, sock_read=60)
_CSRF_FIELD = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Skipped(FluxLitError):
    """Something cannot be tried on this site, or with the accounts that were given."""


def parse_site(raw: str) -> str:
    """The URL of a site to visit, as --url names it; without a slash at its end.

    Raises:
        ValueError: it is none, or holds a user, whose password would be in every line of the report.
    """
    try:
        url = parse_url(raw)
    except ValueError as exc:
        msg = f"--url is {redact(raw)!r}: {exc}."
        raise ValueError(msg) from None
    if not url or "@" in urlsplit(url).netloc:
        msg = f"--url is {redact(raw)!r}: use the site's URL, and --user and --password for an account."
        raise ValueError(msg)
    return url


@dataclass(frozen=True)
class User:
    """An account that may be used."""

    name: str
    password: str
    id: str = ""
    """Its primary key, as far as it is known: what forged tokens would name."""


@dataclass(frozen=True)
class Target:
    """What is visited.

    Args:
        url: the site's public URL, with its path prefix and without a slash at its end.
        mount: the app's mount below it; "" for the root.
        users: accounts; two of them for the attacks of one viewer on another.
        patience_s: longest time that a connection which sends too slowly may stay open.
        verify: whether TLS certificates are checked.
    """

    url: str
    mount: str = ""
    users: tuple[User, ...] = ()
    patience_s: float = 90.0
    verify: bool = True

    @property
    def origin(self) -> str:
        """The site's scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def app(self) -> str:
        """The app's URL, without a slash at its end."""
        return f"{self.url}{self.mount}"

    @property
    def is_secure(self) -> bool:
        """Whether the site is reached by TLS."""
        return self.url.startswith("https:")


@contextlib.asynccontextmanager
async def browser(target: Target) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser without a session."""
    connector = aiohttp.TCPConnector(ssl=target.verify, limit=0)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, timeout=TIMEOUT) as session:
        yield session


@contextlib.asynccontextmanager
async def signed_in(target: Target, number: int = 0) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser in which one of the users is signed in.

    Raises:
        Skipped: no such user was given, or the site has no login form of Django's.
    """
    async with browser(target) as session:
        await sign_in(session, target, number)
        yield session


async def sign_in(session: aiohttp.ClientSession, target: Target, number: int = 0) -> None:
    """Sign a user in, by the form that the app's page leads to."""
    require_users(target, number + 1)
    status, location = await submit_login(session, target, number, await find_login(session, target))
    if status != 302:
        msg = f"{target.users[number].name} could not sign in: {status} {location}"
        raise Skipped(msg)


def require_users(target: Target, count: int) -> None:
    """Skip what needs more accounts than were given."""
    if count > len(target.users):
        raise Skipped(f"Needs --user and --password{' twice' if count > 1 else ''}.")


def session_key(session: aiohttp.ClientSession, target: Target) -> str:
    """The key of a browser's Django session."""
    found = session.cookie_jar.filter_cookies(URL(target.url))
    if settings.SESSION_COOKIE_NAME not in found:
        raise Skipped("The sign-in sets no session cookie.")
    return found[settings.SESSION_COOKIE_NAME].value


async def find_login(session: aiohttp.ClientSession, target: Target) -> str:
    """The URL of the login page that an anonymous viewer is sent to."""
    async with session.get(f"{target.app}/", allow_redirects=False) as response:
        if response.status != 302:
            msg = f"The app sends nobody to a login page ({response.status})."
            raise Skipped(msg)
        return urljoin(target.origin, response.headers["Location"])


async def submit_login(
    session: aiohttp.ClientSession, target: Target, number: int, url: str
) -> tuple[int, str]:
    """Fill in the login form; the status and where it leads."""
    async with session.get(URL(url, encoded=True)) as response:
        token = _CSRF_FIELD.search(await response.text())
    user = target.users[number]
    fields = {
        "csrfmiddlewaretoken": token[1] if token else "",
        "username": user.name,
        "password": user.password,
    }
    headers = {"Referer": url, "Origin": target.origin}
    async with session.post(
        URL(url, encoded=True), data=fields, headers=headers, allow_redirects=False
    ) as response:
        return response.status, response.headers.get("Location", "")


async def sign_out(session: aiohttp.ClientSession, target: Target) -> None:
    """Post the sign-out form beside the login form."""
    async with browser(target) as other:
        url = (await find_login(other, target)).partition("?")[0].replace("login", "logout")
    async with session.get(url) as response:
        token = _CSRF_FIELD.search(await response.text())
    fields = {"csrfmiddlewaretoken": token[1] if token else ""}
    headers = {"Referer": url, "Origin": target.origin}
    async with session.post(url, data=fields, headers=headers, allow_redirects=False) as response:
        if response.status >= 400:
            msg = f"There is no sign-out at {url} ({response.status})."
            raise Skipped(msg)


async def page_status(session: aiohttp.ClientSession, target: Target, **options: object) -> int:
    """The status of the app's page; 200 is the page itself."""
    async with session.get(f"{target.app}/", allow_redirects=False, **options) as response:  # type: ignore[arg-type]
        return response.status


@contextlib.asynccontextmanager
async def socket_of(
    session: aiohttp.ClientSession,
    target: Target,
    *,
    origin: str | None = "",
    resume: str = "",
    **headers: str,
) -> AsyncIterator[aiohttp.ClientWebSocketResponse[bool]]:
    """An open WebSocket of the app.

    Args:
        origin: the site's own unless given; None for none.
        resume: the Streamlit session to go on with; "" for a new one.
        headers: further ones.
    """
    own = target.origin if origin == "" else origin
    fields = headers if own is None else {**headers, "Origin": own}
    entries = (protocol.SUBPROTOCOL, "x", resume) if resume else (protocol.SUBPROTOCOL, "x")
    async with session.ws_connect(
        f"{target.app}/_stcore/stream",
        headers=fields,
        protocols=entries,
        timeout=aiohttp.ClientWSTimeout(ws_close=1),
    ) as socket:
        yield socket


async def close_code(socket: aiohttp.ClientWebSocketResponse[bool], limit_s: float) -> int | None:
    """The code with which the server closes a socket that it shows nothing on; None when it doesn't."""
    with contextlib.suppress(asyncio.TimeoutError):
        frame = await asyncio.wait_for(socket.receive(), limit_s)
        if frame.type is aiohttp.WSMsgType.BINARY:
            return None
        return socket.close_code or 1006
    return None


async def code_when_closed(socket: aiohttp.ClientWebSocketResponse[bool], limit_s: float) -> int | None:
    """The code with which the server closes a socket; None when it doesn't."""

    async def wait() -> int:
        while (await socket.receive()).type is aiohttp.WSMsgType.BINARY:
            """What the script draws meanwhile."""
        return socket.close_code or 1006

    with contextlib.suppress(asyncio.TimeoutError):
        return await asyncio.wait_for(wait(), limit_s)
    return None


async def open_session(session: aiohttp.ClientSession, target: Target) -> tuple[str, bytes]:
    """The id of a Streamlit session that was open a moment ago, and what it showed."""
    async with socket_of(session, target) as socket:
        return await read_session(socket)


async def read_session(socket: aiohttp.ClientWebSocketResponse[bool]) -> tuple[str, bytes]:
    """Run the script; the Streamlit session's id and all that the run showed."""
    await socket.send_bytes(RERUN)
    session_id, frames, last = "", b"", b""
    while not protocol.ends_rerun(last):
        frame = await asyncio.wait_for(socket.receive(), TIMEOUT.total)
        if frame.type is not aiohttp.WSMsgType.BINARY:
            raise Skipped(f"The app closes its socket with {socket.close_code}.")
        last = frame.data
        session_id = session_id or protocol.session_id(last)
        frames += last
    return session_id, frames


async def upload(
    session: aiohttp.ClientSession,
    target: Target,
    session_id: str,
    *,
    xsrf: str | None = None,
    **headers: str,
) -> int:
    """PUT a small file as Streamlit's frontend does, with further headers; the status."""
    return (await send_file(session, target, session_id, 1, xsrf=xsrf, **headers))[0]


async def send_file(
    session: aiohttp.ClientSession,
    target: Target,
    session_id: str,
    size: int,
    *,
    xsrf: str | None = None,
    **headers: str,
) -> tuple[int, Mapping[str, str], bytes]:
    """PUT a file of so many bytes, its wrapping included, as Streamlit's frontend does; what is answered."""
    async with session.get(f"{target.app}/_stcore/health"):
        """Brings Streamlit's XSRF cookie."""
    if xsrf is None:
        cookies = session.cookie_jar.filter_cookies(URL(target.url))
        xsrf = cookies[XSRF_COOKIE].value if XSRF_COOKIE in cookies else ""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="x.txt"\r\n\r\n'.encode()
    tail = f"\r\n--{_BOUNDARY}--\r\n".encode()
    length = max(size, len(head) + len(tail) + 1)
    fields = {
        "X-Xsrftoken": xsrf,
        "Origin": target.origin,
        "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
        "Content-Length": str(length),
        **headers,
    }
    url = f"{target.app}/_stcore/upload_file/{session_id}/x"
    body = _pieces(head, length - len(head) - len(tail), tail)
    async with session.put(url, data=body, headers=fields, timeout=_UPLOAD_TIMEOUT) as response:
        return response.status, response.headers, await response.read()


async def _pieces(head: bytes, size: int, tail: bytes) -> AsyncIterator[bytes]:
    yield head
    for start in range(0, size, _PIECE):
        yield b"x" * min(_PIECE, size - start)
    yield tail


async def exchange(target: Target, data: bytes, *, limit_s: float = 5.0) -> bytes:
    """Send bytes over a connection of their own; what comes back until it is closed or falls silent."""
    reader, writer = await connect(target)
    try:
        writer.write(data)
        received = b""
        with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
            while chunk := await asyncio.wait_for(reader.read(65536), limit_s):
                received += chunk
        return received
    finally:
        writer.close()


async def connect(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection to the site."""
    parts = urlsplit(target.url)
    context: ssl.SSLContext | None = None
    if target.is_secure:
        context = ssl.create_default_context()
        if not target.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = parts.port or (443 if target.is_secure else 80)
    return await asyncio.open_connection(parts.hostname, port, ssl=context)


async def is_finished(reader: asyncio.StreamReader, limit_s: float) -> bool:
    """Whether the server closes a connection within a time."""
    try:
        await asyncio.wait_for(reader.read(), limit_s)
    except asyncio.TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


def request(target: Target, *lines: str, method: str = "GET", path: str = "/", body: str = "") -> bytes:
    """The bytes of a request with these header lines; `Host` is the site's unless one of them is."""
    parts = urlsplit(target.url)
    host = () if any(line.lower().startswith("host:") for line in lines) else (f"Host: {parts.netloc}",)
    head = "\r\n".join((f"{method} {parts.path}{target.mount}{path} HTTP/1.1", *host, *lines))
    return f"{head}\r\n\r\n{body}".encode("latin-1")


def statuses(received: bytes) -> list[int]:
    """The statuses of all responses in what came back."""
    return [int(found) for found in re.findall(rb"^HTTP/1\.[01] (\d{3})", received, re.MULTILINE)]

"""What a running site answers to a browser, through whatever is in front of it, and which hop is to blame.

The gateway puts `X-Request-ID` on every answer of its own and of Django's. An answer without it was given by
something in front.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

from fluxlit_django import visitor
from fluxlit_django.conf import MIB
from fluxlit_django.doctor.report import Row, failed, passed, skipped, warned
from fluxlit_django.gateway import assets, protocol
from fluxlit_django.redaction.names import redact
from fluxlit_django.visitor import Skipped, Target

EVIL_ORIGIN = "https://evil.example"
NAME_THE_PROXY = "Name the proxy in FLUXLIT_FORWARDED_ALLOW_IPS, and let it send X-Forwarded-Proto and -Host."
SEND_HOST = "Let the proxy send the browser's Host, port included (nginx: proxy_set_header Host $http_host)."
UPGRADE = (
    "Let the proxy upgrade WebSockets (nginx: proxy_http_version 1.1; "
    'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade").'
)
_SOCKET_S = 3.0  # what a gateway may take to turn away who may not
_EARLY_S = 3.0  # what an answer to an upload's first bytes may take
_LARGEST_SENT = 16 * MIB  # a larger upload is sent only when asked for
_ASSET = re.compile(rb'src="\./(static/js/[^"]+\.js)"')
_NOBODYS = "x"  # a Streamlit session that is nobody's
_UPLOAD_PATH = f"/_stcore/upload_file/{_NOBODYS}/x"


@dataclass(frozen=True)
class Visit:
    """What is asked, and what of its configuration is known.

    Args:
        target: the site; with an account, closed apps are looked at as well.
        api_path: where its probes are.
        cap: most bytes that an upload may have; 0 for any number.
        ping_s: seconds between the gateway's pings.
        quiet_s: seconds for which an open socket is left alone.
        sends_large_uploads: whether uploads above 16 MiB are sent, and not only announced.
    """

    target: Target
    api_path: str = "/api"
    cap: int = 0
    ping_s: float = 20.0
    quiet_s: float = 25.0
    sends_large_uploads: bool = False

    @property
    def site(self) -> Target:
        """The site's root, where the API is."""
        return Target(self.target.url, verify=self.target.verify)


@dataclass(frozen=True)
class Answer:
    """What came back, as far as it tells who answered."""

    status: int
    by: str
    """`the gateway`, or what stands in front of it."""
    is_ours: bool
    location: str = ""
    body: bytes = b""


Check = Callable[[Visit], Awaitable[Row]]


async def examine(visit: Visit) -> AsyncIterator[Row]:
    """Every check, one after another; only the first when nobody answers at all."""
    reachable = await judge(reach, visit)
    yield reachable
    if reachable.status.value == "FAIL":
        return
    for check in CHECKS:
        yield await judge(check, visit)


async def judge(check: Check, visit: Visit) -> Row:
    """Make one check; what breaks it is its finding."""
    name = getattr(check, "__name__", "")
    try:
        return await check(visit)
    except Skipped as exc:
        return skipped(name, str(exc))
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError, EOFError) as exc:
        said = redact(f"{type(exc).__name__}: {exc}".rstrip(": "))
        return failed(name, f"it breaks off with {said}", "Look into the log of the proxy in front.")


async def reach(visit: Visit) -> Row:
    """Whether something answers at the address, with a certificate that counts."""
    target = visit.target
    parts = urlsplit(target.url)
    try:
        _, writer = await asyncio.wait_for(visitor.connect(target), visitor.TIMEOUT.total)
        writer.close()
    except OSError as exc:
        remedy = "Start it, or mend the URL; --insecure leaves the certificate unchecked."
        return failed("reach", f"{parts.netloc} cannot be reached: {exc}", remedy)
    return passed("reach", f"{parts.netloc} accepts connections")


async def liveness(visit: Visit) -> Row:
    """Whether the gateway answers for itself."""
    found = await get(visit.site, f"{visit.api_path}/healthz")
    if found.status == 200 and b'"status": "ok"' in found.body:
        return passed("liveness", f"{visit.api_path}/healthz answers 200")
    return unexpected("liveness", found, f"{visit.api_path}/healthz")


async def readiness(visit: Visit) -> Row:
    """Whether every app has a sidecar that answers."""
    found = await get(visit.site, f"{visit.api_path}/readyz")
    if found.status == 200:
        return passed("readiness", "every app has a sidecar that answers")
    if found.status == 503 and found.is_ours:
        with contextlib.suppress(ValueError, AttributeError):
            said = json.loads(found.body).get("detail", "")
            return failed("readiness", said, "Look into the log of fluxlit_run for the sidecars it names.")
    return unexpected("readiness", found, f"{visit.api_path}/readyz")


async def document(visit: Visit) -> Row:
    """Whether the app's page is there, or leads to a login page of this very site."""
    target = visit.target
    async with visiting(visit) as session, session.get(f"{target.app}/", allow_redirects=False) as response:
        found = await read(response)
    if found.status == 200 and b"<title>" in found.body:
        return passed("document", "the app's page is there")
    if found.status not in {301, 302, 303, 307, 308}:
        return unexpected("document", found, "the app's page")
    location = urljoin(f"{target.app}/", found.location)
    if location == f"{target.app}/":
        detail = "the app's page redirects to itself: the site takes HTTPS for plain HTTP"
        return failed("document", detail, NAME_THE_PROXY)
    if origin_of(location) != target.origin and found.is_ours and is_same_site(location, target):
        detail = f"the app's page leads to {origin_of(location)} instead of {target.origin}"
        return failed("document", detail, NAME_THE_PROXY)
    if not location.startswith(target.url) and is_same_site(location, target):
        detail = f"the app's page leads to {location}, outside of {target.url}"
        return failed(
            "document", detail, "Set FLUXLIT_ROOT_PATH to the public prefix, and LOGIN_URL to a page's name."
        )
    return passed("document", f"an anonymous viewer is led to {location}")


async def asset(visit: Visit) -> Row:
    """Whether Streamlit's own scripts come through, and come compressed."""
    name = _ASSET.search((assets.bundle_directory() / "index.html").read_bytes())
    if name is None:
        raise Skipped("The installed Streamlit's page names no script.")
    path = f"/{name[1].decode()}"
    async with (
        visitor.browser(visit.target) as session,
        session.get(f"{visit.target.app}{path}", headers={"Accept-Encoding": "br, gzip"}) as response,
    ):
        found = await read(response)
        encoding = response.headers.get("Content-Encoding", "")
        media_type = response.headers.get("Content-Type", "")
    if found.status == 404 and not found.is_ours:
        remedy = (
            "Let the proxy pass on what it does not find below /static/: Streamlit's own scripts are there."
        )
        return failed("asset", f"{found.by} answers 404 for {path}", remedy)
    if found.status == 404:
        remedy = "Run the doctor with the site's own version of Streamlit."
        return warned("asset", f"the site has no {path}: another version of Streamlit runs there", remedy)
    if found.status != 200 or "javascript" not in media_type:
        return unexpected("asset", found, path)
    if not encoding:
        return warned("asset", f"{path} comes uncompressed", "Run: manage.py fluxlit_assets")
    return passed("asset", f"{path} comes with {encoding}")


async def cookie(visit: Visit) -> Row:
    """Whether a cookie that the site sets comes back, and a form of the site is taken for its own."""
    target = visit.target
    async with visitor.browser(target) as session:
        login = await visitor.find_login(session, target)
        nobody = Target(target.url, target.mount, (visitor.User("", ""),), verify=target.verify)
        status, _ = await visitor.submit_login(session, nobody, 0, login)
        has_cookie = bool(session.cookie_jar.filter_cookies(URL(target.url)))
    if status == 200:  # the form again: nobody is no account
        return passed("cookie", "the login form's cookie comes back")
    if status == 403 and not has_cookie:
        remedy = (
            "Let the proxy pass Set-Cookie on unchanged; over plain HTTP, set CSRF_COOKIE_SECURE = False."
        )
        return failed("cookie", "the login form's cookie does not come back", remedy)
    if status == 403:
        return failed(
            "cookie", "the site takes its own login form for another site's", f"{NAME_THE_PROXY} {SEND_HOST}"
        )
    return failed("cookie", f"the empty login form is answered {status}", "Look into the log of fluxlit_run.")


async def socket(visit: Visit) -> Row:
    """Whether the app's WebSocket opens, with Streamlit's subprotocol."""
    target = visit.target
    found = await handshake(target, target.origin)
    if found.status != 101:
        return refused_socket(found)
    async with visiting(visit) as session, visitor.socket_of(session, target) as opened:
        if opened.protocol != protocol.SUBPROTOCOL and await visitor.close_code(opened, _SOCKET_S) != 4401:
            remedy = "Let the proxy pass Sec-WebSocket-Protocol on unchanged, both ways."
            return failed("socket", f"its subprotocol is {opened.protocol!r}, not 'streamlit'", remedy)
        if opened.protocol is None:
            return passed("socket", "it opens, and turns away who is not signed in")
    return passed("socket", f"it opens, with the subprotocol {protocol.SUBPROTOCOL}")


def refused_socket(found: Answer) -> Row:
    """Why a handshake was not answered with 101."""
    if found.status == 404 and b"Not Found." in found.body:
        detail = f"it is answered 404: {found.by} passes it on as a plain request, without its Upgrade"
        return failed("socket", detail, UPGRADE)
    if b"another origin" in found.body:
        return failed("socket", "the gateway takes the site's own page for another site's", SEND_HOST)
    if found.status == 0:
        return failed("socket", "the connection is closed without an answer", UPGRADE)
    if b"too many open sockets" in found.body:
        remedy = "Wait, raise FLUXLIT_GATEWAY_MAX_SOCKETS, or name the proxy in FLUXLIT_FORWARDED_ALLOW_IPS."
        return failed("socket", "the gateway has too many open sockets", remedy)
    return unexpected("socket", found, "the WebSocket's handshake")


async def ping(visit: Visit) -> Row:
    """Whether a quiet socket stays open from one of the gateway's pings to the next."""
    async with visiting(visit) as session, visitor.socket_of(session, visit.target) as opened:
        started = asyncio.get_running_loop().time()
        code = await visitor.code_when_closed(opened, visit.quiet_s)
        lasted = asyncio.get_running_loop().time() - started
    if code in {4401, 4403}:
        raise Skipped("Needs --user and --password: the app is not open to everybody.")
    if code is None:
        return passed("ping", f"a quiet socket is open after {visit.quiet_s:g} s")
    pings = f"the gateway pings every {visit.ping_s:g} s"
    detail = f"a quiet socket is closed with {code} after {lasted:.0f} s; {pings}"
    remedy = (
        "Raise the proxy's idle time-out (nginx: proxy_read_timeout), or set "
        "FLUXLIT_GATEWAY_WS_PING_INTERVAL_S below it, and FLUXLIT_EDGE_IDLE_TIMEOUT_S to it."
    )
    return failed("ping", detail, remedy)


async def foreign_origin(visit: Visit) -> Row:
    """Whether another site's page is kept from opening the socket."""
    found = await handshake(visit.target, EVIL_ORIGIN)
    if found.status == 101:
        remedy = "Let the proxy pass Origin on unchanged; take other sites out of CSRF_TRUSTED_ORIGINS."
        return failed("foreign_origin", f"a page of {EVIL_ORIGIN} opens the socket", remedy)
    if found.status == 404:
        raise Skipped("No WebSocket gets through.")
    return passed("foreign_origin", f"a page of another site is refused with {found.status}")


# Uploads


async def small_upload(visit: Visit) -> Row:
    """Whether an upload of 1 kB arrives."""
    return await sent_upload("small_upload", visit, 1024)


async def largest_upload(visit: Visit) -> Row:
    """Whether an upload as large as the gateway takes gets past what is in front."""
    name, size = "largest_upload", visit.cap or 256 * MIB
    if size <= _LARGEST_SENT or visit.sends_large_uploads:
        return await sent_upload(name, visit, size)
    found = await announce_upload(visit, size)
    if found.status == 413 and not found.is_ours:
        return refused_upload(name, found, size)
    return passed(name, f"{size} bytes are not refused when announced; --large-uploads sends them")


async def too_large_upload(visit: Visit) -> Row:
    """Whether an upload of one byte too many is refused by the gateway, at once, and not stored in front."""
    name = "too_large_upload"
    if not visit.cap:
        return skipped(name, "FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES is 0: nothing is too large.")
    found = await announce_upload(visit, visit.cap + 1)
    if found.status == 0:
        remedy = "Let the proxy pass uploads on as they come (nginx: proxy_request_buffering off)."
        return warned(name, "nobody answers before the upload's end: the proxy stores uploads first", remedy)
    if not found.is_ours:
        return refused_upload(name, found, visit.cap + 1)
    if found.status in {401, 403, 413}:
        return passed(name, f"the gateway answers {found.status} before the upload is sent")
    return unexpected(name, found, "an upload above the limit")


async def sent_upload(name: str, visit: Visit, size: int) -> Row:
    """Send an upload whole, of a viewer who may where there is one; who answers, and what."""
    async with visiting(visit) as session, contextlib.AsyncExitStack() as opened:
        session_id = _NOBODYS
        with contextlib.suppress(Skipped, aiohttp.ClientError):
            stream = await opened.enter_async_context(visitor.socket_of(session, visit.target))
            session_id, _ = await visitor.read_session(stream)
        status, headers, body = await visitor.send_file(session, visit.target, session_id, size)
    found = answer(status, headers, body)
    if status < 300:
        return passed(name, f"{size} bytes are stored")
    if status == 413:
        return refused_upload(name, found, size)
    if found.is_ours and session_id == _NOBODYS and status < 500:
        return passed(name, f"{size} bytes reach the gateway, which stores them for open pages only")
    return unexpected(name, found, f"an upload of {size} bytes")


def refused_upload(name: str, found: Answer, size: int) -> Row:
    """Who refused an upload that is not above the gateway's limit."""
    if found.is_ours:
        remedy = (
            "Raise FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES there, or run the doctor with its settings."
        )
        return failed(name, f"the gateway refuses {size} bytes: its limit is lower than here", remedy)
    remedy = "Raise its limit to the gateway's, or take it away (nginx: client_max_body_size 0)."
    return failed(name, f"{found.by} refuses {size} bytes with {found.status}: its limit is lower", remedy)


async def announce_upload(visit: Visit, size: int) -> Answer:
    """Send an upload's headers and its first bytes only; what is answered so far, status 0 for nothing."""
    lines = (f"Content-Length: {size}", "Content-Type: application/octet-stream", "Connection: close")
    data = visitor.request(visit.target, *lines, method="PUT", path=_UPLOAD_PATH, body="x" * 64)
    return parse(await visitor.exchange(visit.target, data, limit_s=_EARLY_S))


# Who answered


@contextlib.asynccontextmanager
async def visiting(visit: Visit) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser; signed in when there is an account."""
    async with visitor.browser(visit.target) as session:
        if visit.target.users:
            await visitor.sign_in(session, visit.target)
        yield session


async def get(target: Target, path: str) -> Answer:
    """The answer to a plain request below the site's root."""
    async with (
        visitor.browser(target) as session,
        session.get(f"{target.url}{path}", allow_redirects=False) as response,
    ):
        return await read(response)


async def read(response: aiohttp.ClientResponse) -> Answer:
    """A response with its body."""
    return answer(response.status, response.headers, await response.read())


async def handshake(target: Target, origin: str) -> Answer:
    """The answer to a WebSocket's handshake."""
    lines = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        f"Sec-WebSocket-Protocol: {protocol.SUBPROTOCOL}",
        f"Origin: {origin}",
    )
    data = visitor.request(target, *lines, path="/_stcore/stream")
    return parse(await visitor.exchange(target, data, limit_s=_SOCKET_S))


def parse(received: bytes) -> Answer:
    """An answer from its bytes; status 0 when there is none."""
    head, _, body = received.partition(b"\r\n\r\n")
    statuses = visitor.statuses(head)
    headers = BytesHeaderParser().parsebytes(head.partition(b"\r\n")[2])
    return answer(statuses[0] if statuses else 0, headers, body)


def answer(status: int, headers: object, body: bytes) -> Answer:
    """An answer, by whom its headers show it was given."""
    fields = {name.lower(): value for name, value in headers.items()}  # type: ignore[attr-defined]
    is_ours = "x-request-id" in fields
    banner = fields.get("server", "")
    by = "the gateway" if is_ours else f"the proxy in front ({banner})" if banner else "the proxy in front"
    return Answer(status, by, is_ours, fields.get("location", ""), body)


def unexpected(name: str, found: Answer, what: str) -> Row:
    """A row for an answer that says little by itself."""
    detail = f"{found.by} answers {found.status or 'nothing'} for {what}"
    if not found.is_ours and found.status in {502, 503, 504}:
        return failed(
            name, detail, "Start fluxlit_run, and let the proxy pass requests on to its host and port."
        )
    if not found.is_ours:
        return failed(
            name, detail, "Let the proxy pass this path on to fluxlit_run, with its prefix or without."
        )
    if found.status == 400:
        return failed(name, detail, f"Add the host to ALLOWED_HOSTS. {SEND_HOST}")
    if found.status in {301, 302, 307, 308} and found.location:
        return failed(name, f"{detail}: it leads to {found.location}", NAME_THE_PROXY)
    if found.status in {502, 503, 504}:
        return failed(name, detail, "Look into the log of fluxlit_run for what its sidecar says.")
    return failed(name, detail, "Compare the URL with FLUXLIT_ROOT_PATH and the app's mount.")


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_same_site(url: str, target: Target) -> bool:
    """Whether a URL can be meant for this site: its own host, or one of the inside."""
    host = urlsplit(url).hostname or ""
    return (
        host in {urlsplit(target.url).hostname, "localhost"}
        or "." not in host
        or host.replace(".", "").isdigit()
    )


CHECKS: tuple[Check, ...] = (
    liveness,
    readiness,
    document,
    asset,
    cookie,
    socket,
    ping,
    foreign_origin,
    small_upload,
    largest_upload,
    too_large_upload,
)
"""All checks after the first, in the order of the report."""

"""Attacks on a running site, each with a verdict: what `manage.py fluxlit_audit` runs.

An attack is a function that raises `Broken` when it gets through, `Skipped` when it cannot be tried here, and
returns when the defence holds. Its docstring is its name in the report. Nothing is changed on the site but
its sessions, and a load of a few hundred requests is as much as it sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import stat
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
from django.conf import settings
from django.core import signing
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from yarl import URL

from fluxlit_django import conf
from fluxlit_django.exceptions import FluxLitError
from fluxlit_django.gateway import protocol
from fluxlit_django.trust import viewer_token
from fluxlit_django.trust.viewer_token import HANDSHAKE_HEADER, SCHEME, Claim
from fluxlit_django.visitor import (
    RERUN,
    XSRF_COOKIE,
    Skipped,
    Target,
    browser,
    close_code,
    code_when_closed,
    connect,
    exchange,
    find_login,
    is_finished,
    open_session,
    page_status,
    read_session,
    request,
    require_users,
    session_key,
    sign_in,
    sign_out,
    signed_in,
    socket_of,
    statuses,
    submit_login,
    upload,
)

EVIL = "evil.example"
_SOCKET_S = 5.0  # what a socket that must close may take
_REVOCATION_S = 2.0  # what a socket may take to close after a sign-out
_MEDIA = re.compile(rb"/media/[0-9a-f]+\.\w+")


class Broken(FluxLitError):
    """An attack got through."""


@dataclass(frozen=True)
class Row:
    """The verdict on one attack: `held`, `broken`, `skipped`, or `failed` when it could not be judged."""

    attack: str
    title: str
    verdict: str
    detail: str = ""


Attack = Callable[[Target], Awaitable[None]]


async def run(target: Target, attacks: Iterable[Attack] | None = None) -> list[Row]:
    """Try the attacks one after another; all of them when none are named."""
    return [await judge(attack, target) for attack in (ATTACKS if attacks is None else attacks)]


async def judge(attack: Attack, target: Target) -> Row:
    """Try one attack."""
    name, title = getattr(attack, "__name__", ""), (attack.__doc__ or "").strip().rstrip(".")
    try:
        await attack(target)
    except Broken as exc:
        return Row(name, title, "broken", str(exc))
    except Skipped as exc:
        return Row(name, title, "skipped", str(exc))
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError, EOFError) as exc:
        return Row(name, title, "failed", f"{type(exc).__name__}: {exc}")
    return Row(name, title, "held")


# What only attacks need


async def require_closed_app(target: Target) -> None:
    """Skip what makes no sense for an app that everybody may open."""
    async with browser(target) as session:
        if await page_status(session, target) == 200:
            msg = "The app is public."
            raise Skipped(msg)


async def is_let_in(
    session: aiohttp.ClientSession, target: Target, *, origin: str | None = "", **headers: str
) -> bool:
    """Whether a socket opens and stays open, or shows anything of the app."""
    try:
        async with socket_of(session, target, origin=origin, **headers) as socket:
            await socket.send_bytes(RERUN)
            return await close_code(socket, _SOCKET_S) is None
    except (aiohttp.WSServerHandshakeError, ConnectionError):
        return False


# Who may


async def page_without_session(target: Target) -> None:
    """A page, opened without a session."""
    await require_closed_app(target)
    async with browser(target) as session:
        for key in ("", "x" * 32, "' OR 1=1 --", "../../etc/passwd"):
            status = await page_status(
                session, target, headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={quote(key)}"}
            )
            if status == 200:
                raise Broken(f"The session {key!r} opens the app.")


async def socket_without_session(target: Target) -> None:
    """The socket, opened without a session."""
    await require_closed_app(target)
    async with browser(target) as session:
        if await is_let_in(session, target):
            raise Broken("A socket without a session stays open.")
        if await is_let_in(session, target, Cookie=f"{settings.SESSION_COOKIE_NAME}={'x' * 32}"):
            raise Broken("A socket with an invented session stays open.")


async def foreign_origin(target: Target) -> None:
    """The socket, opened by a page of another site, or of none."""
    host = urlsplit(target.url).netloc
    origins = (f"https://{EVIL}", f"https://{host}.{EVIL}", f"https://{host}@{EVIL}", "null", "", None)
    async with browser(target) as session:
        with contextlib.suppress(Skipped):
            await sign_in(session, target)
        for origin in origins:
            try:
                async with socket_of(session, target, origin=origin or None):
                    raise Broken(f"A page of {origin!r} opens a socket.")
            except aiohttp.WSServerHandshakeError:
                continue


async def spoofed_identity(target: Target) -> None:
    """Identity headers, sent by the browser."""
    await require_closed_app(target)
    names = (
        "X-Fluxlit-User-Id",
        "x-fluxlit-user-id",
        "X_Fluxlit_User_Id",
        "X-Fluxlit_User-Id",
        "Remote-User",
    )
    async with browser(target) as session:
        for name in (*names, HANDSHAKE_HEADER):
            if await page_status(session, target, headers={name: "1"}) == 200:
                raise Broken(f"{name} opens the page.")
            if await is_let_in(session, target, **{name: "1"}):
                raise Broken(f"{name} opens the socket.")


async def forged_token(target: Target) -> None:
    """Viewer tokens that are forged, empty, or signed with another key."""
    await require_closed_app(target)
    other_key = signing.dumps(["1", "x"], key="guess", salt=viewer_token.SALT)
    async with browser(target) as session:
        for token in ("", "x", "e30:1:x", other_key):
            for scheme in (SCHEME, "Bearer"):
                status = await page_status(session, target, headers={"Authorization": f"{scheme} {token}"})
                if status == 200:
                    raise Broken(f"The token {token!r} opens the page.")


async def expired_token(target: Target) -> None:
    """A viewer token of a living session, a year old."""
    async with signed_in(target) as session:
        if await opens_page(
            target, _Aged(salt=viewer_token.SALT).sign_again(await own_token(target, session))
        ):
            raise Broken("The token opens the page.")


async def token_after_sign_out(target: Target) -> None:
    """A viewer token, used again after the sign-out."""
    async with signed_in(target) as session:
        token = await own_token(target, session)
        await sign_out(session, target)
    if await opens_page(target, token):
        raise Broken("The token opens the page.")


async def token_for_another(target: Target) -> None:
    """A viewer token of one viewer's session that names another."""
    require_users(target, 2)
    async with signed_in(target) as session:
        await own_token(target, session)
        other = viewer_token.mint(Claim(target.users[1].id, session_key(session, target)))
        if await opens_page(target, other):
            raise Broken("The token opens the page.")


async def own_token(target: Target, session: aiohttp.ClientSession) -> str:
    """A genuine token of the first user, as the gateway would mint it.

    Raises:
        Skipped: it cannot be made here.
    """
    token = viewer_token.mint(Claim(target.users[0].id, session_key(session, target)))
    if not all(user.id for user in target.users) or not await opens_page(target, token):
        msg = "Needs the site's own settings and database."
        raise Skipped(msg)
    return token


async def opens_page(target: Target, token: str) -> bool:
    """Whether a viewer token and nothing else opens the app's page."""
    async with browser(target) as session:
        headers = {"Authorization": f"{SCHEME} {token}"}
        return await page_status(session, target, headers=headers) == 200


class _Aged(signing.TimestampSigner):
    """Signs as if it were a year ago."""

    def timestamp(self) -> str:
        return signing.b62_encode(int(time.time()) - 365 * 86_400)

    def sign_again(self, token: str) -> str:
        return self.sign(self.unsign(token))


async def session_fixation(target: Target) -> None:
    """A session id that was there before the sign-in."""
    require_users(target, 1)
    async with browser(target) as session:
        login = await find_login(session, target)
        planted = "a" * 32
        session.cookie_jar.update_cookies({settings.SESSION_COOKIE_NAME: planted}, URL(target.origin))
        await submit_login(session, target, 0, login)
        after = session_key(session, target)
    if after == planted:
        raise Broken("The session keeps its id when its viewer signs in.")


async def socket_after_sign_out(target: Target) -> None:
    """A socket, held open or opened anew after the sign-out."""
    async with signed_in(target) as session:
        key = session_key(session, target)
        async with socket_of(session, target) as socket:
            await sign_out(session, target)
            code = await code_when_closed(socket, _REVOCATION_S)
        if code is None:
            raise Broken(f"The socket is open {_REVOCATION_S:g} s after the sign-out.")
    async with browser(target) as session:
        if await is_let_in(session, target, Cookie=f"{settings.SESSION_COOKIE_NAME}={key}"):
            raise Broken("The old session's cookie opens a new socket.")


# One viewer on another


async def mixed_answers(target: Target) -> None:
    """Answers of one viewer, handed to another under load."""
    async with signed_in(target) as known, browser(target) as unknown:
        await require_closed_app(target)

        async def ask(number: int) -> tuple[bool, int, bool]:
            session = known if number % 2 else unknown
            async with session.get(f"{target.app}/", allow_redirects=False) as response:
                return bool(number % 2), response.status, settings.SESSION_COOKIE_NAME in response.cookies

        answers = [answer for _ in range(5) for answer in await asyncio.gather(*map(ask, range(60)))]
    for is_known, status, sets_session in answers:
        if (status == 200) is not is_known:
            raise Broken(f"A viewer who is {'' if is_known else 'not '}signed in was answered {status}.")
        if sets_session and not is_known:
            raise Broken("An anonymous viewer was given a session.")


async def upload_without_session(target: Target) -> None:
    """An upload without a session, or without the XSRF token."""
    async with browser(target) as session:
        status = await upload(session, target, "x", xsrf="")
        if status < 400:
            raise Broken(f"An upload without a session is answered {status}.")
    async with signed_in(target) as session:
        session_id, _ = await open_session(session, target)
        status = await upload(session, target, session_id, xsrf="")
        if status < 400:
            raise Broken(f"An upload without the XSRF token is answered {status}.")


async def upload_to_another(target: Target) -> None:
    """An upload to another viewer's Streamlit session."""
    async with (
        signed_in(target) as owner,
        signed_in(target, 1) as other,
        socket_of(owner, target) as socket,
    ):
        session_id, _ = await read_session(socket)
        if await upload(owner, target, session_id) >= 400:
            raise Skipped("The owner's own upload is refused.")
        for headers in ({}, *claims_to_be(target.users[0].id)):
            status = await upload(other, target, session_id, **headers)
            if status < 400:
                raise Broken(f"An upload to another viewer's session is answered {status} ({headers}).")


def claims_to_be(user_id: str) -> list[dict[str, str]]:
    """Headers by which a browser says that it is a user's."""
    return [{name: user_id or "1"} for name in ("X-Fluxlit-User-Id", "X_Fluxlit_User_Id")]


async def session_of_another(target: Target) -> None:
    """Another viewer's Streamlit session, resumed by its id."""
    async with signed_in(target) as owner, signed_in(target, 1) as other:
        session_id, _ = await open_session(owner, target)
        async with socket_of(other, target, resume=session_id) as socket:
            resumed, _ = await read_session(socket)
    if resumed == session_id:
        raise Broken("Another viewer goes on with the session.")


async def media_of_another(target: Target) -> None:
    """A media file of another viewer's Streamlit session."""
    async with (
        signed_in(target) as owner,
        signed_in(target, 1) as other,
        browser(target) as nobody,
        socket_of(owner, target) as socket,
    ):
        _, frames = await read_session(socket)
        found = _MEDIA.search(frames)
        if found is None:
            raise Skipped("The app's first page shows no media file.")
        url = f"{target.app}{found[0].decode()}"
        for session, who in ((other, "Another viewer"), (nobody, "An anonymous viewer")):
            for headers in ({}, *claims_to_be(target.users[0].id)):
                async with session.get(url, allow_redirects=False, headers=headers) as response:
                    if response.status < 300:
                        raise Broken(f"{who} gets the file ({headers}).")
        async with owner.get(url) as response:
            if response.status != 200:
                raise Skipped(f"The owner's own file is answered {response.status}.")


# What passes


async def closed_routes(target: Target) -> None:
    """Streamlit's routes that are for operators."""
    names = ("metrics", "script-health-check", "agent", "mcp", "allowed-message-origins", "nothing")
    async with browser(target) as session:
        with contextlib.suppress(Skipped):
            await sign_in(session, target)
        for name in names:
            async with session.get(f"{target.app}/_stcore/{name}", allow_redirects=False) as response:
                if response.status < 400:
                    raise Broken(f"/_stcore/{name} is answered {response.status}.")
        cookies = session.cookie_jar.filter_cookies(URL(target.url))
    cookie = f"Cookie: {'; '.join(f'{each.key}={each.value}' for each in cookies.values())}"
    for path in _WAYS_ROUND:
        received = await exchange(target, request(target, cookie, "Connection: close", path=path))
        if b"# TYPE " in received:
            raise Broken(f"{path} shows the metrics.")


_WAYS_ROUND = (
    "//_stcore/metrics",
    "/./_stcore/metrics",
    "/page/../_stcore/metrics",
    "/page/_stcore/metrics",
    "/%5fstcore/metrics",
    "/%255fstcore/metrics",
    "/_stcore%2fmetrics",
    "/_stcore/metrics/",
    "/_stcore/metrics%00",
    "/_stcore/metrics;x",
    "/_stcore/bidi-components/../metrics",
    "/_stcore/bidi-components/%2e%2e/metrics",
    "/_stcore/upload_file/../metrics",
    "/media/../_stcore/metrics",
    "/media/..%2f_stcore%2fmetrics",
    "/component/x/%2e%2e/%2e%2e/_stcore/metrics",
)
"""Spellings by which one of these routes may pass for another path."""


async def oversized(target: Target) -> None:
    """Headers, paths and bodies of any size."""
    for what, data in (
        ("A header of 1 MB", request(target, f"X-Large: {'x' * 1_000_000}")),
        ("A path of 100 kB", request(target, path=f"/{'x' * 100_000}")),
        (
            "An upload of 100 TB",
            request(target, f"Content-Length: {10**14}", method="PUT", path=_UPLOAD_PATH),
        ),
        ("A form of 100 TB", request(target, f"Content-Length: {10**14}", method="POST")),
    ):
        answered = statuses(await exchange(target, data, limit_s=1.5))
        if not answered and data.count(b"\n") > 3:
            continue
        if answered and answered[0] < 400:
            raise Broken(f"{what} is answered {answered[0]}.")


_UPLOAD_PATH = "/_stcore/upload_file/x/x"


async def slow_head(target: Target) -> None:
    """A request whose headers never end."""
    await drip(target, request(target, "X-Slow: ")[:-4], b"x")


async def slow_body(target: Target) -> None:
    """A body that never comes."""
    await drip(target, request(target, "Content-Length: 100000", "Connection: close", method="POST"), b"")


async def bad_handshake(target: Target) -> None:
    """A WebSocket handshake that nobody can make sense of."""
    lines = (*_HANDSHAKE, f"Origin: {target.origin}", "Content-Length: 5")
    await drip(target, request(target, *lines, path="/_stcore/stream"), b"")


_HANDSHAKE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    f"Sec-WebSocket-Protocol: {protocol.SUBPROTOCOL}",
)


async def drip(target: Target, start: bytes, piece: bytes) -> None:
    """Send the start of a request, then a piece of it every second.

    Raises:
        Broken: the connection is still open after the target's patience.
    """
    reader, writer = await connect(target)
    try:
        writer.write(start)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + target.patience_s
        while loop.time() < deadline:
            with contextlib.suppress(asyncio.TimeoutError):
                if not await asyncio.wait_for(reader.read(65536), 1):
                    return
                continue
            writer.write(piece)
    except ConnectionError:
        return
    finally:
        writer.close()
    raise Broken(f"The connection is open after {target.patience_s:g} s.")


async def request_smuggling(target: Target) -> None:
    """Requests of which two servers may disagree where they end."""
    second = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    chunked, length = "Transfer-Encoding: chunked", f"Content-Length: {len(second) + 5}"
    cases = {
        "length and chunked": ((length, chunked), f"0\r\n\r\n{second}"),
        "chunked and length": ((chunked, "Content-Length: 4"), f"0\r\n\r\n{second}"),
        "two lengths": (("Content-Length: 0", length), second),
        "one length twice over": (("Content-Length: 0, 5",), second),
        "a signed length": (("Content-Length: +5",), second),
        "a length that is none": (("Content-Length: 0x5",), second),
        "a folded header": (("Transfer-Encoding:\r\n chunked",), f"0\r\n\r\n{second}"),
        "a space before the colon": (("Transfer-Encoding : chunked",), f"0\r\n\r\n{second}"),
        "an unknown coding": (("Transfer-Encoding: xchunked",), f"0\r\n\r\n{second}"),
        "chunked twice": ((chunked, "Transfer-Encoding: identity"), f"0\r\n\r\n{second}"),
        "a chunk size that is none": ((chunked,), f"-1\r\n\r\n{second}"),
        "a chunk longer than its size": ((chunked,), f"1\r\nxx\r\n0\r\n\r\n{second}"),
        "a bare LF between headers": ((f"X-Bare: a\nTransfer-Encoding: chunked\r\n{length}",), second),
        "bare LFs around a chunk": ((chunked,), f"1\nx\n0\n\n{second}"),
        "a header behind the body": ((chunked,), f"0\r\nContent-Length: 0\nX: y\r\n\r\n{second}"),
        "a null byte in a header": (("X-Null: a\0b",), second),
        "a bare CR in a header": (("X-Bare: a\rb: c",), second),
    }
    for what, (lines, body) in cases.items():
        answered = statuses(
            await exchange(target, request(target, *lines, method="POST", body=body), limit_s=1)
        )
        # What is left behind a request that was refused may get the 400 that closes the connection.
        if answered and (answered[0] < 400 or any(status != 400 for status in answered[1:])):
            raise Broken(f"A request with {what} is answered {', '.join(map(str, answered))}.")


async def header_injection(target: Target) -> None:
    """Line breaks, smuggled into a response's headers."""
    marker = "x-injected"
    for path in (f"/%0d%0a{marker}:%201", f"/a%0d%0a{marker}:%201/", f"/?next=%0d%0a{marker}:%201"):
        received = await exchange(target, request(target, "Connection: close", path=path))
        if re.search(rb"^x-injected:", received.partition(b"\r\n\r\n")[0], re.MULTILINE | re.IGNORECASE):
            raise Broken(f"{path} adds a header to the response.")


async def path_traversal(target: Target) -> None:
    """Paths out of the folders of assets and static files."""
    up = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "%252e%252e%252f", "..\\", "..%5c", "....//", ".%00./")
    for folder in ("/", "/static/", "/component/x/", "/app/static/", "/media/"):
        for step in up:
            for file in ("etc/passwd", "manage.py"):
                path = f"{folder}{step * 8}{file}"
                received = await exchange(target, request(target, "Connection: close", path=path))
                if b"root:" in received or b"DJANGO_SETTINGS_MODULE" in received:
                    raise Broken(f"{path} gives a file away.")


async def open_redirect(target: Target) -> None:
    """A redirect to another site, by `next` or by the path."""
    for path in (f"//{EVIL}/", f"/\\{EVIL}/", f"/%2f{EVIL}/", f"/%5c{EVIL}/", f"///{EVIL}/x/"):
        received = await exchange(target, request(target, "Connection: close", path=path))
        require_own_location(target, _location(received), path)
    for value in (f"//{EVIL}/", f"https://{EVIL}/", f"/\\{EVIL}/", f"\\\\{EVIL}", "javascript:alert(1)"):
        async with browser(target) as session:
            require_users(target, 1)
            login = (await find_login(session, target)).partition("?")[0]
            _, location = await submit_login(session, target, 0, f"{login}?next={quote(value, safe='')}")
        require_own_location(target, location, f"next={value}")


def require_own_location(target: Target, location: str, what: str) -> None:
    """Fail for a `Location` that a browser takes for another site's."""
    parts = urlsplit(urljoin(target.origin, location.replace("\\", "/")))
    if location and (parts.netloc != urlsplit(target.url).netloc or parts.scheme not in {"http", "https"}):
        raise Broken(f"{what} leads to {location}.")


def _location(received: bytes) -> str:
    found = re.search(rb"^location: *(.*?)\r$", received, re.MULTILINE | re.IGNORECASE)
    return found[1].decode("latin-1") if found else ""


async def host_poisoning(target: Target) -> None:
    """Links and redirects, made of a host that the browser claims."""
    for lines in (
        (f"Host: {EVIL}",),
        (f"X-Forwarded-Host: {EVIL}",),
        (f"Forwarded: host={EVIL}",),
        (f"X_Forwarded_Host: {EVIL}",),
    ):
        for path in ("/", "/some/page/"):
            received = await exchange(target, request(target, *lines, "Connection: close", path=path))
            if EVIL.encode() in received:
                raise Broken(f"{lines[0]} shows in the answer to {path}.")


async def clickjacking(target: Target) -> None:
    """The site, in a frame of another site."""
    async with browser(target) as session:
        with contextlib.suppress(Skipped):
            await sign_in(session, target)
        async with session.get(f"{target.app}/") as response:
            policy = response.headers.get("Content-Security-Policy", "")
            if "X-Frame-Options" not in response.headers and "frame-ancestors" not in policy:
                raise Broken("The page has neither X-Frame-Options nor frame-ancestors.")


async def forged_form(target: Target) -> None:
    """The login form, posted by a page of another site."""
    async with browser(target) as session:
        login = await find_login(session, target)
        headers = {"Origin": f"https://{EVIL}", "Referer": f"https://{EVIL}/"}
        fields = {"username": "x", "password": "x"}
        async with session.post(URL(login, encoded=True), data=fields, headers=headers) as response:
            if response.status != 403:
                raise Broken(f"A form of another site is answered {response.status}.")


async def forged_call(target: Target) -> None:
    """A call of the API in a viewer's name, sent by a page of another site."""
    paths = list(api_paths())
    if not paths:
        raise Skipped("The project has no URLs where its API is to be.")
    headers = {"Origin": f"https://{EVIL}", "Referer": f"https://{EVIL}/", "Content-Type": "text/plain"}
    async with signed_in(target) as session:
        for path in paths[:_MOST_CALLS]:
            url = URL(f"{target.url}{path}", encoded=True)
            async with session.post(url, data="{}", headers=headers, allow_redirects=False) as response:
                if response.status < 400:
                    raise Broken(f"A call of {path} by another site is answered {response.status}.")


_MOST_CALLS = 50


def api_paths() -> Iterator[str]:
    """A path for each of the project's URLs where its API is."""
    start = f"{conf.get_config().api_mount_path}/"
    for route in _routes(get_resolver().url_patterns, ""):
        path = f"/{re.sub('<[^>]*>', '1', route)}"
        if path.startswith(start):
            yield path


def _routes(patterns: Iterable[URLPattern | URLResolver], before: str) -> Iterator[str]:
    for each in patterns:
        if not isinstance(each.pattern, RoutePattern):
            continue  # a regular expression, which no path can be made of
        route = f"{before}{each.pattern}"
        if isinstance(each, URLResolver):
            yield from _routes(each.url_patterns, route)
        else:
            yield route


async def told_too_much(target: Target) -> None:
    """Banners, tracebacks and addresses of the inside."""
    async with browser(target) as session:
        for path in ("/", "/no/such/page/", "/_stcore/nothing", "/api/no-such-thing", "/media/x"):
            async with session.get(f"{target.app}{path}", allow_redirects=False) as response:
                body = await response.text(errors="replace")
                for name in ("Server", "X-Powered-By"):
                    banner = response.headers.get(name, "")
                    if re.search(r"uvicorn|daphne|tornado|streamlit|python|django", banner, re.IGNORECASE):
                        raise Broken(f"{path} says {name}: {banner}.")
            for word in ("Traceback (most recent call last)", "DEBUG = True", "unix:/", ".sock"):
                if word in body:
                    raise Broken(f"{path} shows {word!r}.")


async def cookies(target: Target) -> None:
    """Cookies that scripts may read, or that go over plain HTTP."""
    async with signed_in(target) as session:
        async with session.get(f"{target.app}/"):
            """Brings the affinity cookie."""
        for cookie in session.cookie_jar:
            if cookie.key == settings.SESSION_COOKIE_NAME and not cookie["httponly"]:
                raise Broken("Scripts may read the session's cookie.")
            if target.is_secure and not cookie["secure"] and cookie.key != XSRF_COOKIE:
                raise Broken(f"The cookie {cookie.key} goes over plain HTTP.")


async def socket_flood(target: Target, *, size: int = 300) -> None:
    """Hundreds of sockets that nobody lets in, and an honest viewer beside them."""
    await require_closed_app(target)
    lines = (*_HANDSHAKE, f"Origin: {target.origin}")
    data = request(target, *lines, path="/_stcore/stream")
    opened = await asyncio.gather(*(connect(target) for _ in range(size)))
    try:
        for _, writer in opened:
            writer.write(data)
        async with browser(target) as session:
            status = await asyncio.wait_for(page_status(session, target), _SOCKET_S)
            if status >= 500:
                raise Broken(f"Beside {size} sockets, a page is answered {status}.")
        waiting = [is_finished(reader, target.patience_s) for reader, _ in opened]
        still_open = (await asyncio.gather(*waiting)).count(False)
        if still_open:
            raise Broken(f"{still_open} of {size} sockets without a session are open.")
    finally:
        for _, writer in opened:
            writer.close()


async def sidecar_sockets(target: Target) -> None:
    """A local process, dialling a sidecar beside the gateway (on this machine only)."""
    table = Path("/proc/net/unix")
    if urlsplit(target.url).hostname not in {"127.0.0.1", "localhost", "::1"} or not table.exists():
        raise Skipped("Only on the site's own machine, with Linux.")
    paths = {line.split()[-1] for line in table.read_text().splitlines()[1:]}
    sockets = [
        path
        for path in paths
        if re.search(r"/fluxlit[^/]*/[a-z][^/]*-\d[^/]*\.sock$", path) and os.path.exists(path)
    ]
    if not sockets:
        raise Skipped("There is no sidecar's socket on this machine.")
    for path in sockets:
        for shared in (path, str(Path(path).parent)):
            if stat.S_IMODE(os.stat(shared).st_mode) & 0o077:
                raise Broken(f"Other users may use {shared}.")


ATTACKS: tuple[Attack, ...] = (
    page_without_session,
    socket_without_session,
    foreign_origin,
    spoofed_identity,
    forged_token,
    expired_token,
    token_after_sign_out,
    token_for_another,
    session_fixation,
    socket_after_sign_out,
    mixed_answers,
    upload_without_session,
    upload_to_another,
    session_of_another,
    media_of_another,
    closed_routes,
    oversized,
    slow_head,
    slow_body,
    bad_handshake,
    request_smuggling,
    header_injection,
    path_traversal,
    open_redirect,
    host_poisoning,
    clickjacking,
    forged_form,
    forged_call,
    told_too_much,
    cookies,
    socket_flood,
    sidecar_sockets,
)
"""All attacks, in the order of the report."""

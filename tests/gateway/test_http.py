"""The HTTP hop: real workers of both servers in front of a stub sidecar."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from fluxlit_django.control import SidecarStatus
from fluxlit_django.gateway import routes
from tests.gateway.browser import connected, fetch, request
from tests.gateway.conftest import StartWorker
from tests.gateway.sidecar import Exchange, StubSidecar, answer_ok
from tests.gateway.worker import Worker

MIB = 1 << 20
CAP = 2 * MIB
UPLOAD = "/open/_stcore/upload_file/session/file"
CHUNKED = (b"Transfer-Encoding", b"chunked")
EXPECT = (b"Expect", b"100-continue")


# Paths and queries


@pytest.mark.parametrize(
    "target",
    [
        b"/open/media/a%2Fb%3Fc%23d%25zz%00e",
        b"/open/media/a%2Fb?x=%2F%3F%23&y=%25zz&&=&%",
        b"/open/media/%E4%BD%A0%ff?q=%ff",
        b"/open/media/a//b/../c/./d;e=f?a=?&b=/",
        b"/open/media/a+b%20c?d+e%20f",
        b"/open/media/" + b"x" * 10_000,
        b"/open/%6dedia/a",
    ],
)
async def test_path__reaches_the_sidecar_byte_for_byte(
    worker: Worker, sidecar: StubSidecar, target: bytes
) -> None:
    """The raw path and query go up as they came, whatever is encoded in them."""
    response = await fetch(worker.port, target)

    assert (200, b"ok") == (response.status, response.body)
    assert target == sidecar.request.target


# Headers


async def test_request_headers__only_those_of_the_list(worker: Worker, sidecar: StubSidecar) -> None:
    """What the list and the settings name passes; credentials, identities and hop-by-hop headers don't."""
    await fetch(
        worker.port,
        "/open/media/a",
        [
            (b"Accept", b"image/png"),
            (b"Accept", b"text/*"),
            (b"TraceParent", b"00-1-2-3"),
            (b"Authorization", b"Bearer secret"),
            (b"Cookie", b'sessionid=s; _streamlit_xsrf=2|ab|c"d|1; csrftoken=t; theme=d%C3%A9; other=1'),
            (b"X-Fluxlit-User-Id", b"1"),
            (b"x-fluxlit-user-id", b"2"),
            (b"X_Fluxlit_User_Id", b"3"),
            (b"X-Forwarded-For", b"6.6.6.6"),
            (b"X-Forwarded-User", b"root"),
            (b"Forwarded", b"for=6.6.6.6"),
            (b"Connection", b"keep-alive, Accept-Language"),
            (b"Accept-Language", b"de"),
            (b"Keep-Alive", b"timeout=5"),
            (b"TE", b"trailers"),
            (b"Proxy-Authorization", b"Basic x"),
        ],
    )

    headers = [(name, value) for name, value in sidecar.request.headers if name != b"x-request-id"]
    assert [
        (b"host", b"testserver"),
        (b"accept", b"image/png"),
        (b"accept", b"text/*"),
        (b"traceparent", b"00-1-2-3"),
        (b"cookie", b'_streamlit_xsrf=2|ab|c"d|1; theme=d%C3%A9'),
        (b"x-forwarded-for", b"127.0.0.1"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"testserver"),
    ] == headers


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        pytest.param("naïve – 你".encode(), "naïve – 你".encode(), id="UTF-8"),
        pytest.param(b"caf\xe9", "café".encode(), id="latin-1, which aiohttp can only send as UTF-8"),
    ],
)
async def test_request_headers__bytes_beyond_ascii(
    worker: Worker, sidecar: StubSidecar, sent: bytes, received: bytes
) -> None:
    """Header bytes beyond ASCII pass; UTF-8 unchanged."""
    response = await fetch(
        worker.port, "/open/media/a", [(b"User-Agent", sent), (b"Cookie", b"_streamlit_user=" + sent)]
    )

    assert 200 == response.status
    assert [received] == sidecar.request.values("user-agent")
    assert [b"_streamlit_user=" + received] == sidecar.request.values("cookie")


async def test_response_headers__pass_but_for_those_of_one_hop(worker: Worker, sidecar: StubSidecar) -> None:
    """Repeated headers and bytes beyond ASCII survive; hop-by-hop and nominated headers go."""

    async def answer(exchange: Exchange) -> None:
        await exchange.reply(
            "200 OK",
            b"Set-Cookie: a=1; Path=/",
            b"Set-Cookie: b=2; Path=/",
            b"Content-Disposition: attachment; filename=\xe4\xbd\xa0.txt",
            b"X-Latin: caf\xe9",
            b"Connection: keep-alive, X-Inner",
            b"Keep-Alive: timeout=9",
            b"X-Inner: secret",
            b"Proxy-Authenticate: Basic",
            b"Trailer: x",
            b"Server: inner",
            b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
        )

    sidecar.answer = answer
    response = await fetch(worker.port, "/open/media/a")

    assert [b"a=1; Path=/", b"b=2; Path=/"] == response.values("set-cookie")
    assert b"attachment; filename=\xe4\xbd\xa0.txt" == response.header("content-disposition")
    assert b"caf\xe9" == response.header("x-latin")
    for name in ("x-inner", "proxy-authenticate", "trailer", "keep-alive"):
        assert [] == response.values(name)
    assert b"1970" not in (response.header("date") or b"")
    assert response.header("server") != b"inner"


async def test_cookies__of_one_answer_are_in_no_later_request(worker: Worker, sidecar: StubSidecar) -> None:
    """There is no cookie jar: what one viewer is given never goes up with another's request."""

    async def answer(exchange: Exchange) -> None:
        await exchange.reply("200 OK", b"Set-Cookie: _streamlit_user=ada; Path=/")

    sidecar.answer = answer
    await fetch(worker.port, "/open/media/a")
    await fetch(worker.port, "/open/media/b")

    assert [[], []] == [request.values("cookie") for request in sidecar.requests]


async def test_request_id__is_one_id_everywhere(worker: Worker, sidecar: StubSidecar) -> None:
    """A harmless id is kept, sent up and returned; any other is replaced."""
    kept = await fetch(worker.port, "/open/media/a", [(b"X-Request-ID", b"abc-123")])
    replaced = await fetch(worker.port, "/open/media/a", [(b"X-Request-ID", b"x" * 65)])

    assert b"abc-123" == kept.header("x-request-id")
    assert [b"abc-123"] == sidecar.requests[0].values("x-request-id")
    assert replaced.header("x-request-id") not in {None, b"x" * 65}
    assert [replaced.header("x-request-id")] == sidecar.requests[1].values("x-request-id")


@pytest.mark.parametrize("target", ["/api/healthz", "/open/", "/open/x/_stcore/health", "/away/media/a"])
async def test_request_id__is_in_every_answer(worker: Worker, target: str) -> None:
    """Django's answers and the gateway's own carry the id too, so a user can name it."""
    response = await fetch(worker.port, target, [(b"X-Request-ID", b"abc-123")])

    assert b"abc-123" == response.header("x-request-id")


# Methods and statuses


async def test_head__keeps_the_length(worker: Worker, sidecar: StubSidecar) -> None:
    """A HEAD has no body and tells the length of what a GET would bring."""

    async def answer(exchange: Exchange) -> None:
        length = b"70000" if b"large" in exchange.request.target else b"5"
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n" % length)

    sidecar.answer = answer
    async with connected(worker.port) as connection:
        for target, length in (("/open/media/small", b"5"), ("/open/media/large", b"70000")):
            await connection.send(request("HEAD", target))
            response = await connection.response("HEAD")

            assert (200, length) == (response.status, response.header("content-length"))


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_status_without_body__has_none(worker: Worker, sidecar: StubSidecar, status: str) -> None:
    """A 204 or 304 gets no length and no chunks, and the connection goes on."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(f'HTTP/1.1 {status}\r\nETag: "x"\r\n\r\n'.encode())

    sidecar.answer = answer
    async with connected(worker.port) as connection:
        for _ in range(2):
            await connection.send(request("GET", "/open/media/a", [(b"If-None-Match", b'"x"')]))
            response = await connection.response()

            assert status.startswith(str(response.status))
            assert b'"x"' == response.header("etag")
            assert [] == response.values("content-length") + response.values("transfer-encoding")
    assert [b'"x"'] == sidecar.requests[0].values("if-none-match")


async def test_range__passes_both_ways(worker: Worker, sidecar: StubSidecar) -> None:
    """A partial answer arrives as one."""

    async def answer(exchange: Exchange) -> None:
        await exchange.reply("206 Partial Content", b"Content-Range: bytes 2-4/9", body=b"cde")

    sidecar.answer = answer
    response = await fetch(worker.port, "/open/media/a", [(b"Range", b"bytes=2-4")])

    assert [b"bytes=2-4"] == sidecar.request.values("range")
    assert (206, b"bytes 2-4/9", b"cde") == (response.status, response.header("content-range"), response.body)


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"zstd"])
async def test_encoded_body__is_left_alone(worker: Worker, sidecar: StubSidecar, encoding: bytes) -> None:
    """The body passes as the sidecar encoded it, known or unknown the coding."""
    encoded = gzip.compress(b"hello") if encoding == b"gzip" else b"\x00\xff not really " + encoding

    async def answer(exchange: Exchange) -> None:
        await exchange.reply("200 OK", b"Content-Encoding: " + encoding, body=encoded)

    sidecar.answer = answer
    response = await fetch(worker.port, "/open/media/a", [(b"Accept-Encoding", encoding)])

    assert [encoding] == sidecar.request.values("accept-encoding")
    assert (encoding, encoded) == (response.header("content-encoding"), response.body)


async def test_get__with_a_body(worker: Worker, sidecar: StubSidecar) -> None:
    """A GET may have a body, and it goes up."""
    response = await fetch(worker.port, "/open/media/a", body=b"{}")

    assert 200 == response.status
    assert (b"{}", True) == (sidecar.request.body, sidecar.request.is_complete)


@pytest.mark.parametrize(("size", "status"), [(routes.SMALL_BODY, 200), (routes.SMALL_BODY + 1, 413)])
async def test_get__with_a_large_body(worker: Worker, sidecar: StubSidecar, size: int, status: int) -> None:
    """Only an upload may be as large as the cap on uploads; what takes no upload takes little."""
    fields = [(b"Connection", b"close")]
    response = await fetch(worker.port, "/open/media/a", fields, body=b"x" * size)

    assert status == response.status
    assert (status == 200) == bool(sidecar.requests)


@pytest.mark.parametrize("status", ["301 Moved", "401 Unauthorized", "404 Not Found", "500 Oops"])
async def test_status__of_the_sidecar_passes(worker: Worker, sidecar: StubSidecar, status: str) -> None:
    """Any answer of a sidecar is the answer; redirects are not followed."""

    async def answer(exchange: Exchange) -> None:
        await exchange.reply(status, b"Location: /elsewhere")

    sidecar.answer = answer
    response = await fetch(worker.port, "/open/media/a")

    assert status.startswith(str(response.status))
    assert b"/elsewhere" == response.header("location")
    assert 1 == len(sidecar.requests)


# Streaming down


async def test_events__arrive_one_by_one(worker: Worker, sidecar: StubSidecar) -> None:
    """Each piece reaches the browser before the next is sent."""
    go_on = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(3):
            await exchange.chunk(b"data: %d\n\n" % number)
            await asyncio.wait_for(go_on.wait(), 10)
            go_on.clear()
        await exchange.chunk(b"")

    sidecar.answer = answer
    seen = []
    async with connected(worker.port) as connection:
        await connection.send(request("GET", "/open/media/events"))
        response = await connection.head()
        async for piece in connection.pieces(response):
            seen.append(piece)
            go_on.set()

    assert [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"] == seen
    assert response.is_complete


@pytest.mark.parametrize("framing", [b"Content-Length: 300000", b"Transfer-Encoding: chunked"])
async def test_download__broken_off_by_the_sidecar(
    worker: Worker, sidecar: StubSidecar, framing: bytes
) -> None:
    """A body that ends early ends early for the browser too: it never looks complete."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % framing)
        await exchange.chunk(b"x" * 100_000)
        exchange.writer.close()

    sidecar.answer = answer
    response = await fetch(worker.port, "/open/media/a")

    assert 200 == response.status
    assert not response.is_complete
    assert b"error" not in response.body.lower()


@pytest.mark.parametrize("is_silent", [False, True], ids=["endless", "endless and silent"])
async def test_download__client_gone(worker: Worker, sidecar: StubSidecar, is_silent: bool) -> None:
    """When the browser leaves, the sidecar's work on its answer ends."""
    closed = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        waiting = asyncio.create_task(exchange.closed())
        await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await exchange.chunk(b"first")
        while not waiting.done() and not is_silent:
            await exchange.chunk(b"x" * 1000)
            await asyncio.sleep(0.01)
        await waiting
        closed.set()

    sidecar.answer = answer
    async with connected(worker.port) as connection:
        await connection.send(request("GET", "/open/media/a"))
        response = await connection.head()
        await anext(connection.pieces(response))
        connection.reset()

    await asyncio.wait_for(closed.wait(), 5)


# Streaming up


async def test_upload__goes_up_while_it_comes(uvicorn_worker: Worker, sidecar: StubSidecar) -> None:
    """The sidecar has the first bytes before the browser has sent the last, with either framing.

    Not on Daphne, which reads a body whole before the application starts.
    """
    async with connected(uvicorn_worker.port) as connection:
        await connection.send(request("PUT", UPLOAD, [CHUNKED]))
        await connection.chunk(b"a" * 1000)
        first = await sidecar.arrival()
        await first.wait_for_size(1000)
        assert not first.is_complete
        await connection.chunk(b"b" * 1000)
        await connection.chunk(b"")
        assert 200 == (await connection.response()).status

        await connection.send(request("PUT", UPLOAD, [(b"Content-Length", b"2000")]))
        await connection.send(b"a" * 1000)
        second = await sidecar.arrival()
        await second.wait_for_size(1000)
        assert not second.is_complete
        await connection.send(b"b" * 1000)
        assert 200 == (await connection.response()).status

    for arrived in (first, second):
        assert (b"a" * 1000 + b"b" * 1000, True) == (arrived.body, arrived.is_complete)
    assert ([b"chunked"], []) == (first.values("transfer-encoding"), first.values("content-length"))
    assert ([], [b"2000"]) == (second.values("transfer-encoding"), second.values("content-length"))


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_upload__of_just_the_cap_passes(worker: Worker, sidecar: StubSidecar, is_chunked: bool) -> None:
    """The cap itself is allowed."""
    response = await _upload(worker, CAP, is_chunked=is_chunked)

    assert 200 == response
    assert (CAP, True) == (sidecar.request.size, sidecar.request.is_complete)


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_upload__over_the_cap_is_refused(
    worker: Worker, sidecar: StubSidecar, is_chunked: bool
) -> None:
    """One byte more is 413; the sidecar gets a part at most, and nothing when the length is declared."""
    status = await _upload(worker, CAP + 1, is_chunked=is_chunked)

    assert 413 == status
    assert not any(request.is_complete for request in sidecar.requests)
    assert is_chunked or not sidecar.requests


async def _upload(worker: Worker, size: int, *, is_chunked: bool) -> int:
    async with connected(worker.port) as connection:
        if is_chunked:
            await connection.send(request("PUT", UPLOAD, [CHUNKED]))
            await connection.chunk(b"x" * size)
            await connection.chunk(b"")
        else:
            await connection.send(request("PUT", UPLOAD, body=b"x" * size))
        return (await connection.response()).status


async def test_upload__declared_too_large_is_refused_before_it_comes(
    uvicorn_worker: Worker, sidecar: StubSidecar
) -> None:
    """With a `Content-Length` over the cap the answer is there before any of the body.

    Not on Daphne, which reads a body whole before the application starts.
    """
    async with connected(uvicorn_worker.port) as connection:
        await connection.send(request("PUT", UPLOAD, [(b"Content-Length", b"%d" % (CAP + 1))]))
        response = await connection.response()

    assert 413 == response.status
    assert str(CAP).encode() in response.body
    assert b"close" == response.header("connection")
    assert [] == sidecar.requests


async def test_upload__asks_to_continue(uvicorn_worker: Worker, sidecar: StubSidecar) -> None:
    """`Expect: 100-continue` is answered by the gateway once somebody reads, and not passed on.

    Not on Daphne: Twisted answers it at once, before anything is decided.
    """
    async with connected(uvicorn_worker.port) as connection:
        await connection.send(request("PUT", UPLOAD, [EXPECT, (b"Content-Length", b"3")]))
        assert 100 == (await connection.head()).status
        await connection.send(b"abc")
        assert 200 == (await connection.response()).status

    assert (b"abc", []) == (sidecar.request.body, sidecar.request.values("expect"))


async def test_upload__refused_without_continue(uvicorn_worker: Worker, sidecar: StubSidecar) -> None:
    """An upload that is too large is refused before the browser is asked for it."""
    async with connected(uvicorn_worker.port) as connection:
        length = b"%d" % (CAP + 1)
        await connection.send(request("PUT", UPLOAD, [EXPECT, (b"Content-Length", length)]))
        assert 413 == (await connection.head()).status

    assert [] == sidecar.requests


async def test_upload__answered_before_its_end(uvicorn_worker: Worker, sidecar: StubSidecar) -> None:
    """Where the connection closes after it, what still comes is read first: a reset would lose the answer.

    nginx asks for every connection to be closed, unless it is told otherwise.
    """

    async def refuse(exchange: Exchange) -> None:
        await exchange.reply("400 Bad Request", body=b"no such session")
        await exchange.closed()

    sidecar.answer = refuse
    async with connected(uvicorn_worker.port) as connection:
        fields = [(b"Connection", b"close"), (b"Content-Length", b"%d" % MIB)]
        await connection.send(request("PUT", UPLOAD, fields) + b"x" * 4096)
        response = await connection.response()
        for _ in range(MIB // 4096 - 1):
            await connection.send(b"x" * 4096)
        after = await asyncio.wait_for(connection.reader.read(), 5)

    assert (400, b"no such session", b"") == (response.status, response.body, after)
    assert not sidecar.request.is_complete


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_upload__client_gone(worker: Worker, sidecar: StubSidecar, is_chunked: bool) -> None:
    """A truncated upload never arrives as a complete one, and the sidecar's connection ends."""
    ended = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        try:
            await exchange.read_body()
        finally:
            ended.set()

    sidecar.answer = answer
    async with connected(worker.port) as connection:
        framing = CHUNKED if is_chunked else (b"Content-Length", b"1000")
        await connection.send(request("PUT", UPLOAD, [framing]))
        await connection.send(b"64\r\n%s\r\n" % (b"x" * 100) if is_chunked else b"x" * 100)
        if worker.server == "uvicorn":
            await (await sidecar.arrival()).wait_for_size(100)
        connection.reset()

    if worker.server == "uvicorn":
        await asyncio.wait_for(ended.wait(), 5)
        assert not sidecar.request.is_complete
    else:  # Daphne reads a body whole before the application starts: this one never does
        sidecar.answer = answer_ok
        assert 200 == (await fetch(worker.port, "/open/media/after")).status
        assert [b"GET /open/media/after HTTP/1.1"] == [request.line for request in sidecar.requests]


async def test_upload__is_not_sent_twice(uvicorn_worker: Worker, sidecar: StubSidecar) -> None:
    """A sidecar that drops a kept connection in mid-upload gets no second try with half of the body.

    aiohttp repeats idempotent requests, PUT among them, on a connection that turns out to be closed;
    a stream cannot be repeated.
    """

    async def answer(exchange: Exchange) -> None:
        if exchange.request.line.startswith(b"PUT"):
            await exchange.reader.readuntil(b"a" * 1000)
            exchange.request.size = 1000
            exchange.request.grew.set()
            exchange.writer.transport.abort()
        else:
            await exchange.reply()

    sidecar.answer = answer
    await fetch(uvicorn_worker.port, "/open/media/warm")
    async with connected(uvicorn_worker.port) as connection:
        await connection.send(request("PUT", UPLOAD, [CHUNKED]))
        await connection.chunk(b"a" * 1000)
        await sidecar.arrival()
        await (await sidecar.arrival()).wait_for_size(1000)
        await connection.chunk(b"b" * 1000)
        await connection.chunk(b"")
        response = await connection.response()

    assert 502 == response.status
    assert 1 == sum(request.line.startswith(b"PUT") for request in sidecar.requests)


async def test_upload__answered_early(uvicorn_worker: Worker, sidecar: StubSidecar) -> None:
    """A sidecar that answers before it has read all is heard at once."""

    async def answer(exchange: Exchange) -> None:
        await exchange.reply("403 Forbidden", b"Connection: close", body=b"no")
        await exchange.closed()

    sidecar.answer = answer
    async with connected(uvicorn_worker.port) as connection:
        await connection.send(request("PUT", UPLOAD, [(b"Content-Length", b"1000")]))
        await connection.send(b"x" * 100)
        response = await connection.response()

    assert (403, b"no") == (response.status, response.body)


# Sidecars in trouble


async def test_sidecar__not_there(worker: Worker) -> None:
    """A socket on which nobody listens is 503, with an id and without a word about the inside."""
    response = await fetch(worker.port, "/away/media/a")

    assert 503 == response.status
    assert b"2" == response.header("retry-after")
    assert (response.header("x-request-id") or b"?") in response.body
    assert b".sock" not in response.body


async def test_sidecar__failed(worker: Worker) -> None:
    """A sidecar that the supervisor gave up is not asked at all."""
    response = await fetch(worker.port, "/failed/media/a")

    assert 503 == response.status


@pytest.mark.parametrize(
    "garbage",
    [b"not HTTP at all\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"],
)
async def test_sidecar__talks_garbage(worker: Worker, sidecar: StubSidecar, garbage: bytes) -> None:
    """What is not HTTP is 502."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(garbage)
        exchange.writer.close()

    sidecar.answer = answer
    response = await fetch(worker.port, "/open/media/a")

    assert 502 == response.status


@pytest.fixture(scope="module")
def impatient_worker(start_worker: StartWorker) -> AsyncIterator[Worker]:
    """A worker that waits for a sidecar for a second only."""
    with start_worker("uvicorn", FLUXLIT_GATEWAY_UPSTREAM_READ_TIMEOUT_S="1") as worker:
        yield worker


async def test_sidecar__hangs(impatient_worker: Worker, sidecar: StubSidecar) -> None:
    """A sidecar that does not answer in time is 504."""

    async def answer(exchange: Exchange) -> None:
        await exchange.closed()

    sidecar.answer = answer
    response = await fetch(impatient_worker.port, "/open/media/a")

    assert 504 == response.status


async def test_sidecar__waits_for_a_slow_upload(impatient_worker: Worker, sidecar: StubSidecar) -> None:
    """The wait for a sidecar's answer begins when it has the whole request."""
    async with connected(impatient_worker.port) as connection:
        await connection.send(request("PUT", UPLOAD, [(b"Content-Length", b"2")]))
        await connection.send(b"a")
        await asyncio.sleep(1.5)
        await connection.send(b"b")
        response = await connection.response()

    assert 200 == response.status


async def test_proxy_variables__are_ignored(start_worker: StartWorker, sidecar: StubSidecar) -> None:
    """A proxy in the environment is for the outside world, not for the way to a sidecar."""
    proxy = "http://127.0.0.1:9"
    variables = {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
    server = await asyncio.start_server(sidecar.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with start_worker("uvicorn", **variables) as worker:
        worker.tell([SidecarStatus("open-0", "open", f"http://127.0.0.1:{port}", "ready")])
        await asyncio.sleep(0.2)
        response = await fetch(worker.port, "/open/media/a")
    server.close()
    await server.wait_closed()

    assert (200, [b"/open/media/a"]) == (response.status, [request.target for request in sidecar.requests])


# Weight


async def test_memory__of_large_transfers(start_worker: StartWorker, sidecar: StubSidecar) -> None:
    """A 300 MB upload and a 300 MB download to a slow reader pass through little memory."""
    size = 300 * MIB

    async def answer(exchange: Exchange) -> None:
        await exchange.read_body()
        if exchange.request.line.startswith(b"PUT"):
            await exchange.reply()
            return
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(300):
            await exchange.send(bytes(MIB))

    sidecar.answer = answer
    with start_worker("uvicorn", FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES="0") as worker:
        await fetch(worker.port, "/open/media/warm", method="HEAD", body=b"x")
        before = worker.forget_peak()
        async with connected(worker.port) as connection:
            await connection.send(request("PUT", UPLOAD, [(b"Content-Length", b"%d" % size)]))
            for _ in range(300):
                await connection.send(bytes(MIB))
            assert 200 == (await connection.response()).status
        assert size == sidecar.requests[-1].size
        assert worker.peak() - before < 20 * MIB

        received = 0
        async with connected(worker.port) as connection:
            await connection.send(request("GET", "/open/media/large"))
            response = await connection.head()
            await asyncio.sleep(1)  # as long as a reader that is slow lets the sidecar go ahead
            async for piece in connection.pieces(response):
                received += len(piece)
        assert size == received
        assert worker.peak() - before < 20 * MIB

"""One person's browser without a screen: cookies, Django's login, and Streamlit's own requests."""

from __future__ import annotations

import asyncio
import io
import re
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.site import PASSWORD
from tests.streamlit_protocol import StreamlitClient

_CSRF_FIELD = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Viewer:
    """Whoever sits behind one set of cookies.

    Args:
        url: the site's public URL, with its path prefix and without a slash at its end.
        trust: the certificates to believe in; needed for HTTPS.
        address: where the connections come from.
        headers: sent with every request.
    """

    def __init__(
        self,
        url: str,
        *,
        trust: ssl.SSLContext | None = None,
        address: str = "127.0.0.1",
        headers: Any = None,
    ) -> None:
        parts = urlsplit(url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.prefix = parts.path
        self._sockets: list[socket.socket] = []
        self.http = aiohttp.ClientSession(
            base_url=self.origin,
            connector=aiohttp.TCPConnector(
                ssl=trust or True, local_addr=(address, 0), socket_factory=self._open_socket
            ),
            headers=headers,
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        )

    async def __aenter__(self) -> Viewer:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.http.close()
        await asyncio.wait_for(self._until_closed(), 10)

    async def _until_closed(self) -> None:
        """Wait for what aiohttp leaves to close behind its back: TLS connections that a server broke off."""
        while any(opened.fileno() != -1 for opened in self._sockets):  # noqa: ASYNC110 – no event tells it
            await asyncio.sleep(0.01)

    def _open_socket(self, address: Any) -> socket.socket:
        family, kind, protocol, *_ = address
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        self._sockets.append(opened)
        return opened

    def cookie(self, name: str) -> str:
        """The value of a cookie, "" when there is none."""
        return next((cookie.value for cookie in self.http.cookie_jar if cookie.key == name), "")

    def get(self, path: str, **options: Any) -> Any:
        """GET a path below the prefix; redirects are not followed."""
        return self.http.get(f"{self.prefix}{path}", **({"allow_redirects": False} | options))

    async def sign_in(self, username: str = "admin", password: str = PASSWORD, *, next_path: str = "") -> str:
        """Fill in the login form; where it leads."""
        query = f"?next={next_path}" if next_path else ""
        async with self.get(f"/accounts/login/{query}") as response:
            form = await response.text()
        return await self._post_login(form, username, password, query)

    async def _post_login(self, form: str, username: str, password: str, query: str) -> str:
        token = _CSRF_FIELD.search(form)
        assert token, form
        url = f"{self.prefix}/accounts/login/{query}"
        fields = {"csrfmiddlewaretoken": token[1], "username": username, "password": password}
        headers = {"Referer": f"{self.origin}{url}", "Origin": self.origin}
        async with self.http.post(url, data=fields, headers=headers, allow_redirects=False) as response:
            assert response.status == 302, await response.text()
            return response.headers["Location"]

    async def sign_out(self) -> None:
        """Post the sign-out form."""
        async with self.get("/accounts/logout/") as response:
            token = _CSRF_FIELD.search(await response.text())
        assert token
        url = f"{self.prefix}/accounts/logout/"
        headers = {"Referer": f"{self.origin}{url}", "Origin": self.origin}
        fields = {"csrfmiddlewaretoken": token[1]}
        async with self.http.post(url, data=fields, headers=headers, allow_redirects=False) as response:
            assert response.status in {200, 302}, await response.text()

    def streamlit(self, mount: str = "", **options: Any) -> StreamlitClient:
        """A tab on the app under a mount."""
        headers = {"Origin": self.origin, **options.pop("headers", {})}
        return StreamlitClient(
            self.origin, base_path=f"{self.prefix}{mount}", http=self.http, headers=headers, **options
        )

    async def upload(self, url: str, content: bytes, *, xsrf: str | None = None) -> tuple[int, str]:
        """PUT a file as Streamlit's frontend does; the status and the text of the answer.

        Args:
            url: below the prefix; a sidecar gives it without its app's mount.
        """
        if not self.cookie("_streamlit_xsrf"):
            await self.load_xsrf()
        form = aiohttp.FormData()
        # As a file: aiohttp warns of large bodies in one piece.
        form.add_field("file", io.BytesIO(content), filename="data.bin")
        token = self.cookie("_streamlit_xsrf") if xsrf is None else xsrf
        headers = {"X-Xsrftoken": token, "Origin": self.origin}
        async with self.http.put(f"{self.prefix}{url}", data=form, headers=headers) as response:
            return response.status, await response.text()

    async def load_xsrf(self, mount: str = "") -> None:
        """Get Streamlit's XSRF cookie, which its frontend gets with the first thing it asks for."""
        async with self.get(f"{mount}/_stcore/health") as response:
            assert response.status == 200

"""A browser's side of Streamlit's WebSocket protocol, for tests.

    async with StreamlitClient("unix:/run/app.sock") as client:
        run = await client.rerun()
        assert "Hello" in run.texts()

The address is `unix:<path>` or `http://host:port`, of a sidecar or of a gateway.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

SUBPROTOCOL = "streamlit"
LARGEST_MESSAGE = 1 << 28  # bytes


class Closed(Exception):
    """The server closed the WebSocket before the run was over."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"closed with {code} {reason!r}")
        self.code = code
        self.reason = reason


@dataclass
class Run:
    """All messages of one script run."""

    messages: list[ForwardMsg] = field(default_factory=list)

    def elements(self) -> Iterator[Element]:
        """Every element that the run drew, in the order of its messages."""
        for message in self.messages:
            if message.WhichOneof("type") == "delta" and message.delta.HasField("new_element"):
                yield message.delta.new_element

    def texts(self) -> list[str]:
        """The bodies of headings, markdown, plain text, captions, code and alerts."""
        return [text for element in self.elements() if (text := _text(element)) is not None]

    def exceptions(self) -> list[str]:
        """`<type>: <message>` of every exception box."""
        found = [element.exception for element in self.elements() if element.HasField("exception")]
        return [f"{exception.type}: {exception.message}" for exception in found]

    def widget(self, label: str) -> Any:
        """The message of the widget with this label.

        Raises:
            LookupError: the run drew none.
        """
        for element in self.elements():
            widget = getattr(element, element.WhichOneof("type"))
            if getattr(widget, "label", None) == label:
                return widget
        raise LookupError(label)

    @property
    def finished(self) -> str:
        """The name of the message that ended the run, such as `FINISHED_SUCCESSFULLY`."""
        return ForwardMsg.ScriptFinishedStatus.Name(self.messages[-1].script_finished)

    @property
    def new_session(self) -> Any:
        """The run's `new_session` message: session id, configuration, environment."""
        return next(m.new_session for m in self.messages if m.WhichOneof("type") == "new_session")

    @property
    def navigation(self) -> Any:
        """The last `navigation` message, or None."""
        found = [m.navigation for m in self.messages if m.WhichOneof("type") == "navigation"]
        return found[-1] if found else None

    @property
    def page_config(self) -> dict[str, Any]:
        """What `st.set_page_config` set: title, favicon, layout."""
        found: dict[str, Any] = {}
        for message in self.messages:
            if message.WhichOneof("type") == "page_config_changed":
                changed = message.page_config_changed
                found |= {descriptor.name: value for descriptor, value in changed.ListFields()}
        return found

    @property
    def page_not_found(self) -> bool:
        """Whether the app said that it has no such page."""
        return any(m.WhichOneof("type") == "page_not_found" for m in self.messages)


class StreamlitClient:
    """One browser tab.

    `base_path` is the app's mount with the root path, `path` the page below it; `session_id` resumes that
    session, as the third entry of `Sec-WebSocket-Protocol` does for a browser that reconnects. `http` is an
    HTTP client to use, with its cookies, instead of one of its own.
    """

    def __init__(
        self,
        address: str,
        *,
        base_path: str = "",
        session_id: str | None = None,
        xsrf_token: str = "PLACEHOLDER_AUTH_TOKEN",
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        timeout: float = 15.0,
        http: aiohttp.ClientSession | None = None,
    ) -> None:
        self.base_path = base_path.rstrip("/")
        self.session_id = session_id
        self.timeout = timeout
        self._xsrf_token = xsrf_token
        self._headers = dict(headers or {})
        self._cookies = dict(cookies or {})
        self._address = address
        self._base_url = "http://localhost" if address.startswith("unix:") else address.rstrip("/")
        self._http = http
        self._owns_http = http is None
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def __aenter__(self) -> StreamlitClient:
        await self.connect()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def http(self) -> aiohttp.ClientSession:
        """A plain HTTP client of the same address, headers and cookies."""
        if self._http is None:
            path = self._address.removeprefix("unix:")
            is_unix = path != self._address
            self._http = aiohttp.ClientSession(
                base_url=self._base_url,
                connector=aiohttp.UnixConnector(path) if is_unix else aiohttp.TCPConnector(),
                headers=self._headers,
                cookies=self._cookies,
                cookie_jar=aiohttp.CookieJar(unsafe=True),
            )
        return self._http

    @property
    def socket(self) -> aiohttp.ClientWebSocketResponse:
        """The open WebSocket."""
        assert self._socket is not None, "call connect() first"
        return self._socket

    async def connect(self) -> None:
        """Open the WebSocket. Raises aiohttp.WSServerHandshakeError when it is refused."""
        protocols = [SUBPROTOCOL, self._xsrf_token, *([self.session_id] if self.session_id else [])]
        self._socket = await asyncio.wait_for(
            self.http.ws_connect(
                f"{self.base_path}/_stcore/stream",
                headers={**self._headers, "Sec-WebSocket-Protocol": ", ".join(protocols)},
                max_msg_size=LARGEST_MESSAGE,
                autoclose=True,
            ),
            self.timeout,
        )

    async def close(self) -> None:
        """Close the WebSocket and every connection."""
        if self._socket is not None:
            await self._socket.close()
        if self._http is not None and self._owns_http:
            await self._http.close()

    async def rerun(
        self,
        *,
        page: str = "",
        query: str = "",
        widgets: Mapping[str, Any] | None = None,
        page_hash: str = "",
        fragment_id: str = "",
    ) -> Run:
        """Run the script and collect its messages until it finishes.

        `widgets` maps widget ids to values; a value of True triggers a button.
        """
        await self.send_rerun(
            page=page, query=query, widgets=widgets, page_hash=page_hash, fragment_id=fragment_id
        )
        return await self.collect()

    async def send_rerun(
        self,
        *,
        page: str = "",
        query: str = "",
        widgets: Mapping[str, Any] | None = None,
        page_hash: str = "",
        fragment_id: str = "",
    ) -> None:
        """Ask for a run of the script without waiting for it."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string = query
        state.page_name = page
        state.page_script_hash = page_hash
        state.fragment_id = fragment_id
        for widget_id, value in (widgets or {}).items():
            state.widget_states.widgets.append(_widget_state(widget_id, value))
        await self.socket.send_bytes(message.SerializeToString())

    async def generate_download(self, file_id: str) -> str:
        """Have a deferred download made, and return its URL or the error."""
        message = BackMsg()
        if hasattr(message, "deferred_file_request"):  # Streamlit 1.57
            return await self._generate_download_of_old(message, file_id)
        message.backend_operation_request.request_id = file_id
        message.backend_operation_request.session_id = self.session_id or ""
        message.backend_operation_request.deferred_file.file_id = file_id
        await self.socket.send_bytes(message.SerializeToString())
        while True:
            answer = (await self.receive()).backend_operation_response
            if answer.request_id == file_id:
                return answer.deferred_file.url or answer.error_msg

    async def _generate_download_of_old(self, message: BackMsg, file_id: str) -> str:
        message.deferred_file_request.session_id = self.session_id or ""
        message.deferred_file_request.file_id = file_id
        await self.socket.send_bytes(message.SerializeToString())
        while True:
            answer = await self.receive()
            if answer.WhichOneof("type") == "deferred_file_response":
                return answer.deferred_file_response.url or answer.deferred_file_response.error_msg

    async def upload_url(self, name: str) -> FileURLs:
        """Ask where a file may be uploaded to."""
        message = BackMsg()
        message.file_urls_request.request_id = name
        message.file_urls_request.session_id = self.session_id or ""
        message.file_urls_request.file_names.append(name)
        await self.socket.send_bytes(message.SerializeToString())
        while True:
            answer = await self.receive()
            if answer.WhichOneof("type") == "file_urls_response":
                return answer.file_urls_response.file_urls[0]

    async def rerun_with_file(self, uploader: Any, urls: FileURLs, name: str, size: int) -> Run:
        """Rerun the script with an uploaded file in the uploader, a widget of an earlier run."""
        message = BackMsg()
        widget = message.rerun_script.widget_states.widgets.add(id=uploader.id)
        file = widget.file_uploader_state_value.uploaded_file_info.add(
            file_id=urls.file_id, name=name, size=size
        )
        file.file_urls.CopyFrom(urls)
        await self.socket.send_bytes(message.SerializeToString())
        return await self.collect()

    async def collect(self) -> Run:
        """Collect messages until the script finishes, round after round of `st.rerun`.

        Raises:
            Closed: the server closed the WebSocket first.
        """
        run = Run()
        while True:
            message = await self.receive()
            run.messages.append(message)
            if message.WhichOneof("type") == "new_session":
                self.session_id = message.new_session.initialize.session_id
            if message.WhichOneof("type") == "script_finished" and run.finished != "FINISHED_EARLY_FOR_RERUN":
                return run

    async def receive(self) -> ForwardMsg:
        """The next message.

        Raises:
            Closed: the server closed the WebSocket.
        """
        frame = await asyncio.wait_for(self.socket.receive(), self.timeout)
        if frame.type is not aiohttp.WSMsgType.BINARY:
            raise Closed(self.socket.close_code, str(frame.extra or ""))
        message = ForwardMsg()
        message.ParseFromString(frame.data)
        return message


def _widget_state(widget_id: str, value: Any) -> WidgetState:
    state = WidgetState(id=widget_id)
    if value is True or value is False:
        state.trigger_value = value
    elif isinstance(value, str):
        state.string_value = value
    elif isinstance(value, int):
        state.int_value = value
    elif isinstance(value, float):
        state.double_value = value
    else:
        state.json_value = json.dumps(value)
    return state


def _text(element: Element) -> str | None:
    kind = element.WhichOneof("type")
    if kind == "code":
        return str(element.code.code_text)
    body = getattr(getattr(element, kind or "", None), "body", None)
    return None if body is None else str(body)

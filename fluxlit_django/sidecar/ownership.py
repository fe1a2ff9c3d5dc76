"""A viewer's sessions and files are that viewer's: uploads go to one's own sessions, media come from them.

The gateway lets nobody in who may not use the app, and Streamlit's ids cannot be guessed; but an address may
be passed on, and then Streamlit (1.67) gives the file to whoever asks. Anonymous viewers count as one.
"""

from __future__ import annotations

import functools
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from streamlit import runtime
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

_USER_ID_HEADER, _USER_ID = b"x-fluxlit-user-id", "id"
_UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/[^/]+$")
_MEDIA = re.compile(r"/media/([^/.]+)[^/]*$")


class FileOwners:
    """Which viewers' sessions a media file was made for.

    Args:
        remember_most: files; the oldest are forgotten, and then as safe as their ids.
    """

    def __init__(self, remember_most: int = 50_000) -> None:
        self._remember_most = remember_most
        self._lock = threading.Lock()
        self._viewers: OrderedDict[str, frozenset[str]] = OrderedDict()

    def add(self, file_id: str, viewers: frozenset[str]) -> None:
        """Note that a file is these viewers', ids of users; "" stands for the anonymous."""
        with self._lock:
            self._viewers[file_id] = self._viewers.pop(file_id, frozenset()) | viewers
            while len(self._viewers) > self._remember_most:
                self._viewers.popitem(last=False)

    def of(self, file_id: str) -> frozenset[str]:
        """The viewers whose file it is; none when it is not known."""
        with self._lock:
            return self._viewers.get(file_id, frozenset())

    def install(self) -> None:
        """Have each file that a script shows noted. Call once."""
        # Streamlit 1.67: `add` gives a file's URL, `add_deferred` the id of a function that makes one later.
        for name in ("add", "add_deferred"):
            setattr(MediaFileManager, name, self._noting_viewer(getattr(MediaFileManager, name)))
        MediaFileManager.execute_deferred = self._handing_on(  # type: ignore[method-assign]
            MediaFileManager.execute_deferred
        )

    def _noting_viewer(self, add: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(add)
        def wrapper(*args: Any, **kwargs: Any) -> str:
            made = add(*args, **kwargs)
            context = get_script_run_ctx(suppress_warning=True)
            if context is not None:
                self.add(_file_id(made), frozenset({_user_id(context.user_info)}))
            return made

        return wrapper

    def _handing_on(self, execute: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(execute)
        def wrapper(manager: MediaFileManager, file_id: str) -> str:
            url = execute(manager, file_id)
            self.add(_file_id(url), self.of(file_id))
            return url

        return wrapper


def keep_sessions() -> None:
    """Have a session resumed for its own viewer only. Call once."""
    # Streamlit 1.67 sees to it by itself; 1.57 resumes a session for whoever knows its id.
    if not hasattr(AppSession, "matches_user_info"):
        runtime.Runtime.connect_session = resuming_own(  # type: ignore[method-assign]
            runtime.Runtime.connect_session
        )


def resuming_own(connect_session: Callable[..., str]) -> Callable[..., str]:
    """`Runtime.connect_session` of Streamlit, for which another viewer's session is one that is not there."""

    @functools.wraps(connect_session)
    def wrapper(
        self: Any, client: Any, user_info: Any, existing_session_id: str | None = None, **options: Any
    ) -> str:
        known = self._session_mgr.get_session_info(existing_session_id) if existing_session_id else None
        if known is not None and _user_id(known.session._user_info) != _user_id(user_info):
            existing_session_id = None
        return connect_session(self, client, user_info, existing_session_id, **options)

    return wrapper


class OwnFilesOnly:
    """ASGI middleware that refuses other viewers' files.

    Args:
        app: Streamlit.
        owners: whose the media files are.
    """

    def __init__(self, app: Callable[..., Any], owners: FileOwners) -> None:
        self._app = app
        self._owners = owners

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        status = self._refusal(scope) if scope["type"] == "http" else None
        if status is None:
            await self._app(scope, receive, send)
            return
        body = b"This file is another viewer's.\n"
        fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Any) -> int | None:
        viewer = next((value.decode() for name, value in scope["headers"] if name == _USER_ID_HEADER), "")
        if upload := _UPLOAD.search(scope["path"]):
            return None if _owner_of_session(upload[1]) in {None, viewer} else 403
        if media := _MEDIA.search(scope["path"]):
            owners = self._owners.of(media[1])
            # 404, as for a file that is not there: another sidecar may have it for this viewer.
            return 404 if owners and viewer not in owners else None
        return None


def _owner_of_session(session_id: str) -> str | None:
    """The user id of a session; None when there is no such session, which Streamlit then says."""
    if not runtime.exists():
        return None
    # Streamlit 1.67's own `get_app_session` does this; 1.57 has none.
    info = runtime.get_instance()._session_mgr.get_active_session_info(session_id)
    return None if info is None else _user_id(info.session._user_info)


def _user_id(user_info: Any) -> str:
    return str(user_info.get(_USER_ID) or "")


def _file_id(url: str) -> str:
    """The id in a media file's URL, which may be an id alone."""
    return url.rpartition("/")[2].partition(".")[0]

"""Whose files are whose, as far as it can be told without a script; the rest is in tests/trust."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fluxlit_django.sidecar.ownership import FileOwners, OwnFilesOnly, resuming_own


async def pass_on(scope, receive, send):
    """An application behind the middleware."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def status_of(path: str, viewer: str, owners: FileOwners) -> int:
    """The status of a viewer's request; "" for an anonymous one."""
    sent = []

    async def send(message) -> None:
        sent.append(message)

    headers = [(b"x-fluxlit-user-id", viewer.encode())] if viewer else []
    await OwnFilesOnly(pass_on, owners)({"type": "http", "path": path, "headers": headers}, None, send)
    return sent[0]["status"]


@pytest.mark.parametrize(
    ("path", "viewer", "status"),
    [
        ("/media/abc.png", "1", 200),
        ("/media/abc.png", "2", 200),
        ("/media/abc.png", "3", 404),
        ("/media/abc.png", "", 404),
        ("/media/open.png", "", 200),
        ("/media/open.png", "1", 404),
        ("/media/unknown.png", "3", 200),
        ("/apps/my-app/media/abc", "3", 404),
        ("/static/js/abc.js", "3", 200),
    ],
)
async def test_media__is_its_viewers(path, viewer, status):
    """A media file is for those viewers whose sessions show it; an unknown one is left to Streamlit."""
    owners = FileOwners()
    owners.add("abc", frozenset({"1"}))
    owners.add("abc", frozenset({"2"}))
    owners.add("open", frozenset({""}))

    assert status == await status_of(path, viewer, owners)


def test_owners__remember_the_newest():
    """The oldest file is forgotten when there are too many."""
    owners = FileOwners(remember_most=2)

    for file_id in ("one", "two", "one", "three"):
        owners.add(file_id, frozenset({"1"}))

    assert [True, False, True] == [bool(owners.of(file_id)) for file_id in ("one", "two", "three")]


async def test_upload__without_a_runtime():
    """Before Streamlit's runtime is there, an upload is its to refuse."""
    assert 200 == await status_of("/_stcore/upload_file/s/f", "1", FileOwners())


@pytest.mark.parametrize(
    ("wanted", "viewer", "resumed"),
    [
        ("s1", {"id": "1", "email": "new@example.com"}, "s1"),
        ("s1", {"id": "2"}, None),
        ("s1", {}, None),
        ("s-anonymous", {}, "s-anonymous"),
        ("s-anonymous", {"id": "1"}, None),
        ("s-unknown", {"id": "1"}, "s-unknown"),
        (None, {"id": "1"}, None),
    ],
)
def test_sessions__resumed_by_their_viewer(wanted, viewer, resumed):
    """Another viewer's session counts as one that is not there; Streamlit says of one that is not."""
    owners = {"s1": {"id": "1"}, "s-anonymous": {}}
    infos = {key: SimpleNamespace(session=SimpleNamespace(_user_info=info)) for key, info in owners.items()}
    runtime = SimpleNamespace(_session_mgr=SimpleNamespace(get_session_info=infos.get))
    connect = resuming_own(
        lambda self, client, user_info, existing_session_id, **options: existing_session_id
    )

    assert resumed == connect(runtime, client=None, user_info=viewer, existing_session_id=wanted)

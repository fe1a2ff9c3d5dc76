"""The little of Streamlit's protocol that the gateway looks at: sessions, and when a rerun starts and ends.

Field numbers are those of `BackMsg.proto`, `ForwardMsg.proto` and `NewSession.proto` in Streamlit 1.57 to
1.67; a contract test compares them with the installed version. The gateway never imports Streamlit.
"""

from __future__ import annotations

from collections.abc import Iterator

SUBPROTOCOL = "streamlit"

RERUN_SCRIPT_FIELD = 11
"""`BackMsg.rerun_script`, a message."""

SCRIPT_FINISHED_FIELD = 6
"""`ForwardMsg.script_finished`, an enum."""

FINISHED_EARLY_FOR_RERUN = 2
"""The value of `script_finished` after which the next run starts at once."""

NEW_SESSION_FIELD, INITIALIZE_FIELD, SESSION_ID_FIELD = 4, 1, 6
"""`ForwardMsg.new_session`, `NewSession.initialize` and `Initialize.session_id`: a message in each other."""

NAVIGATION_FIELD, PAGES_FIELD, CURRENT_PAGE_FIELD = 23, 2, 4
"""`ForwardMsg.navigation`, `Navigation.app_pages` and `Navigation.page_script_hash`."""

PAGE_HASH_FIELD, IS_DEFAULT_FIELD, PAGE_PATH_FIELD = 1, 4, 6
"""`AppPage.page_script_hash`, `AppPage.is_default` and `AppPage.url_pathname`."""

_VARINT, _LENGTH_DELIMITED = 0, 2
_RERUN_SCRIPT_TAG = bytes([RERUN_SCRIPT_FIELD << 3 | _LENGTH_DELIMITED])
_MOST_FIELDS = 16  # looked at in one message, which may be of anybody's making
_LONGEST_NAVIGATION = 1 << 16  # bytes
_LONGEST_FINISHED_MESSAGE = 512  # bytes; in fact a hash and two numbers


def asks_for_rerun(frame: bytes) -> bool:
    """Whether a browser's frame asks for a rerun."""
    return frame.startswith(_RERUN_SCRIPT_TAG)


def ends_rerun(frame: bytes) -> bool:
    """Whether a sidecar's frame says that a run ended and no other follows by itself."""
    if len(frame) > _LONGEST_FINISHED_MESSAGE:
        return False
    position = 0
    while position < len(frame):
        tag, position = _read_varint(frame, position)
        field, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            number, position = _read_varint(frame, position)
            if field == SCRIPT_FINISHED_FIELD:
                return number != FINISHED_EARLY_FOR_RERUN
        elif kind == _LENGTH_DELIMITED:
            length, position = _read_varint(frame, position)
            position += length
        else:
            return False
    return False


def session_id(frame: bytes) -> str:
    """The session that a sidecar's frame says it is of; "" in all but the first frame of a run."""
    for field in (NEW_SESSION_FIELD, INITIALIZE_FIELD, SESSION_ID_FIELD):
        frame = _find_field(frame, field)
    return frame.decode("utf-8", "replace")


def page_path(frame: bytes) -> str | None:
    """The path of the page that a run shows, below its app's; None in all but one frame of a run."""
    if len(frame) > _LONGEST_NAVIGATION:
        return None
    navigation = _find_field(frame, NAVIGATION_FIELD)
    if not navigation:
        return None
    fields = list(_fields(navigation))
    current = next((value for number, value in fields if number == CURRENT_PAGE_FIELD), None)
    for page in (dict(_fields(value)) for number, value in fields if number == PAGES_FIELD):
        if current and page.get(PAGE_HASH_FIELD) == current:
            path = b"" if IS_DEFAULT_FIELD in page else page.get(PAGE_PATH_FIELD, b"")
            return "/" + path.decode("utf-8", "replace")
    return None


def session_to_resume(subprotocols: bytes) -> str:
    """The session that a browser asks for again when it reconnects; "" for a new one.

    It is the third entry of the header's line, after the protocol and the XSRF token (Streamlit 1.67,
    `_parse_subprotocols`).
    """
    entries = subprotocols.split(b",")
    return entries[2].strip().decode("latin-1") if len(entries) > 2 else ""


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message of ours, by number; those that are not length-delimited are empty."""
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        length, position = _read_varint(data, position)
        if tag & 7 == _LENGTH_DELIMITED:
            yield tag >> 3, data[position : position + length]
            position += length
        elif tag & 7 == _VARINT:
            yield tag >> 3, b""
        else:
            return


def _find_field(data: bytes, wanted: int) -> bytes:
    """The length-delimited field of this number among the first; b"" when there is none."""
    position = 0
    for _ in range(_MOST_FIELDS):
        if position >= len(data):
            break
        tag, position = _read_varint(data, position)
        if tag & 7 == _VARINT:
            _, position = _read_varint(data, position)
        elif tag & 7 == _LENGTH_DELIMITED:
            length, position = _read_varint(data, position)
            if tag >> 3 == wanted:
                return data[position : position + length]
            position += length
        else:
            return b""
    return b""


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return number, position

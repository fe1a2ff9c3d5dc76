"""The little of Streamlit's protocol that the gateway looks at: when a rerun starts and ends.

Field numbers are those of `BackMsg.proto` and `ForwardMsg.proto` in Streamlit 1.57 to 1.67; a contract
test compares them with the installed version. The gateway never imports Streamlit.
"""

from __future__ import annotations

SUBPROTOCOL = "streamlit"

RERUN_SCRIPT_FIELD = 11
"""`BackMsg.rerun_script`, a message."""

SCRIPT_FINISHED_FIELD = 6
"""`ForwardMsg.script_finished`, an enum."""

FINISHED_EARLY_FOR_RERUN = 2
"""The value of `script_finished` after which the next run starts at once."""

_VARINT, _LENGTH_DELIMITED = 0, 2
_LONGEST_FINISHED_MESSAGE = 512  # bytes; in fact a hash and two numbers


def asks_for_rerun(frame: bytes) -> bool:
    """Whether a browser's frame asks for a rerun."""
    return frame[:1] == bytes([RERUN_SCRIPT_FIELD << 3 | _LENGTH_DELIMITED])


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

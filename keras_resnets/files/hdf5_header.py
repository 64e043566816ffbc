"""The header of a group or an array in an HDF5 file: a list of messages that describe it."""

import struct

from keras_resnets.files.errors import WeightsFileError
from keras_resnets.files.hdf5_bytes import Hdf5Bytes, broken

HEAD = struct.Struct("<BxHII4x")
MESSAGE = struct.Struct("<HHB3x")
PLACE = struct.Struct("<QQ")

DATASPACE, DATATYPE, LAYOUT, ATTRIBUTE, CONTINUATION, GROUP = 0x01, 0x03, 0x08, 0x0C, 0x10, 0x11
NEEDED = {DATASPACE, DATATYPE, LAYOUT, ATTRIBUTE, CONTINUATION, GROUP}
# An empty place, fill values, a comment, times and a count of links: nothing that is needed.
IGNORED = {0x00, 0x04, 0x05, 0x0D, 0x0E, 0x12, 0x16}
REFUSED = {
    0x02: "has links to elsewhere, or files its links in a newer way than Keras does",
    0x06: "has links to elsewhere, or files its links in a newer way than Keras does",
    0x07: "is stored in another file",
    0x0B: "is not stored in one piece: it is compressed",
}
SHARED = 0x02


def read_header(file: Hdf5Bytes, start: int, path: str) -> dict[int, list[bytes]]:
    """Returns the contents of a header's messages by their type.

    Args:
        file: The file.
        start: Where the header begins.
        path: Name of the object, for errors.

    Raises:
        WeightsFileError: If the header is broken, or has a message that Keras's files have not.
    """
    if file.value(start, 4) == b"OHDR":
        raise WeightsFileError(f"{path!r} is filed in a newer way than Keras does")
    version, count, _, length = file.unpack(HEAD, start)
    if version != 1:
        raise broken(f"the header of {path!r} is none")
    messages: dict[int, list[bytes]] = {}
    pieces = [(start + HEAD.size, length)]
    while pieces:
        for kind, content in _messages(file.table(*pieces.pop()), path):
            count -= 1
            if count < 0:
                raise broken(f"the header of {path!r} has more messages than it says")
            if kind == CONTINUATION:
                pieces.append(fields(PLACE, content, path))
            elif kind not in IGNORED:
                messages.setdefault(kind, []).append(content)
    return messages


def fields(layout: struct.Struct, content: bytes, path: str) -> tuple:
    """Returns the numbers that a message, or a part of it, begins with."""
    if len(content) < layout.size:
        raise broken(f"a message of {path!r} is cut off")
    return layout.unpack_from(content)


def _messages(piece, path):
    """Yields type and content of the messages in a piece of a header."""
    position = 0
    while position + MESSAGE.size <= len(piece):
        kind, length, flags = MESSAGE.unpack_from(piece, position)
        position += MESSAGE.size
        if position + length > len(piece):
            raise broken(f"a message of {path!r} is cut off")
        _check_kind(kind, flags, path)
        yield kind, piece[position : position + length]
        position += length


def _check_kind(kind, flags, path):
    if kind in REFUSED:
        raise WeightsFileError(f"{path!r} {REFUSED[kind]}")
    if kind not in NEEDED | IGNORED:
        raise WeightsFileError(f"{path!r} has a message of type {kind}, which Keras does not write")
    if flags & SHARED and kind in NEEDED:
        raise WeightsFileError(f"{path!r} shares a message with another")

"""An attribute of a group or an array in an HDF5 file that is one text."""

import struct

from keras_resnets.files.errors import WeightsFileError
from keras_resnets.files.hdf5_bytes import Hdf5Bytes, broken
from keras_resnets.files.hdf5_header import ATTRIBUTE, fields

HEAD = struct.Struct("<BBHHH")
TYPE = struct.Struct("<BB2xI")
DATASPACE = struct.Struct("<BBBB")
# How long a text is, and which one it is of the collection that begins there.
REFERENCE = struct.Struct("<IQI")
COLLECTION = struct.Struct("<4sB3xQ")
TEXT = struct.Struct("<HH4xQ")
FIXED_LENGTH, ANY_LENGTH = 3, 9
MOST_BYTES = 1024


class Hdf5Texts:
    """Reads texts, of which many stand in one collection.

    Args:
        file: The file.
    """

    def __init__(self, file: Hdf5Bytes):
        self._file = file
        self._collections: dict[int, dict[int, tuple[int, int]]] = {}

    def read(self, messages: dict[int, list[bytes]], name: str, path: str) -> str | None:
        """Returns an attribute's text; `None` if there is no such attribute, or it is no text.

        Args:
            messages: Those of the object's header.
            name: Name of the attribute.
            path: Name of the object, for errors.

        Raises:
            WeightsFileError: If the attribute is broken, or too long.
        """
        for content in messages.get(ATTRIBUTE, []):
            found, datatype, dataspace, value = _parts(content, path)
            if found.rstrip(b"\0") == name.encode():
                return self._text(datatype, dataspace, value, f"{path}@{name}")
        return None

    def _text(self, datatype, dataspace, value, path):
        version_and_class, bits, length = fields(TYPE, datatype, path)
        kind = version_and_class & 0x0F
        _, rank, _, null = fields(DATASPACE, dataspace, path)
        if rank or null == 2:
            return None
        if kind == FIXED_LENGTH:
            data = value[:length].rstrip(b"\0")
        elif kind == ANY_LENGTH and bits & 0x0F == 1:
            data = self._look_up(fields(REFERENCE, value, path), path)
        else:
            return None
        if len(data) > MOST_BYTES:
            raise WeightsFileError(f"{path!r} is longer than {MOST_BYTES:,} bytes")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise broken(f"{path!r} is not UTF-8") from None

    def _look_up(self, reference, path):
        length, start, number = reference
        if length > MOST_BYTES:
            raise WeightsFileError(f"{path!r} is longer than {MOST_BYTES:,} bytes")
        if length == 0:
            return b""
        if start not in self._collections:
            self._collections[start] = dict(self._collection(start))
        place, size = self._collections[start].get(number, (0, -1))
        if size != length:
            raise broken(f"{path!r} leads to no text of {length} bytes")
        return self._file.value(place, length)

    def _collection(self, start):
        """Yields each text's number, place and length."""
        signature, version, length = self._file.unpack(COLLECTION, start)
        if signature != b"GCOL" or version != 1:
            raise broken("it has no texts where it should")
        place, end = start + COLLECTION.size, start + length
        while place + TEXT.size <= end:
            number, _, size = self._file.unpack(TEXT, place)
            if number == 0:  # the rest is free
                return
            self._file.count_object()
            place += TEXT.size
            yield number, (place, size)
            place += -(-size // 8) * 8


def _parts(content, path):
    """Returns an attribute's name, type, shape and value."""
    version, flags, *lengths = fields(HEAD, content, path)
    if version not in (1, 2, 3) or (version > 1 and flags):
        raise WeightsFileError(f"{path!r} has an attribute that Keras does not write")
    position = HEAD.size + (version == 3)
    parts = []
    for length in lengths:
        parts.append(content[position : position + length])
        position += -(-length // 8) * 8 if version == 1 else length
    return *parts, content[position:]

"""The bytes of an HDF5 file, of which no more are looked at than there are."""

import struct
from typing import BinaryIO

from keras_resnets.files.errors import WeightsFileError

MOST_OBJECTS = 2**16  # ResNet-1202 with Adam's state has some 40,000


class Hdf5Bytes:
    """Reads a file's inner tables, each of which a sound file has in a place of its own.

    So all that are read are together no longer than the file. Tables that lead back to each other,
    or share their bytes, come to an end by that.

    Args:
        file: A file open for reading bytes.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self.size = file.seek(0, 2)
        self._bytes_left = self.size
        self._objects_left = MOST_OBJECTS

    def table(self, start: int, length: int) -> bytes:
        """Returns the bytes of a table, or of a part of one that is read once.

        Raises:
            WeightsFileError: If they are not in the file, or too many have been read.
        """
        self._bytes_left -= length
        if self._bytes_left < 0:
            raise broken("its tables overlap")
        return self.value(start, length)

    def unpack(self, layout: struct.Struct, start: int) -> tuple:
        """Returns the fields of a table."""
        return layout.unpack(self.table(start, layout.size))

    def value(self, start: int, length: int) -> bytes:
        """Returns bytes that tables may share; the caller limits how many, and how often.

        Raises:
            WeightsFileError: If they are not in the file.
        """
        self.check_inside(start, length)
        self._file.seek(start)
        data = self._file.read(length)
        if len(data) != length:
            raise broken("it is cut off")
        return data

    def read_into(self, start: int, buffer: memoryview) -> None:
        """Fills a buffer with the bytes from a place on."""
        self.check_inside(start, len(buffer))
        self._file.seek(start)
        if self._file.readinto(buffer) != len(buffer):  # type: ignore[attr-defined]
            raise broken("it is cut off")

    def check_inside(self, start: int, length: int) -> None:
        """Raises unless so many bytes from a place on are in the file."""
        if start + length > self.size:
            raise broken("it leads beyond its end")

    def count_object(self) -> None:
        """Notes that something is going to be kept in memory, however few bytes tell of it."""
        self._objects_left -= 1
        if self._objects_left < 0:
            raise WeightsFileError(f"it holds more than {MOST_OBJECTS:,} groups, arrays and texts")


def broken(reason: str) -> WeightsFileError:
    """Returns the error of a file that is not as the format prescribes."""
    return WeightsFileError(f"it is no sound HDF5 file ({reason})")

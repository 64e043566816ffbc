"""An array in an HDF5 file: its type, its shape, and where its values are."""

import math
import struct
from dataclasses import dataclass

import numpy as np

from keras_resnets.files.elements import MOST_DIMENSIONS, check_shape
from keras_resnets.files.errors import WeightsFileError
from keras_resnets.files.hdf5_bytes import Hdf5Bytes, broken
from keras_resnets.files.hdf5_header import DATASPACE, DATATYPE, LAYOUT, PLACE, fields

TYPE = struct.Struct("<B3sI")
INTEGER = struct.Struct("<HH")
FLOAT = struct.Struct("<HHBBBBI")
NOWHERE = 2**64 - 1

COMPACT, CONTIGUOUS = 0, 1
FIXED, FLOATING, OPAQUE, ENUMERATION = 0, 1, 5, 8
# Offset and number of bits; place and size of the exponent, then of the mantissa; the bias.
FLOATS = {
    (0, 16, 10, 5, 0, 10, 15): "float16",
    (0, 32, 23, 8, 0, 23, 127): "float32",
    (0, 64, 52, 11, 0, 52, 1023): "float64",
}
INTEGER_SIZES = (1, 2, 4, 8)
# Names of eight bytes each, then the values, as h5py writes NumPy's booleans.
BOOLEANS = b"FALSE\0\0\0TRUE\0\0\0\0\0\1"


@dataclass(frozen=True)
class Stored:
    """What the header says of an array.

    Args:
        shape: Its shape.
        type_name: NumPy's name of its type; "opaque" of values of two bytes without a meaning.
        byte_order: "little" or "big".
        start: Where its values begin; `None` if they are in `inline`, or there are none.
        inline: The values, if they stand in the header.
    """

    shape: tuple[int, ...]
    type_name: str
    byte_order: str
    start: int | None
    inline: bytes

    @property
    def size(self) -> int:
        """The bytes of all values."""
        itemsize = 2 if self.type_name == "opaque" else np.dtype(self.type_name).itemsize
        return math.prod(self.shape) * itemsize


def describe_array(file: Hdf5Bytes, messages: dict[int, list[bytes]], path: str) -> Stored:
    """Returns what a header says of an array, after checking that its values are in the file.

    Args:
        file: The file.
        messages: Those of the array's header.
        path: Its name, for errors.

    Raises:
        WeightsFileError: If it does not hold numbers, or its values are not in the file once and
            in one piece.
    """
    layout, dataspace, datatype = (
        _only(messages, kind, path) for kind in (LAYOUT, DATASPACE, DATATYPE)
    )
    start, length, inline = _read_layout(layout, path)
    shape = _read_shape(dataspace, path)
    type_name, byte_order = _read_type(datatype, path)
    stored = Stored(shape, type_name, byte_order, start, inline)
    if 0 not in shape and start is None and not inline:
        raise WeightsFileError(f"{path!r} declares the shape {shape} without its data")
    check_shape(shape)
    if 0 not in shape and length != stored.size:
        raise broken(f"{path!r} of the shape {shape} has {length:,} bytes")
    if start is not None:
        file.check_inside(start, stored.size)
    return stored


def _only(messages, kind, path):
    found = messages.get(kind, [])
    if len(found) != 1:
        raise broken(f"the header of {path!r} is not that of an array")
    return found[0]


def _read_layout(content, path):
    """Returns where the values begin, how many bytes they are, and those in the header itself."""
    version, kind = fields(struct.Struct("<BB"), content, path)
    if version != 3 or kind not in (COMPACT, CONTIGUOUS):
        raise WeightsFileError(
            f"{path!r} is not stored in one piece: it is chunked, compressed or virtual"
        )
    if kind == CONTIGUOUS:
        start, length = fields(PLACE, content[2:], path)
        return None if start == NOWHERE else start, length, b""
    (length,) = fields(struct.Struct("<H"), content[2:], path)
    return None, length, content[4 : 4 + length]


def _read_shape(content, path):
    version, rank, _, kind = fields(struct.Struct("<BBBB"), content, path)
    if version not in (1, 2):
        raise broken(f"{path!r} has a shape of version {version}")
    if version == 2 and kind == 2:
        raise WeightsFileError(f"{path!r} has no shape")
    if rank > MOST_DIMENSIONS:
        raise broken(f"{path!r} has {rank} dimensions")
    return fields(struct.Struct(f"<{rank}Q"), content[8 if version == 1 else 4 :], path)


def _read_type(content, path):
    """Returns the type's name and byte order; a reference, a text or a structure is refused."""
    version_and_class, bits, size = fields(TYPE, content, path)
    kind, details = version_and_class & 0x0F, content[TYPE.size :]
    name = None
    if kind == FIXED and size in INTEGER_SIZES:
        if fields(INTEGER, details, path) == (0, 8 * size) and bits[0] & ~0x09 == 0:
            name = f"{'int' if bits[0] & 0x08 else 'uint'}{8 * size}"
    elif kind == FLOATING and bits[0] & ~0x01 == 0x20 and bits[1] == 8 * size - 1:
        name = FLOATS.get(fields(FLOAT, details, path))
    elif kind == ENUMERATION and size == 1 and _is_boolean(bits, details, path):
        name = "bool"
    elif kind == OPAQUE and size == 2:
        name = "opaque"
    if name is None:
        raise WeightsFileError(f"{path!r} does not hold numbers")
    return name, "big" if kind in (FIXED, FLOATING) and bits[0] & 0x01 else "little"


def _is_boolean(bits, details, path):
    of_base, _, size = fields(TYPE, details, path)
    names = details[TYPE.size + INTEGER.size :]
    return bits[0] == 2 and of_base & 0x0F == FIXED and size == 1 and names.startswith(BOOLEANS)

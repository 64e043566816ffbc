"""Types and shapes of the arrays in a file, and reading a run of numbers into an array."""

import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_resnets.files.errors import WeightsFileError

CHUNK = 2**20
MOST_DIMENSIONS = 32
MOST_ELEMENTS = 2**48


class ElementType(NamedTuple):
    """NumPy's name of a type; of bfloat16, which becomes float32, that of its bits' type."""

    stored: str
    widened: bool = False

    @property
    def itemsize(self) -> int:
        """The bytes of an element in the file."""
        return np.dtype(self.stored).itemsize

    @property
    def loaded(self) -> np.dtype:
        """The type of an element in memory."""
        return np.dtype("float32" if self.widened else self.stored)


BFLOAT16 = ElementType("uint16", widened=True)


def check_shape(shape: Sequence[int]) -> None:
    """Raises if NumPy could make no array of this shape.

    A size of 0 hides how large the others are from a check of bytes, but not from NumPy.
    """
    if len(shape) > MOST_DIMENSIONS:
        raise WeightsFileError(
            f"A tensor must have at most {MOST_DIMENSIONS} dimensions; one has {len(shape)}."
        )
    if math.prod(size for size in shape if size) >= MOST_ELEMENTS:
        raise WeightsFileError(
            f"A tensor must have fewer than {MOST_ELEMENTS:,} elements; one has the shape "
            f"{tuple(shape)}."
        )


def read_elements(
    stream, element_type: ElementType, count: int, byte_order: str = "little"
) -> np.ndarray:
    """Returns the next elements of a stream as a flat array, in this machine's byte order.

    That the file is that long must have been checked: so much memory is allocated at once.
    """
    stored = np.dtype(element_type.stored)
    if byte_order != sys.byteorder:
        stored = stored.newbyteorder()
    # Chunks: `zipfile` copies what it reads, and bfloat16 is read into a buffer of its own.
    elements = np.empty(count, np.uint32 if element_type.widened else stored)
    for start in range(0, count, CHUNK):
        chunk = elements[start : start + CHUNK]
        halves = np.empty(len(chunk), stored) if element_type.widened else chunk
        buffer = halves.view(np.uint8).data
        done = 0
        while done < len(buffer):
            read = stream.readinto(buffer[done:])
            if not read:
                raise WeightsFileError("The file ends within a tensor.")
            done += read
        if element_type.widened:
            np.left_shift(halves, 16, out=chunk, dtype=np.uint32)
    if stored == np.bool_ and elements.view(np.uint8).max(initial=0) > 1:
        raise WeightsFileError("A tensor of booleans must hold zeros and ones.")
    if element_type.widened:
        return elements.view(np.float32)
    return elements.astype(element_type.loaded, copy=False)

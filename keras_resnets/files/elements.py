"""Reading a run of numbers from a file into an array, and the shapes that a file may ask for."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnets.files.errors import WeightsFileError

CHUNK = 2**20


@dataclass(frozen=True)
class ElementType:
    """The type of numbers in a file.

    Args:
        stored: NumPy's name for it; of bfloat16, which NumPy has not, the name of its bits' type.
        widened: Whether it is bfloat16, the upper half of a float32: it becomes one.
    """

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


def read_elements(
    read_into: Callable[[memoryview], None],
    element_type: ElementType,
    count: int,
    byte_order: str = "little",
) -> np.ndarray:
    """Returns so many elements as a flat array, in the byte order of this machine.

    Args:
        read_into: Fills a buffer with the next bytes, or raises.
        element_type: The type of the elements.
        count: Their number. That the file is that long must have been checked: so much memory is
            allocated at once.
        byte_order: That of the file, "little" or "big".

    Raises:
        WeightsFileError: If a boolean is neither 0 nor 1; NumPy would take it for both.
    """
    stored = np.dtype(element_type.stored)
    if byte_order != sys.byteorder:
        stored = stored.newbyteorder()
    if element_type.widened:
        return _read_widened(read_into, stored, count)
    elements = np.empty(count, stored)
    read_into(_bytes_of(elements))
    if stored == np.bool_ and elements.view(np.uint8).max(initial=0) > 1:
        raise WeightsFileError("A tensor of booleans must hold zeros and ones.")
    return elements.astype(element_type.loaded, copy=False)


def _read_widened(read_into, stored, count):
    """Reads in chunks: a large array once as it is and once widened would be too much memory."""
    elements = np.empty(count, np.uint32)
    for start in range(0, count, CHUNK):
        halves = np.empty(min(CHUNK, count - start), stored)
        read_into(_bytes_of(halves))
        np.left_shift(halves, 16, out=elements[start : start + CHUNK], dtype=np.uint32)
    return elements.view(np.float32)


def _bytes_of(array):
    return memoryview(array.view(np.uint8))


MOST_DIMENSIONS = 32
MOST_ELEMENTS = 2**48


def check_shape(shape: Sequence[int]) -> None:
    """Raises if no array that NumPy could make has this shape, with or without elements.

    Args:
        shape: Sizes along the dimensions, each at least 0. A size of 0 hides how large the others
            are from a check of bytes, but not from NumPy.

    Raises:
        WeightsFileError: If there are too many dimensions, or they are too large.
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

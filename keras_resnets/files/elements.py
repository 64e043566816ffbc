"""What all readers share: their error, and the types, shapes and values of arrays."""

import math
import os
import sys
from collections.abc import Sequence

import ml_dtypes  # noqa: F401  NumPy then knows "bfloat16"
import numpy as np

from keras_resnets.arguments import printable

SHOWN_LETTERS = 80
CHUNK = 2**20
MOST_DIMENSIONS = 32
MOST_ELEMENTS = 2**48


class WeightsFileError(ValueError):
    """A file that cannot, or must not, be read as weights.

    Args:
        reason: What is wrong with the file, in whole sentences.
        path: Path of the file; `None` until a reader that knows it adds it.

    Attributes:
        reason: As given.
        path: As given.
    """

    def __init__(self, reason: str, path: str | os.PathLike | None = None):
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        if self.path is None:
            return self.reason
        return f"{self.reason} Received: path={os.fspath(self.path)!r}"


def require(holds: bool, reason: str) -> None:
    """Raises the error of all readers unless a rule holds."""
    if not holds:
        raise WeightsFileError(reason)


def shown(value: str) -> str:
    """Quotes a text out of a file for a message: no control characters, and cut when long."""
    if len(value) > SHOWN_LETTERS:
        return f"{value[:SHOWN_LETTERS]!r}…"
    return repr(value)


def cause(error: object) -> str:
    """Returns another library's error for the parentheses of ours: printable, without a period."""
    return printable(str(error)).rstrip(".")


def check_shape(shape: Sequence[int]) -> None:
    """Raises if NumPy cannot make an array of this shape, even an empty one."""
    require(
        len(shape) <= MOST_DIMENSIONS,
        f"A tensor must have at most {MOST_DIMENSIONS} dimensions; one has {len(shape)}.",
    )
    require(
        math.prod(size for size in shape if size) < MOST_ELEMENTS,
        f"A tensor must have fewer than {MOST_ELEMENTS:,} elements; one has the shape {shape}.",
    )


def loaded_type(stored: str) -> np.dtype:
    """Returns the type in memory of elements that a file stores as this type."""
    return np.dtype("float32" if stored == "bfloat16" else stored)


def read_elements(stream, stored: str, count: int, byte_order: str = "little") -> np.ndarray:
    """Returns the next elements of a stream, which must have them, in this machine's byte order."""
    elements = np.empty(count, loaded_type(stored))
    chunk = np.empty(min(count, CHUNK), stored)
    for start in range(0, count, CHUNK):
        part = chunk[: count - start]
        fill(stream, part)
        if byte_order != sys.byteorder:
            part.byteswap(inplace=True)
        elements[start : start + CHUNK] = part
    return elements


def fill(stream, array: np.ndarray) -> None:
    """Reads the bytes of a flat array from a stream."""
    content = array.view(np.uint8)
    done = 0
    while done < content.size:
        read = stream.readinto(content.data[done:])
        require(read > 0, "The file ends within a tensor.")
        done += read
    is_boolean = array.dtype == np.bool_
    require(
        not is_boolean or content.max(initial=0) <= 1,
        "A tensor of booleans must hold zeros and ones.",
    )

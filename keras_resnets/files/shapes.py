"""Shapes that a file may ask for."""

import math
from collections.abc import Sequence

from keras_resnets.files.errors import WeightsFileError

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

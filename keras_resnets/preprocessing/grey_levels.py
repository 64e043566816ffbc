"""Whether an array holds grey levels, and not what was made of them before."""

import keras
import numpy as np

from keras_resnets.preprocessing.values import is_foreign


def check_grey_levels(name, x):
    """Raises if `x` does not hold grey levels 0 to 255.

    A tensor is looked into as well, on any backend, unless it belongs to a graph that has not run
    and so has no values yet.

    Args:
        name: What `x` is called in the errors.
        x: An array or tensor.

    Raises:
        ValueError: If it does not hold numbers, holds a value outside of 0 to 255, or only
            fractions from 0 to 1, as an image that was scaled.
    """
    x = _values(x)
    if x is None or not x.size or x.dtype == np.uint8:
        return
    if x.dtype.kind not in "iuf":
        raise ValueError(f"`{name}` must hold numbers. Received: an array of {x.dtype}")
    low, high = x.min(), x.max()
    if not (low >= 0 and high <= 255):  # so that NaN is refused too
        raise ValueError(
            f"`{name}` must hold grey levels 0 to 255; these values were normalized before. "
            f"Received: values from {low} to {high}"
        )
    if x.dtype.kind == "f" and 0 < high <= 1 and np.any(x % 1):
        raise ValueError(
            f"`{name}` must hold grey levels 0 to 255; these values were scaled to 0 to 1 before. "
            f"Received: values from {low} to {high}"
        )


def _values(x):
    """Returns the values as an array that NumPy computes with; `None` if there are none yet."""
    if is_foreign(x):
        return None
    if not keras.ops.is_tensor(x):
        return None if keras.backend.is_keras_tensor(x) else np.asarray(x)
    if keras.backend.standardize_dtype(x.dtype) == "bfloat16":
        x = keras.ops.cast(x, "float32")
    try:
        return keras.ops.convert_to_numpy(x)
    except (NotImplementedError, TypeError):  # TensorFlow's and JAX's, within a function's graph
        return None

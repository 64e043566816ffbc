"""The arithmetic of a preprocessing: from grey levels to what a model reads."""

import sys
from types import SimpleNamespace

import keras
import numpy as np


def normalize(x, preprocessing, axis):
    """Maps 0 to 255 to the value range, orders the channels, and normalizes them.

    Args:
        x: A float array or tensor of RGB images.
        preprocessing: A `Preprocessing`.
        axis: Index of the channels' axis.

    Returns:
        A new array or tensor of the same kind; `x` is left as it is.

    Raises:
        ValueError: If the number of channels is not that of the mean.
    """
    channels = x.shape[axis]
    axis %= len(x.shape)
    low, high = preprocessing.value_range
    x = x * ((high - low) / 255.0) + low
    if preprocessing.channel_order == "bgr":
        if channels != 3:
            raise ValueError(
                f"`channel_order='bgr'` needs images of three channels. Received: {channels}"
            )
        x = (
            x[(slice(None),) * axis + (slice(None, None, -1),)]
            if isinstance(x, np.ndarray)
            else operations(x).flip(x, axis)
        )
    mean = _per_channel("mean", preprocessing.mean, channels, axis, len(x.shape))
    std = _per_channel("std", preprocessing.std, channels, axis, len(x.shape))
    if not isinstance(x, np.ndarray):  # a torch tensor takes no NumPy array beside it
        convert = operations(x).convert_to_tensor
        mean, std = convert(mean), convert(std)
    return (x - mean) / std


def _per_channel(name, values, channels, axis, rank):
    if len(values) not in (1, channels):
        raise ValueError(
            f"Images must have as many channels as `{name}` has numbers, {len(values)}. "
            f"Received: {channels} channels"
        )
    shape = [1] * rank
    shape[axis] = len(values)
    return np.asarray(values, "float32").reshape(shape)


def is_foreign(x):
    """Whether `x` is of a TensorFlow graph, as in `tf.data`, while Keras has another backend."""
    if keras.backend.backend() == "tensorflow" or "tensorflow" not in sys.modules:
        return False
    import tensorflow as tf

    return tf.is_symbolic_tensor(x)


def operations(x):
    """Returns `keras.ops`; TensorFlow's operations of these names for a foreign tensor."""
    if not is_foreign(x):
        return keras.ops
    import tensorflow as tf

    return SimpleNamespace(
        cast=tf.cast,
        clip=tf.clip_by_value,
        convert_to_tensor=tf.convert_to_tensor,
        flip=lambda x, axis: tf.reverse(x, [axis]),
        minimum=tf.minimum,
        round=tf.round,
        shape=lambda x: [
            tf.shape(x)[axis] if size is None else size for axis, size in enumerate(x.shape)
        ],
    )

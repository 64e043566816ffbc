"""The arithmetic of a preprocessing: from grey levels to what a model reads."""

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
            else (keras.ops.flip(x, axis))
        )
    mean = _per_channel("mean", preprocessing.mean, channels, axis, len(x.shape))
    std = _per_channel("std", preprocessing.std, channels, axis, len(x.shape))
    if not isinstance(x, np.ndarray):  # a torch tensor takes no NumPy array beside it
        mean, std = keras.ops.convert_to_tensor(mean), keras.ops.convert_to_tensor(std)
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

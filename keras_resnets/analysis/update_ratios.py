"""How far training moves each weight."""

import keras
import numpy as np

from keras_resnets.analysis.trainable_paths import trainable_paths


def snapshot(model):
    """Returns a copy of a model's trainable weights, for `update_ratios`.

    Args:
        model: A built `keras.Model`.

    Returns:
        `{path: array}` from the input on, with paths such as `"stage1_block1/conv1/conv/kernel"`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built, or has several weights of one path.

    Example:

    >>> weights = keras_resnets.analysis.snapshot(keras_resnets.ResNet20())
    >>> weights["stem_conv/conv/kernel"].shape
    (3, 3, 3, 16)
    """
    return {
        path: np.array(keras.ops.convert_to_numpy(weight.value))
        for path, weight in zip(trainable_paths(model), model.trainable_weights, strict=True)
    }


def update_ratios(before, after):
    """Compares two snapshots: ‖after − before‖ / ‖before‖ for each weight.

    It answers whether the layers that a shortcut passes by are trained. Between two steps it is
    the size of one update; over an epoch, the distance travelled.

    Args:
        before: What `snapshot` gave.
        after: What it gave for the same model later.

    Returns:
        `{path: ratio}` from the input on; `None` for a weight that was all zeros, as β is at first.

    Raises:
        TypeError: If one is not a dictionary of NumPy arrays of numbers.
        ValueError: If the snapshots are of different weights.

    Example:

    >>> before = {"kernel": np.array([3.0, 4.0])}
    >>> keras_resnets.analysis.update_ratios(before, {"kernel": np.array([3.0, 5.0])})
    {'kernel': 0.2}
    """
    _check_snapshot("before", before)
    _check_snapshot("after", after)
    _check_same_weights(before, after)
    ratios = {}
    for path, old in before.items():
        size = np.linalg.norm(old.astype("float64"))
        change = np.linalg.norm(after[path].astype("float64") - old)
        ratios[path] = float(change / size) if size else None
    return ratios


def _check_snapshot(name, snapshot):
    form = f"`{name}` must be what `snapshot` gave: a dictionary of NumPy arrays of numbers."
    if not isinstance(snapshot, dict):
        raise TypeError(f"{form} Received: {name}={snapshot!r}")
    for path, value in snapshot.items():
        # Kinds of text, bytes, dates and objects; Keras's 16-bit types are of kind V.
        if not isinstance(value, np.ndarray) or value.dtype.kind in "USMmO":
            raise TypeError(f"{form} Received: {path!r} with {value!r}")


def _check_same_weights(before, after):
    for path in dict.fromkeys([*before, *after]):
        shapes = [
            weights[path].shape if path in weights else "absent" for weights in (before, after)
        ]
        if shapes[0] != shapes[1]:
            raise ValueError(
                "`before` and `after` must be snapshots of the same weights. "
                f"Received: {path!r} with the shapes {shapes[0]} and {shapes[1]}"
            )

"""What is recorded of a network while it is trained in a study."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_resnets.analysis import gradient_norms, snapshot, update_ratios

EXAMPLES = 256


def observer(
    model: keras.Model, images: np.ndarray, labels: np.ndarray
) -> Callable[[], dict[str, Any]]:
    """Returns a function that says where the network is; a run calls it at every evaluation.

    Args:
        model: The network to be trained, from normalized images to logits, as it begins.
        images: Training images as the network takes them, without augmentation.
        labels: Their classes.

    Returns:
        A function without arguments. It returns

        - `"gradient_norms"`: that of the mean cross-entropy of the images, for each kernel;
        - `"distance"`: ‖w − w₀‖ / ‖w₀‖ for each kernel, from the initial weights w₀ on.
    """
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    initial = snapshot(model)
    data = images[:EXAMPLES], labels[:EXAMPLES]

    def observe():
        return {
            "gradient_norms": _kernels(gradient_norms(model, data, loss)),
            "distance": _kernels(update_ratios(initial, snapshot(model))),
        }

    return observe


def _kernels(by_path):
    return {
        path: float(f"{value:.6g}")
        for path, value in by_path.items()
        if path.endswith("kernel") and value is not None
    }

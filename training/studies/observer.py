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
    """Returns a function that says where the network is; a run calls it at every evaluation."""
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

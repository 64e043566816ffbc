"""What only some backends can do: markers that skip a test elsewhere, and say why."""

import keras
import pytest

BACKEND = keras.backend.backend()


def can_run_channels_first():
    """Whether channels-first convolutions run here in every type: TensorFlow's need a GPU."""
    if BACKEND != "tensorflow":
        return True
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


requires_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="needs TensorFlow")
requires_float64 = pytest.mark.skipif(BACKEND == "jax", reason="JAX computes in 32 bits")
requires_channels_first = pytest.mark.skipif(
    not can_run_channels_first(), reason="TensorFlow convolves channels last only, without a GPU"
)

"""What only some backends can do: markers that skip a test elsewhere, and say why."""

import functools
import os

import keras
import pytest

BACKEND = keras.backend.backend()


def can_run_channels_first():
    """Whether channels-first convolutions run here in every type: TensorFlow's need a GPU."""
    if BACKEND != "tensorflow":
        return True
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


@functools.cache
def can_compute_in_16_bits():
    """Whether 16-bit kernels run: TensorFlow chooses them by the processor alone.

    Where ONEDNN_MAX_CPU_ISA then forbids the instructions, convolutions fail and matrix products
    crash the process.
    """
    if BACKEND != "tensorflow" or "ONEDNN_MAX_CPU_ISA" not in os.environ:
        return True
    import tensorflow as tf

    try:
        for dtype in ("bfloat16", "float16"):
            tf.nn.conv2d(tf.ones((1, 4, 4, 8), dtype), tf.ones((3, 3, 8, 8), dtype), 1, "SAME")
    except tf.errors.AbortedError:
        return False
    return True


def skip_without_16_bits():
    if not can_compute_in_16_bits():
        pytest.skip("ONEDNN_MAX_CPU_ISA leaves TensorFlow no 16-bit kernels on this processor")


requires_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="needs TensorFlow")
requires_float64 = pytest.mark.skipif(BACKEND == "jax", reason="JAX computes in 32 bits")
requires_channels_first = pytest.mark.skipif(
    not can_run_channels_first(), reason="TensorFlow convolves channels last only, without a GPU"
)

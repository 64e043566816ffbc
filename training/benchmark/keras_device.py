"""The device that Keras's backend computes on, and the memory that was in use on it."""

import keras

from training.benchmark.job import process_peak_bytes


def device_name() -> str:
    """Returns the accelerator's name, or `"CPU"`."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            gpus = tf.config.list_physical_devices("GPU")
            if not gpus:
                return "CPU"
            return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
        case "jax":
            import jax

            device = jax.devices()[0]
            return "CPU" if device.platform == "cpu" else device.device_kind
        case _:
            import torch

            return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def peak_bytes() -> int:
    """Returns the most memory that was in use: an accelerator's, or this process's."""
    if device_name() == "CPU":
        return process_peak_bytes()
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return tf.config.experimental.get_memory_info("GPU:0")["peak"]
        case "jax":
            import jax

            return jax.devices()[0].memory_stats()["peak_bytes_in_use"]
        case _:
            import torch

            return torch.cuda.max_memory_allocated()


def backend_versions() -> dict[str, str]:
    """Returns the versions of Keras and of its backend."""
    name = keras.backend.backend()
    return {name: __import__(name).__version__, "keras": keras.__version__}

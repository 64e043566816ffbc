"""The machine's rate: one large matrix product, by the backend's own kernel."""

import keras
import numpy as np

from training.benchmark.job import Job, Setting
from training.benchmark.keras_device import backend_versions, device_name, peak_bytes


def make_job(setting: Setting) -> Job:
    """Returns products of two square matrices.

    Options: `side`, the number of rows; by default what keeps a CPU or a GPU busy.
    """
    side = setting.options.get("side") or (1536 if device_name() == "CPU" else 8192)
    values = np.random.default_rng(0).standard_normal((2, side, side), dtype=np.float32)
    a, b = (keras.ops.cast(keras.ops.convert_to_tensor(each), setting.precision) for each in values)

    def take(times):
        for _ in range(times):
            product = keras.ops.matmul(a, b)
        return float(keras.ops.convert_to_numpy(keras.ops.cast(product[0, 0], "float32")))

    facts = {
        "operations": 2 * side**3,
        "device": device_name(),
        "versions": backend_versions(),
    }
    return Job(take, facts, peak_bytes=peak_bytes)

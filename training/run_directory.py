"""A run's folder: what was to be done, with what, and what came of it."""

import json
import os
import platform
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_resnets
from training.whole_file import written_whole

# Environment variables that change which kernels run, or on how many threads.
FLAGS = (
    "CUBLAS_WORKSPACE_CONFIG",
    "DNNL_MAX_CPU_ISA",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "TF_CUDNN_USE_AUTOTUNE",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)


def describe_environment(strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """Returns versions, devices, thread counts and flags, all of which can change the bits."""
    return {
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "keras_resnets": keras_resnets.__version__,
        },
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": _cores(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "gpus": [_gpu_name(device) for device in tf.config.list_physical_devices("GPU")],
        "strategy": type(strategy).__name__,
        "replicas": strategy.num_replicas_in_sync,
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "image_data_format": keras.config.image_data_format(),
        "floatx": keras.config.floatx(),
        "tensor_float_32": tf.config.experimental.tensor_float_32_execution_enabled(),
        "flags": {name: os.environ.get(name, "") for name in FLAGS},
    }


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Returns a line for each entry, also a nested one, in which two environments differ."""
    lines = []
    for name in sorted({*old, *new}):
        was, now = old.get(name), new.get(name)
        if isinstance(was, dict) and isinstance(now, dict):
            lines += differences(was, now, f"{prefix}{name}.")
        elif was != now:
            lines.append(f"{prefix}{name}: {was!r} before, {now!r} now")
    return lines


def write_json(path: Path, value: Any) -> None:
    """Writes JSON, so that the file is there whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text, so that the file is there whole or not at all."""
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


class MetricsFile:
    """`metrics.jsonl`: one JSON object a line, each with the number of steps done.

    Args:
        path: The file; made if missing.
        evaluated: Number of steps done when the test split was last measured. Lines of later
            steps, which a killed run wrote and this one writes again, are taken out; so are those
            that are no such objects.
    """

    def __init__(self, path: Path, evaluated: int):
        self._path = path
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        entries = filter(None, map(_parsed, text.splitlines()))
        self.entries = [entry for entry in entries if entry["step"] <= evaluated]
        write_text(path, "".join(json.dumps(entry) + "\n" for entry in self.entries))

    def append(self, entry: dict[str, Any]) -> None:
        """Adds a line and brings it to the disk.

        Raises:
            OSError: If it cannot be written. Part of the line may stand there; it is taken out when
                the file is opened anew.
        """
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(
                error.errno,
                f"{self._path.name} could not be written: {error.strerror}",
                str(self._path),
            ) from error
        self.entries.append(entry)


def _parsed(line):
    """Returns a line's object, or `None` for one that a kill or something else has damaged."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    is_entry = isinstance(entry, dict) and type(entry.get("step")) is int
    return entry if is_entry else None


def _processor():
    """Returns the processor's name: oneDNN chooses its kernels by the model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _cores():
    """Returns how many cores this process may use, by which TensorFlow sizes its thread pools."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _gpu_name(device):
    return tf.config.experimental.get_device_details(device).get("device_name", device.name)

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

# What, beside the recipe, decides on the bits of a run.
BITS = ("versions", "devices", "intra_op_threads", "inter_op_threads", "flags")


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
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "strategy": type(strategy).__name__,
        "replicas": strategy.num_replicas_in_sync,
        "cores": os.cpu_count(),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "flags": {
            name: os.environ.get(name, "")
            for name in ("TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS", "TF_CUDNN_USE_AUTOTUNE")
        },
        "machine": platform.machine(),
        "system": platform.system(),
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
    """Writes JSON beside its place and renames it."""
    beside = path.with_name(f"{path.name}.writing")
    beside.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)


class MetricsFile:
    """`metrics.jsonl`: one JSON object a line, each with the number of steps done.

    Args:
        path: The file; made if missing.
        step: Number of steps done. Lines of later steps, which a killed run wrote and this one
            writes again, are taken out.
    """

    def __init__(self, path: Path, step: int):
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.entries = [entry for entry in map(_parsed, lines) if entry and entry["step"] <= step]
        beside = path.with_name(f"{path.name}.writing")
        text = "".join(json.dumps(entry) + "\n" for entry in self.entries)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)

    def append(self, entry: dict[str, Any]) -> None:
        """Adds a line and brings it to the file at once."""
        self.entries.append(entry)
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _parsed(line):
    """Returns a line's object, or `None` for one that a kill left half written."""
    try:
        return json.loads(line)
    except ValueError:
        return None

"""A run's folder: its files, its lock, and how they are written and read."""

import contextlib
import fcntl
import json
import math
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_resnets
from training.data.decoding import ACCURATE
from training.process import Diverged
from training.recipe.files import RECIPE_FILE, recipe_to_toml
from training.recipe.recipe import Recipe


class RunFolder:
    """The files of a run, and the lock that keeps other processes from writing them."""

    def __init__(self, path: Path):
        if path.exists() and not path.is_dir():
            raise ValueError(f"`run_dir` must be a folder. Received: run_dir={str(path)!r}")
        self.path = path
        self.recipe_file = path / RECIPE_FILE
        self.environment_file = path / "environment.json"
        self.metrics_file = path / "metrics.jsonl"
        self.result_file = path / "result.json"
        self.model_file = path / "model.keras"
        self.curves_file = path / "curves.png"
        self.checkpoints = path / "checkpoints"
        if os.path.lexists(self.checkpoints) and not self.checkpoints.is_dir():
            raise ValueError(
                "`run_dir` must have its checkpoints in a folder: move the file in that place. "
                f"Received: {str(self.checkpoints)!r}, which is no folder"
            )
        self.events = path / "tensorboard"
        self.lock_file = path / "run.lock"
        self.metrics: list[dict[str, Any]] = []  # the lines of its file, after `open_metrics`
        self._lock: Any = None  # the open lock file

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the folder, which is made if it is missing, for this process.

        The lock is the kernel's (`flock`) and ends with the process. The file that is left behind
        names the process and locks nothing. It is removed if nothing else was written.
        """
        is_new = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.lock_file, "a+", encoding="utf-8") as self._lock:
            is_free = False
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_free = self._is_held()  # not a file that was just removed
            if not is_free:
                self._lock.seek(0)
                holder = self._lock.read().strip() or "another"
                raise ValueError(
                    "`run_dir` must not be in use by another process. "
                    f"Received: run_dir={str(self.path)!r}, in use by {holder}"
                )
            with contextlib.suppress(OSError):  # on a full disk the lock holds without a name
                os.truncate(self._lock.fileno(), 0)
                name = f"process {os.getpid()} on {platform.node()}\n"
                os.write(self._lock.fileno(), name.encode())
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # another process may have begun
                    if self._is_held() and [*self.path.iterdir()] == [self.lock_file]:
                        self.lock_file.unlink()
                        if is_new:
                            self.path.rmdir()

    def _is_held(self):
        """Returns whether the locked file is still the one in the folder."""
        return self.lock_file.exists() and os.path.samestat(
            os.fstat(self._lock.fileno()), self.lock_file.stat()
        )

    def check(self) -> None:
        """Raises if the locked folder was deleted, moved or replaced."""
        if not self._is_held():
            raise FileNotFoundError(
                f"The run's folder must stay where it is, with its {self.lock_file.name}, until "
                "the run ends. It was deleted, moved or replaced, so nothing more is written. The "
                "same command resumes from the folder's last checkpoint, or starts a new run. "
                f"Received: run_dir={str(self.path)!r}"
            )

    @contextlib.contextmanager
    def writing(self, file: Path) -> Iterator[Path]:
        """Does the same as `written_whole` in the folder, if it is still there."""
        self.check()
        with written_whole(file) as path:
            yield path

    def write_json(self, file: Path, value: Any) -> None:
        """Writes one of the folder's JSON files."""
        self.check()
        write_json(file, value)

    def write_recipe(self, recipe: Recipe) -> None:
        """Writes the recipe that the run is by."""
        self.check()
        write_text(self.recipe_file, recipe_to_toml(recipe))

    def open_metrics(self, evaluated: int) -> None:
        """Reads the metrics up to the evaluation at a step, and removes later ones."""
        file = self.metrics_file
        self.metrics = read_metrics(file, evaluated) if file.exists() else []
        last = self.metrics[-1]["step"] if self.metrics else 0
        if last != evaluated:
            raise ValueError(
                f"{file.name} must hold all evaluations up to step {evaluated}: restore the file, "
                "or delete the run's folder to start a new run. "
                f"Received: {str(file)!r}, whose last one is of step {last}"
            )
        self.check()
        write_text(file, "".join(map(_json_line, self.metrics)))

    def append_metrics(self, entry: dict[str, Any]) -> None:
        """Adds a line to the metrics and brings it to the disk."""
        self.check()
        with (
            _named_errors(self.metrics_file),
            open(self.metrics_file, "a", encoding="utf-8") as file,
        ):
            file.write(_json_line(entry))
            file.flush()
            os.fsync(file.fileno())
        self.metrics.append(entry)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields a path beside a file's; what is written there replaces the file if nothing fails."""
    beside = path.with_name(f"writing.{path.name}")
    try:
        with _named_errors(path):
            yield beside
            with open(beside, "rb") as file:
                os.fsync(file.fileno())
            beside.replace(path)
            folder_to_disk(path.parent)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _named_errors(path):
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"{path.name} could not be written: {reason}"
        raise OSError(error.errno, message, str(path)) from error


def write_json(path: Path, value: Any) -> None:
    """Writes JSON, so that the file is there whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text, so that the file is there whole or not at all."""
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def folder_to_disk(folder: Path) -> None:
    """Brings the names of a folder's files to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# What each line of `metrics.jsonl` has, beside the number of steps.
MEASURED = (
    *("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "learning_rate"),
    "seconds",
)


def read_metrics(path: Path, evaluated: float = math.inf) -> list[dict[str, Any]]:
    """Returns the lines of a `metrics.jsonl` up to a step, without an unfinished last one."""
    if not path.is_file():  # reading a pipe may never end
        raise ValueError(f"{path.name} must be a regular file. Received: {str(path)!r}")
    entries: list[dict[str, Any]] = []
    *lines, rest = path.read_text(encoding="utf-8", errors="replace").split("\n")
    if _value(rest) is not None:
        lines.append(rest)
    for number, line in enumerate(lines, 1):
        entry = _value(line)
        before = entries[-1]["step"] if entries else 0
        if isinstance(entry, dict) and type(entry.get("step")) is int and entry["step"] > evaluated:
            continue
        try:
            _check_entry(entry, before)
        except (ValueError, Diverged) as error:
            raise type(error)(
                f"Line {number} of {path.name} {error}. Remove the line if it was added by hand; "
                "if not, delete the run's folder to start a new run. "
                f"Received: {str(path)!r}, line {number}: {line[:200]!r}"
            ) from None
        entries.append(entry)
    return entries


def _value(line):
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _check_entry(entry, before):
    """Raises if a line's value is not what a run writes after the line of an earlier step."""
    if not isinstance(entry, dict):
        raise ValueError("must be a JSON object")
    if type(entry.get("step")) is not int or entry["step"] <= before:
        raise ValueError(f"must have a whole number `step` above {before}, that of the line before")
    for name in MEASURED:
        value: Any = entry.get(name)
        if type(value) not in (int, float):
            raise ValueError(f"must have a number `{name}`")
        if not abs(value) <= sys.float_info.max:
            raise Diverged(f"has a `{name}` that is not a finite number: the run has diverged")


def _json_line(entry):
    return json.dumps(entry, allow_nan=False) + "\n"


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
    gpus = tf.config.list_physical_devices("GPU")
    has_affinity = hasattr(os, "sched_getaffinity")
    details = tf.config.experimental.get_device_details
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
        # That this process may use, by which TensorFlow sizes its thread pools.
        "cores": len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "gpus": [details(device).get("device_name", device.name) for device in gpus],
        "strategy": type(strategy).__name__,
        "replicas": strategy.num_replicas_in_sync,
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "jpeg": ACCURATE,  # how files are decoded
        "image_data_format": keras.config.image_data_format(),
        "floatx": keras.config.floatx(),
        "tensor_float_32": tf.config.experimental.tensor_float_32_execution_enabled(),
        "flags": {name: os.environ.get(name, "") for name in FLAGS},
    }


def _processor():
    """Returns the processor's name: oneDNN chooses its kernels by the model."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()

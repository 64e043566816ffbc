"""A run's folder: its files, its lock, and how they are written."""

import contextlib
import fcntl
import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_resnets
from training.data.decoding import ACCURATE
from training.stopping import Diverged


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields a path beside a file's; what is written there takes the file's place in the end.

    If the block raises, the file stays as it was.
    """
    beside = path.with_name(f"writing.{path.name}")
    try:
        yield beside
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
        folder_to_disk(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno, f"{path.name} could not be written: {reason}", str(path)
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def require_folder_of(name: str, path: Path | None) -> None:
    """Raises if a file cannot be written because there is no folder for it; before long work."""
    if path is not None and not path.parent.is_dir():
        raise ValueError(
            f"`{name}` must be a file's path in a folder that is there. "
            f"Received: {name}={str(path)!r}"
        )


def folder_to_disk(folder: Path) -> None:
    """Brings a folder's entries to the disk: which files it holds under which names."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


LOCK = "run.lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Callable[[], None]]:
    """Holds a run's folder, so that no other process writes to it.

    The lock is the kernel's (`flock`): it ends with the process, also by SIGKILL, and the file that
    is left says nothing. The file names who holds it. Where nothing came to stand beside it, as
    after wrong arguments, it is removed again, and so is the folder if it was made here.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    with open(path, "a+", encoding="utf-8") as file:
        if not _is_taken(file, path):
            file.seek(0)
            raise ValueError(
                "`run_dir` must not be in use by another process. "
                f"Received: run_dir={str(folder)!r}, in use by {file.read().strip() or 'another'}"
            )
        with contextlib.suppress(OSError):  # on a full disk the lock holds without a name
            os.truncate(file.fileno(), 0)
            os.write(file.fileno(), f"process {os.getpid()} on {platform.node()}\n".encode())
        try:
            yield lambda: _check_held(folder, file, path)
        finally:
            with contextlib.suppress(OSError):  # another process may have begun
                if _is_same(file, path) and [*folder.iterdir()] == [path]:
                    path.unlink()
                    if is_new:
                        folder.rmdir()


def _is_taken(file, path):
    """Takes the lock and returns whether it could: not one of a file that was just removed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return _is_same(file, path)


def _check_held(folder, file, path):
    if not _is_same(file, path):
        raise FileNotFoundError(
            f"The run's folder must stay where it is, with its {LOCK}, while the run goes on. It "
            "was deleted, moved or replaced, so nothing more is written. The same command goes on "
            f"from the folder's last checkpoint, or begins anew. Received: run_dir={str(folder)!r}"
        )


def _is_same(file, path):
    """Returns whether a path leads to an open file."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())


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
        "jpeg": ACCURATE,  # how files are decoded
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
    """`metrics.jsonl`: one JSON object a line, each with the number of steps done."""

    def __init__(self, path: Path, evaluated: int):
        self._path = path
        self.entries = read_metrics(path, evaluated) if path.exists() else []
        last = self.entries[-1]["step"] if self.entries else 0
        if last != evaluated:
            raise ValueError(
                f"{path.name} must hold all evaluations up to that of step {evaluated}: bring the "
                "file back, or delete the run's folder to begin anew. "
                f"Received: {str(path)!r}, whose last one is of step {last}"
            )
        write_text(path, "".join(_json_line(entry) for entry in self.entries))

    def append(self, entry: dict[str, Any]) -> None:
        """Adds a line and brings it to the disk."""
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(_json_line(entry))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(
                error.errno,
                f"{self._path.name} could not be written: {error.strerror}",
                str(self._path),
            ) from error
        self.entries.append(entry)


# What each line of `metrics.jsonl` has, beside the number of steps.
MEASURED = (
    *("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "learning_rate"),
    "seconds",
)


def read_metrics(path: Path, evaluated: float = math.inf) -> list[dict[str, Any]]:
    """Returns the lines of a `metrics.jsonl`, in the order of their steps.

    A last line without its end, as a kill leaves it, is left out.
    """
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
                f"Line {number} of {path.name} {error}. Take the line out if it was added by hand; "
                "if not, delete the run's folder to begin anew. "
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
        raise ValueError(
            f"must have a whole number `step` beyond {before}, the one of the line before"
        )
    for name in MEASURED:
        value: Any = entry.get(name)
        if type(value) not in (int, float):
            raise ValueError(f"must have a number `{name}`")
        if not abs(value) <= sys.float_info.max:
            raise Diverged(f"has a `{name}` that is not a finite number: the run has diverged")


def _json_line(entry):
    return json.dumps(entry, allow_nan=False) + "\n"


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

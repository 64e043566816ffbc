"""HDF5 files, read by h5py in a process of its own.

libhdf5 falls into endless loops over tables that were forged on purpose, crashes, and follows links
and compressed data to anywhere and any size. So `hdf5_child.py` reads the file, with limits on time
and memory, can open no other, and hands over names, shapes and bytes.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_resnets.arguments import printable
from keras_resnets.files.elements import WeightsFileError, cause, check_shape, fill

MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_OBJECTS = 2**16  # ResNet-1202 with Adam's state has some 40,000
MOST_TREE_BYTES = 2**25
# What the process may take beside the values: time of its own, time that passes, and memory.
SECONDS, SECONDS_OF_WAITING, MEMORY = 20, 60, 2**26
BYTES_A_SECOND = 2**23
PROGRAM = Path(__file__).with_name("hdf5_child.py")


@contextlib.contextmanager
def read_hdf5(path, most_bytes):
    """Opens a file and yields its root group; an array is read when it is asked for."""
    with contextlib.closing(_Child(path, most_bytes)) as child:
        yield child.root()


class Hdf5Group:
    """A group: its groups and arrays by name, and its attribute `name` if that is a text."""

    def __init__(self, child, tree, path=""):
        self.name: str | None = tree["name"]
        self.groups: dict[str, Hdf5Group] = {
            key: Hdf5Group(child, below, f"{path}/{key}") for key, below in tree["groups"].items()
        }
        self.arrays: dict[str, Hdf5Array] = {
            key: Hdf5Array(child, f"{path}/{key}", *array) for key, array in tree["arrays"].items()
        }


class Hdf5Array:
    """An array in an open file: `shape` and `dtype` are known, and `read` returns the values."""

    def __init__(self, child, path, type_name, shape, number):
        self.shape: tuple[int, ...] = tuple(map(int, shape))
        check_shape(self.shape)
        self.dtype = np.dtype(type_name)
        self._child, self._path, self._number = child, path, number

    def read(self) -> np.ndarray:
        """Returns the values, or raises if they and those read before are too many."""
        child, count = self._child, math.prod(self.shape)
        size = count * self.dtype.itemsize
        if size > child.bytes_left:
            raise WeightsFileError(
                f"Array {self._path!r} declares {size:,} bytes, {child.bytes_left:,} are allowed."
            )
        child.bytes_left -= size
        child.ask(self._number)
        values = np.empty(count, self.dtype)
        fill(child.output, values)
        return values.reshape(self.shape)


class _Child:
    """The process that reads a file, and the pipes to it."""

    def __init__(self, path, most_bytes):
        self.bytes_left = most_bytes
        seconds = most_bytes // BYTES_A_SECOND
        settings = {
            "path": os.path.abspath(path),
            "packages": [str(Path(str(package.__file__)).parents[1]) for package in (h5py, np)],
            "memory": most_bytes + MEMORY,
            "seconds": SECONDS + seconds,
            "objects": MOST_OBJECTS,
        }
        environment = {key: os.environ[key] for key in os.environ if not key.startswith("HDF5_")}
        # No plugins for filters that a file names, and no memory for threads.
        environment |= {"HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1"}
        self._process: Any = subprocess.Popen(
            [sys.executable, "-I", "-S", str(PROGRAM), json.dumps(settings)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.output: Any = self._process.stdout
        self._timer = threading.Timer(SECONDS_OF_WAITING + seconds, self._process.kill)
        self._timer.daemon = True
        self._timer.start()

    def root(self):
        """Returns the root group of the file."""
        tree = self._answer()
        try:
            return Hdf5Group(self, tree)
        except WeightsFileError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _broken(error) from error

    def close(self):
        """Ends the process."""
        self._timer.cancel()
        self._process.kill()
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self.output.close()
        self._process.wait()

    def ask(self, number):
        """Asks for the values of an array, which follow on `output`."""
        try:
            self._process.stdin.write(b"%d\n" % number)
            self._process.stdin.flush()
        except (OSError, ValueError) as error:  # the latter if the file is closed
            raise _broken(error) from error
        self._answer()

    def _answer(self):
        line = self.output.readline(MOST_TREE_BYTES)
        if not line.endswith(b"\n"):
            raise _broken(
                f"reading it crashed, took too much time or memory, or {sys.executable!r} could "
                "not start a process with h5py"
            )
        answer = json.loads(line)
        if "refused" in answer:
            raise WeightsFileError(f"{printable(answer['refused'], 1000)}.")
        if "broken" in answer:
            raise _broken(answer["broken"])
        return answer


def _broken(reason):
    return WeightsFileError(f"The file is no valid HDF5 file ({cause(reason)}).")

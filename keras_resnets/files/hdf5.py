"""HDF5 files, read by h5py in a process of its own."""

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np

from keras_resnets.files.archive import archive_errors
from keras_resnets.files.elements import ElementType, check_shape, read_elements
from keras_resnets.files.errors import WeightsFileError, printable

MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_OBJECTS = 2**16  # ResNet-1202 with Adam's state has some 40,000
MOST_TREE_BYTES = 2**25
# What the process may take beside the values: time of its own, time that passes, and memory.
SECONDS, SECONDS_OF_WAITING, MEMORY = 20, 60, 2**26
BYTES_A_SECOND = 2**23
PROGRAM = Path(__file__).with_name("hdf5_child.py")


@contextlib.contextmanager
def read_hdf5(source, most_bytes):
    """Opens a file and yields its groups and arrays; an array is read when it is asked for.

    libhdf5 falls into endless loops over tables that were forged on purpose, crashes, and follows
    links and compressed data to anywhere and any size. So it runs in a process of its own, with
    limits on time and memory, that can open no other file, and hands over names, shapes and bytes.
    """
    with contextlib.ExitStack() as stack:
        if hasattr(source, "read"):
            source = stack.enter_context(_copied(source))
        try:
            with open(source, "rb") as file:
                if file.read(len(MAGIC)) != MAGIC:
                    raise _broken("it does not begin as one")
        except OSError as error:
            raise _broken(str(error)) from error
        yield stack.enter_context(_Child(source, most_bytes)).root


class Hdf5Group:
    """A group: its groups and arrays by name, and of its attributes the text `name`, if any."""

    def __init__(self, child, tree, where=""):
        name = tree["name"]
        self.attributes: dict[str, str] = {} if name is None else {"name": str(name)}
        self.groups: dict[str, Hdf5Group] = {
            key: Hdf5Group(child, below, f"{where}/{key}") for key, below in tree["groups"].items()
        }
        self.arrays: dict[str, Hdf5Array] = {
            key: Hdf5Array(child, f"{where}/{key}", *array) for key, array in tree["arrays"].items()
        }


class Hdf5Array:
    """An array in an open file: `shape` and `dtype` are known, and `read` returns the values."""

    def __init__(self, child, where, type_name, shape, number):
        self.shape: tuple[int, ...] = tuple(map(int, shape))
        check_shape(self.shape)
        is_bfloat16 = type_name == "bfloat16"
        self.dtype: np.dtype = np.dtype(ml_dtypes.bfloat16 if is_bfloat16 else type_name)
        self._stored = ElementType("uint16" if is_bfloat16 else type_name)
        self._child, self._where, self._number = child, where, number

    def read(self) -> np.ndarray:
        """Returns the values, or raises if they and those read before are too many."""
        count = math.prod(self.shape)
        size = count * self._stored.itemsize
        if size > self._child.bytes_left:
            raise WeightsFileError(
                f"{self._where!r} declares {size:,} bytes, {self._child.bytes_left:,} are allowed"
            )
        self._child.bytes_left -= size
        values = self._child.values(self._number, self._stored, count)
        return values.view(self.dtype).reshape(self.shape)


class _Child:
    """The process that reads a file, and the pipes to it."""

    def __init__(self, path, most_bytes):
        self.bytes_left = most_bytes
        settings = {
            "path": os.path.abspath(path),
            "packages": [str(Path(str(package.__file__)).parents[1]) for package in (h5py, np)],
            "memory": most_bytes + MEMORY,
            "seconds": SECONDS + most_bytes // BYTES_A_SECOND,
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

    def __enter__(self):
        try:
            self.root = self._read_root()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.kill()
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def _read_root(self):
        with self._limited_time():
            if self._process.stdout.readline(MOST_TREE_BYTES) != b"{}\n":
                raise WeightsFileError(
                    f"HDF5 files are read by a process of their own, and {sys.executable!r} did "
                    "not start one with h5py"
                )
            try:
                return Hdf5Group(self, self._answer())
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                if isinstance(error, WeightsFileError):
                    raise
                raise _broken(printable(str(error))) from error

    def values(self, number, element_type, count):
        """Returns the values of an array."""
        with self._limited_time():
            try:
                self._process.stdin.write(b"%d\n" % number)
                self._process.stdin.flush()
            except (OSError, ValueError) as error:  # the latter if the file is closed
                raise _broken(str(error)) from error
            self._answer()
            return read_elements(self._process.stdout, element_type, count, sys.byteorder)

    def _answer(self):
        line = self._process.stdout.readline(MOST_TREE_BYTES)
        if not line.endswith(b"\n"):
            raise _broken("reading it crashed, or took too much time or memory")
        answer = json.loads(line)
        if "refused" in answer:
            raise WeightsFileError(printable(answer["refused"], 1000))
        if "broken" in answer:
            raise _broken(printable(answer["broken"]))
        return answer

    @contextlib.contextmanager
    def _limited_time(self):
        seconds = SECONDS_OF_WAITING + self.bytes_left / BYTES_A_SECOND
        timer = threading.Timer(seconds, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@contextlib.contextmanager
def _copied(stream):
    """Yields the path of a temporary file with what a stream holds."""
    with tempfile.NamedTemporaryFile(prefix="keras_resnets-", suffix=".h5", delete=False) as copy:
        try:
            with archive_errors():
                stream.seek(0)
                shutil.copyfileobj(stream, copy, 2**20)
            copy.close()
            yield copy.name
        finally:
            copy.close()
            os.remove(copy.name)


def _broken(reason):
    return WeightsFileError(f"it is no sound HDF5 file ({reason})")

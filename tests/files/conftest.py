"""Fixtures for reading what should not be read."""

import encodings.cp437  # noqa: F401  in which Python's zipfile reads the names of old archives
import os
import sys
import tempfile

import pytest

from keras_resnets.files import read_arrays
from keras_resnets.files.hdf5 import PROGRAM

# What Python reports whenever it starts a program, compiles or runs code, or unpickles a name.
FORBIDDEN = ("os.", "subprocess.", "exec", "compile", "pickle.", "marshal.", "import", "socket.")
ALLOWED = {"os.stat", "os.scandir", "os.listdir"}

_events: list[str] | None = None


def _note(event, arguments):
    if _events is None or not event.startswith(FORBIDDEN) or event in ALLOWED:
        return
    if not _is_of_hdf5(event, arguments):
        _events.append(f"{event} {arguments[:2]}")


def _is_of_hdf5(event, arguments):
    """Our own program for HDF5, which is started and ended, and a copy of what it reads."""
    if event == "subprocess.Popen":
        return arguments[0] == sys.executable and str(PROGRAM) in arguments[1]
    if event == "os.remove":
        return str(arguments[0]).startswith(os.path.join(tempfile.gettempdir(), "keras_resnets-"))
    return event == "os.kill"


sys.addaudithook(_note)


@pytest.fixture
def canary(tmp_path):
    """A file that does not exist: commands in hostile files would create it."""
    return tmp_path / "canary"


@pytest.fixture
def read_watched(tmp_path, canary):
    """Writes and reads a file, and fails if Python ran or imported anything meanwhile."""

    def read(data, file_name="weights.pt"):
        global _events
        path = tmp_path / file_name
        path.write_bytes(data)
        _events = []
        try:
            return read_arrays(path)
        finally:
            events, _events = _events, None
            assert not events
            assert not canary.exists()

    return read

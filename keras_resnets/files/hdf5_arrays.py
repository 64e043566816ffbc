"""All arrays of an HDF5 file, or of the one within a `.keras` file."""

import os
from pathlib import Path

import numpy as np

from keras_resnets.files.hdf5 import Hdf5Group, read_hdf5
from keras_resnets.files.keras_archive import WEIGHTS, unpack_member

# Keras stores the member as it is; others may deflate it, which weights hardly yield to.
SLACK = 2**26


def read_hdf5_arrays(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of an `.h5` or `.weights.h5` file, each under all its groups' names."""
    with read_hdf5(path, most_bytes=os.path.getsize(path)) as root:
        return _flat(root)


def read_keras_arrays(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a `.keras` file's weights; its configuration is not read."""
    member = unpack_member(path, WEIGHTS, most_bytes=os.path.getsize(path) + SLACK)
    with read_hdf5(member, most_bytes=member.getbuffer().nbytes) as root:
        return _flat(root)


def _flat(root: Hdf5Group) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    pending = [("", root)]
    while pending:
        prefix, group = pending.pop()
        arrays |= {f"{prefix}{name}": array.read() for name, array in group.arrays.items()}
        pending += [(f"{prefix}{name}/", child) for name, child in group.groups.items()]
    for array in arrays.values():
        array.flags.writeable = False
    return arrays

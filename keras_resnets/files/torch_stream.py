"""PyTorch's older format (before torch 1.6): pickles and storages, one after another.

Five pickles: a magic number, the protocol version 1001, facts about the machine that wrote the
file, the object, and the list of the storages' keys. Then each storage in the order of that list:
its number of elements as a little-endian 64-bit integer, and its elements, little-endian.
"""

import struct
from pathlib import Path

import numpy as np

from keras_resnets.files.elements import read_elements
from keras_resnets.files.errors import WeightsFileError, shown
from keras_resnets.files.pickle_machine import Vocabulary
from keras_resnets.files.restricted_pickle import read_pickle
from keras_resnets.files.state_dict import find_state_dict
from keras_resnets.files.torch_pickle import read_torch_pickle
from keras_resnets.files.torch_tensors import load_tensors

# The pickle, of protocol 2, of torch's magic number 0x1950a86a20f9469cfc6c.
MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
PROTOCOL_VERSION = 1001
PLAIN = Vocabulary()


def read_torch_stream(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a state dict in PyTorch's older format.

    Args:
        path: Path of the file.

    Raises:
        WeightsFileError: If it is anything else than tensors in that format.
    """
    with open(path, "rb") as file:
        _check_head(file)
        saved, storages = read_torch_pickle(file)
        tensors = find_state_dict(saved)
        keys = _storage_keys(file, storages)
        file_bytes = path.stat().st_size
        starts = _storage_starts(file, [storages[key] for key in keys], file_bytes)

        def read_into(buffer):
            if file.readinto(buffer) != len(buffer):
                raise WeightsFileError("The file ends within a storage.")

        def load_storage(storage):
            file.seek(starts[storage.key])
            return read_elements(read_into, storage.element_type, storage.count)

        return load_tensors(tensors, load_storage, file_bytes)


def _check_head(file):
    if file.read(len(MAGIC)) != MAGIC:
        raise WeightsFileError("A PyTorch file of the older format must begin with its number.")
    version = read_pickle(file, PLAIN, most_instructions=10)
    if type(version) is not int or version != PROTOCOL_VERSION:
        raise WeightsFileError(f"The file's protocol version must be {PROTOCOL_VERSION}.")
    machine = read_pickle(file, PLAIN, most_instructions=100)
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise WeightsFileError("The file must have been written on a little-endian machine.")


def _storage_keys(file, storages):
    keys = read_pickle(file, PLAIN)
    if type(keys) is not list or any(type(key) is not str for key in keys):
        raise WeightsFileError("The keys of the storages must be a list of texts.")
    if len(set(keys)) != len(keys):
        raise WeightsFileError("The keys of the storages must be different from each other.")
    if set(keys) != set(storages):
        odd = min(set(keys) ^ set(storages))
        which = "listed" if odd in keys else "used"
        raise WeightsFileError(
            f"Each storage must be listed and used; {shown(odd)} is only {which}."
        )
    return keys


def _storage_starts(file, storages, file_bytes):
    """Returns where the elements of each storage begin; the last must end with the file."""
    starts = {}
    for storage in storages:
        size = file.read(8)
        if len(size) != 8:
            raise WeightsFileError("The file ends before its last storage.")
        (count,) = struct.unpack("<q", size)
        if count != storage.count:
            raise WeightsFileError(
                f"Storage {shown(storage.key)} must have {storage.count} elements, as its tensors "
                f"say; it has {count}."
            )
        starts[storage.key] = file.tell()
        end = file.tell() + storage.stored_bytes
        if end > file_bytes:
            raise WeightsFileError(f"The file ends within storage {shown(storage.key)}.")
        file.seek(end)
    if file.tell() != file_bytes:
        raise WeightsFileError("The file must end with its last storage.")
    return starts

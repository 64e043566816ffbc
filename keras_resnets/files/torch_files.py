"""PyTorch files: the state dict in the zip archive of torch 1.6 and later, or in the older stream.

PyTorch's format since 1.6: a zip archive whose members are stored, not compressed.

One folder holds them all: `data.pkl`, the pickle; `data/KEY`, the elements of each storage;
`byteorder`, "little" or "big" (absent: little); and records of the version, which say nothing about
the content. TorchScript archives look alike, but their pickle goes with programs in `code/`.

PyTorch's older format (before torch 1.6): pickles and storages, one after another.

Five pickles: a magic number, the protocol version 1001, facts about the machine that wrote the
file, the object, and the list of the storages' keys. Then each storage in the order of that list:
its number of elements as a little-endian 64-bit integer, and its elements, little-endian.
"""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnets.files.archive import STORED, read_directory
from keras_resnets.files.elements import read_elements
from keras_resnets.files.errors import WeightsFileError, shown
from keras_resnets.files.pickle_machine import Vocabulary
from keras_resnets.files.restricted_pickle import MOST_BYTES, read_pickle
from keras_resnets.files.torch_pickle import Tensor, load_tensors, read_torch_pickle

# Where training scripts put the weights in a checkpoint, beside the epoch and the optimizer. If a
# file has several, the first of these is read: the trained weights before their moving average.
ENTRIES = ("state_dict", "model_state_dict", "model", "net", "state_dict_ema", "model_ema")
MOST_LEVELS = 4


def find_state_dict(saved: Any) -> dict[str, Tensor]:
    """Returns the tensors of a saved object by name.

    The state dict is the object itself, or what stands under the first of `ENTRIES` that is a
    dictionary with tensors, there or further down by the same rule. Its entries that are no
    tensors are left out, and so is all that stands beside it: epoch, accuracy, optimizer.

    Args:
        saved: What the pickle holds.

    Raises:
        WeightsFileError: If that is no dictionary, or there are no tensors in it, or one has no
            text for a name.
    """
    if type(saved) is not dict:
        raise WeightsFileError(
            f"The file must hold a dictionary of tensors, not a {type(saved).__name__}."
        )
    state_dict = _innermost(saved, MOST_LEVELS)
    if state_dict is None:
        keys = ", ".join(shown(str(key)) for key in list(saved)[:5]) or "nothing"
        raise WeightsFileError(
            "The file must hold a dictionary of tensors, bare or under one of "
            f"{', '.join(ENTRIES)}; this one holds {keys}."
        )
    for name, value in state_dict.items():
        if type(value) is Tensor and type(name) is not str:
            raise WeightsFileError(f"A tensor must have a text for a name; one has {name}.")
    return {name: value for name, value in state_dict.items() if type(value) is Tensor}


def _innermost(entries, levels):
    """Returns the dictionary of tensors at or below `entries`, or `None` if there is none."""
    if levels:  # a dictionary may contain itself
        for key in ENTRIES:
            if type(entries.get(key)) is dict:
                found = _innermost(entries[key], levels - 1)
                if found is not None:
                    return found
    has_tensors = any(type(value) is Tensor for value in entries.values())
    return entries if has_tensors else None


def read_torch_zip(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a state dict in PyTorch's zip format.

    Args:
        path: Path of the file.

    Raises:
        WeightsFileError: If it is anything else than tensors in that format.
    """
    with open(path, "rb") as file:
        members = read_directory(file)
        folder = _folder(members)
        pickle = _content(file, members[f"{folder}/data.pkl"], MOST_BYTES)
        saved, storages = read_torch_pickle(io.BytesIO(pickle))
        tensors = find_state_dict(saved)
        _check_storages(storages.values(), members, folder)
        byte_order = _byte_order(file, members.get(f"{folder}/byteorder"))

        def load_storage(storage):
            reading = _Reading(file, members[f"{folder}/data/{storage.key}"])
            elements = read_elements(
                reading.read_into, storage.element_type, storage.count, byte_order
            )
            reading.check()
            return elements

        return load_tensors(tensors, load_storage, path.stat().st_size)


def _folder(members):
    """Returns the one folder of an archive that torch.save made."""
    folders = {name.partition("/")[0] for name in members}
    if len(folders) != 1:
        raise WeightsFileError("A PyTorch archive must have all its members in one folder.")
    folder = folders.pop()
    if f"{folder}/constants.pkl" in members or any(
        name.startswith(f"{folder}/code/") for name in members
    ):
        raise WeightsFileError(
            "The file must hold weights, not TorchScript, which goes with programs: save the "
            "`state_dict()` of the model instead."
        )
    if f"{folder}/data.pkl" not in members:
        raise WeightsFileError("A PyTorch archive must have a member data.pkl.")
    for member in members.values():
        if member.method != STORED or member.packed_size != member.size:
            raise WeightsFileError(
                f"The members of a PyTorch archive must be stored as they are; "
                f"{shown(member.name)} is compressed."
            )
    return folder


def _check_storages(storages, members, folder):
    for storage in storages:
        member = members.get(f"{folder}/data/{storage.key}")
        if member is None:
            raise WeightsFileError(f"The archive has no storage {shown(storage.key)}.")
        if member.size != storage.stored_bytes:
            raise WeightsFileError(
                f"Storage {shown(storage.key)} must have {storage.stored_bytes} bytes, as its "
                f"tensors say; it has {member.size}."
            )


def _byte_order(file, member):
    if member is None:
        return "little"
    order = _content(file, member, 16)
    if order not in (b"little", b"big"):
        raise WeightsFileError("The byte order of a PyTorch archive must be little or big.")
    return order.decode()


def _content(file, member, most_bytes):
    if member.size > most_bytes:
        raise WeightsFileError(
            f"{shown(member.name)} must have at most {most_bytes:,} bytes; it has {member.size:,}."
        )
    content = bytearray(member.size)
    reading = _Reading(file, member)
    reading.read_into(memoryview(content))
    reading.check()
    return content


class _Reading:
    """Reads a member from its start, and sums up its CRC."""

    def __init__(self, file, member):
        self.file = file
        self.member = member
        self.crc = 0
        file.seek(member.start)

    def read_into(self, buffer):
        if self.file.readinto(buffer) != len(buffer):
            raise WeightsFileError(f"The file ends within {shown(self.member.name)}.")
        self.crc = zlib.crc32(buffer, self.crc)

    def check(self):
        if self.crc != self.member.crc:
            raise WeightsFileError(f"{shown(self.member.name)} is damaged: its CRC differs.")


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

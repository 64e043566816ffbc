"""PyTorch's format since 1.6: a zip archive whose members are stored, not compressed.

One folder holds them all: `data.pkl`, the pickle; `data/KEY`, the elements of each storage;
`byteorder`, "little" or "big" (absent: little); and records of the version, which say nothing about
the content. TorchScript archives look alike, but their pickle goes with programs in `code/`.
"""

import io
import zlib
from pathlib import Path

import numpy as np

from keras_resnets.files.elements import read_elements
from keras_resnets.files.errors import WeightsFileError, shown
from keras_resnets.files.restricted_pickle import MOST_BYTES
from keras_resnets.files.state_dict import find_state_dict
from keras_resnets.files.torch_pickle import read_torch_pickle
from keras_resnets.files.torch_tensors import load_tensors
from keras_resnets.files.zip_directory import STORED, read_directory


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

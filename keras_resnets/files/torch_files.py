"""PyTorch files: which part of one is the state dict, and its tensors as arrays.

Since torch 1.6 a file is a zip archive, whose members are stored as they are. One folder holds
them all: `data.pkl`, the pickle; `data/KEY`, the elements of each storage; `byteorder`, "little"
or "big" (absent: little); and records of the version, which say nothing about the content.

Before, it was a stream of five pickles: a magic number, the protocol version 1001, facts about the
machine that wrote the file, the object, and the list of the storages' keys. Then follows each
storage in the order of that list: its number of elements as a little-endian 64-bit integer, and its
elements, little-endian.
"""

import io
import math
import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnets.files.archive import archive_errors, open_archive
from keras_resnets.files.elements import (
    WeightsFileError,
    loaded_type,
    read_elements,
    require,
    shown,
)
from keras_resnets.files.torch_pickle import (
    MOST_BYTES,
    Entries,
    Inert,
    Storage,
    Tensor,
    is_inert_class,
    read_pickle,
)

# Where training scripts put the weights in a checkpoint, beside the epoch and the optimizer. If a
# file has several, the first of these is read: the trained weights before their moving average.
ENTRIES = ("state_dict", "model_state_dict", "model", "net", "state_dict_ema", "model_ema")
MOST_LEVELS = 8
MOST_LETTERS = 2**23  # of all names; those of ResNet-1202 with Adam's state have 2 million
# A file twice its size covers bfloat16 as float32; this much is for expanded tensors, which are
# larger than what is stored of them.
MOST_EXTRA_BYTES = 2**26
# Each takes half a kilobyte of memory beside its elements. ResNet-1202 has 8,500.
MOST_TENSORS = 2**16
# The pickle, of protocol 2, of torch's magic number 0x1950a86a20f9469cfc6c.
MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
PROTOCOL_VERSION = 1001


Select = Callable[[Any], Mapping[str, Tensor | Inert | str]]


def find_state_dict(saved: Any) -> dict[str, Tensor]:
    """Returns the tensors of a saved object, or of the first of `ENTRIES` in it, by name."""
    state_dict = _innermost(saved, MOST_LEVELS) if type(saved) is Entries else None
    if state_dict is None:
        raise _no_tensors(saved)
    tensors = {name: value for name, value in state_dict.items() if type(value) is Tensor}
    for name in tensors:
        is_text = type(name) is str
        require(is_text, f"A tensor must have a text for a name; one has {name}.")
    return tensors


def all_tensors(saved: Any) -> dict[str, Tensor | Inert]:
    """Returns the tensors in a saved object and in its dictionaries, as "entry/entry/name".

    Those that cannot be read, as sparse ones, are among them, so that they are missed.
    """
    tensors: dict[str, Tensor | Inert] = {}
    pending, seen, letters = [("", saved, 0)], {id(saved)}, 0
    for prefix, entries, level in pending if type(saved) is Entries else ():  # which grows
        for key, value in entries.items():
            if _is_tensor(value):
                name = f"{prefix}{key}"
                require(name not in tensors, f"The file holds two tensors of name {shown(name)}.")
                letters += len(name)
                is_little = len(tensors) < MOST_TENSORS and letters <= MOST_LETTERS
                require(is_little, "The tensors in a file must not be as many, or have such names.")
                tensors[name] = value
            elif type(value) is Entries and level < MOST_LEVELS and id(value) not in seen:
                seen.add(id(value))  # a dictionary may be in several places, or in itself
                letters += len(prefix) + len(str(key))
                require(letters <= MOST_LETTERS, "The names of the entries in a file are too long.")
                pending.append((f"{prefix}{key}/", value, level + 1))
    is_network = any(type(value) is Tensor and len(value.shape) == 4 for value in tensors.values())
    error = None if is_network else _no_tensors(saved)
    if error is not None and (not tensors or "`torch.save" in error.reason):
        raise error
    return tensors


def _is_tensor(value):
    """Whether a value is a tensor, be it one of a kind that cannot be read."""
    is_made = isinstance(value, Inert) and ("_rebuild_" in value.named or "Storage" in value.named)
    return type(value) is Tensor or is_made


def _no_tensors(saved):
    """Returns the error for an object without a network's tensors."""
    values: list = [*map(saved.get, ENTRIES)] if type(saved) is Entries else [saved]
    for value in values:
        if isinstance(value, Inert) or is_inert_class(value):
            return WeightsFileError(
                f"The file must hold weights, and holds what {shown(value.named)} makes: a whole "
                "model, or another program. Where you trust it, torch takes the weights out: "
                "`model = torch.load(path, weights_only=False)`, and then "
                "`torch.save(model.state_dict(), 'weights.pth')`."
            )
    if type(saved) is not Entries:
        kind = type(saved).__name__
        return WeightsFileError(f"The file must hold a dictionary of tensors, not a {kind}.")
    keys = ", ".join(shown(str(key)) for key in list(saved)[:5]) or "nothing"
    return WeightsFileError(
        "The file must hold a dictionary of tensors, bare or under one of "
        f"{', '.join(ENTRIES)}; this one holds {keys}."
    )


def _innermost(entries, levels):
    """Returns the dictionary of tensors at or below `entries`, or `None` if there is none."""
    if levels:  # a dictionary may contain itself
        for key in ENTRIES:
            if type(entries.get(key)) is Entries:
                found = _innermost(entries[key], levels - 1)
                if found is not None:
                    return found
    has_tensors = any(type(value) is Tensor for value in entries.values())
    return entries if has_tensors else None


def read_torch_zip(path: Path, select: Select = find_state_dict) -> dict[str, np.ndarray]:
    """Returns the arrays of PyTorch's zip format that are selected of the saved object."""
    with open_archive(path) as archive, archive_errors():
        members = {member.filename: member for member in archive.infolist()}
        folder = _folder(members)

        def content(name, most_bytes):
            size = members[f"{folder}/{name}"].file_size
            require(
                size <= most_bytes,
                f"Member {shown(name)} must have at most {most_bytes:,} bytes; it has {size:,}.",
            )
            return archive.read(f"{folder}/{name}")

        saved, storages = read_pickle(io.BytesIO(content("data.pkl", MOST_BYTES)))
        tensors = select(saved)
        for key, storage in storages.items():
            member = members.get(f"{folder}/data/{key}")
            if member is None:
                raise WeightsFileError(f"The archive has no storage {shown(key)}.")
            _check_size(storage, "bytes", _stored_bytes(storage), member.file_size)
        order = content("byteorder", 16) if f"{folder}/byteorder" in members else b"little"
        is_known = order in (b"little", b"big")
        require(is_known, "The byte order of a PyTorch archive must be little or big.")

        def load_storage(storage):
            with archive.open(f"{folder}/data/{storage.key}") as stream:
                return read_elements(stream, storage.stored, storage.elements, order.decode())

        return load_tensors(tensors, load_storage, os.path.getsize(path))


def _stored_bytes(storage):
    return storage.elements * np.dtype(storage.stored).itemsize


def _check_size(storage, of, wanted, present):
    rule = f"Storage {shown(storage.key)} must have {wanted} {of}, as its tensors say"
    require(present == wanted, f"{rule}; it has {present}.")


def _folder(members):
    """Returns the one folder of an archive that torch.save made."""
    folders = {name.partition("/")[0] for name in members}
    require(len(folders) == 1, "A PyTorch archive must have all its members in one folder.")
    folder = folders.pop()
    programs = (f"{folder}/constants.pkl", f"{folder}/code/")
    require(
        not any(name.startswith(programs) for name in members),
        "The file must hold weights, not TorchScript, which goes with programs: save the "
        "`state_dict()` of the model instead.",
    )
    require(f"{folder}/data.pkl" in members, "A PyTorch archive must have a member data.pkl.")
    for name, member in members.items():
        require(
            (member.compress_type, member.compress_size) == (zipfile.ZIP_STORED, member.file_size),
            f"The members of a PyTorch archive must be stored as they are; {shown(name)} is "
            "compressed.",
        )
    return folder


def read_torch_stream(path: Path, select: Select = find_state_dict) -> dict[str, np.ndarray]:
    """Returns the arrays of PyTorch's older format that are selected of the saved object."""
    file_bytes = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(len(MAGIC))
        version, _ = read_pickle(file)
        is_known = type(version) is int and version == PROTOCOL_VERSION
        require(is_known, f"The file's protocol version must be {PROTOCOL_VERSION}.")
        machine, _ = read_pickle(file)
        is_little = type(machine) is Entries and machine.get("little_endian") is True
        require(is_little, "The file must have been written on a little-endian machine.")
        saved, storages = read_pickle(file)
        tensors = select(saved)
        keys, _ = read_pickle(file)
        _check_keys(keys, storages)
        starts = _storage_starts(file, [storages[key] for key in keys], file_bytes)

        def load_storage(storage):
            file.seek(starts[storage.key])
            return read_elements(file, storage.stored, storage.elements)

        return load_tensors(tensors, load_storage, file_bytes)


def _check_keys(keys, storages):
    are_texts = type(keys) is list and all(type(key) is str for key in keys)
    require(are_texts, "The keys of the storages must be a list of texts.")
    is_unique = len(set(keys)) == len(keys)
    require(is_unique, "The keys of the storages must be different from each other.")
    if set(keys) != set(storages):
        odd = min(set(keys) ^ set(storages))
        which = "listed" if odd in keys else "used"
        raise WeightsFileError(
            f"Each storage must be listed and used; {shown(odd)} is only {which}."
        )


def _storage_starts(file, storages, file_bytes):
    """Returns where the elements of each storage begin; the last must end with the file."""
    starts = {}
    for storage in storages:
        size = file.read(8)
        require(len(size) == 8, "The file ends before its last storage.")
        (count,) = struct.unpack("<q", size)
        _check_size(storage, "elements", storage.elements, count)
        starts[storage.key] = file.tell()
        end = file.tell() + _stored_bytes(storage)
        require(end <= file_bytes, f"The file ends within storage {shown(storage.key)}.")
        file.seek(end)
    require(file.tell() == file_bytes, "The file must end with its last storage.")
    return starts


def load_tensors(
    tensors: Mapping[str, Tensor | Inert | str],
    load_storage: Callable[[Storage], np.ndarray],
    file_bytes: int,
) -> dict[str, np.ndarray]:
    """Returns the tensors as arrays; those that share a storage share memory."""
    require(
        len(tensors) <= MOST_TENSORS,
        f"A file must hold at most {MOST_TENSORS:,} tensors; this one holds {len(tensors):,}.",
    )
    readable = {name: value for name, value in tensors.items() if isinstance(value, Tensor)}
    total = sum(
        math.prod(tensor.shape) * loaded_type(tensor.storage.stored).itemsize
        for tensor in readable.values()
    )
    require(
        total <= 2 * file_bytes + MOST_EXTRA_BYTES,
        f"The tensors must not be far larger than their file; they come to {total:,} bytes, the "
        f"file has {file_bytes:,}.",
    )
    loaded: dict[str, np.ndarray] = {}
    # What cannot be read is an array of no numbers, which is then misshapen.
    arrays: dict[str, np.ndarray] = {
        name: np.array(value) if isinstance(value, str) else np.empty(0, object)
        for name, value in tensors.items()
    }
    for name, tensor in readable.items():
        storage = tensor.storage
        if storage.key not in loaded:
            loaded[storage.key] = load_storage(storage)
        arrays[name] = _window(tensor, loaded[storage.key])
    return arrays


def _window(tensor, elements):
    """Views a tensor's elements; NumPy checks once more that they lie inside the buffer."""
    if 0 in tensor.shape:
        return np.empty(tensor.shape, elements.dtype)
    item = elements.itemsize
    # Along a dimension of one element any stride is the same, and a huge one would overflow.
    steps = zip(tensor.shape, tensor.strides, strict=True)
    strides = tuple(item * step if size > 1 else 0 for size, step in steps)
    return np.ndarray(tensor.shape, elements.dtype, elements, item * tensor.offset, strides)

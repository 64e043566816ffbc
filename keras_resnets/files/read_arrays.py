"""Reading the arrays of a file, whatever its format: its content decides which it has."""

import json
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from keras_resnets.files.archive import WEIGHTS, open_archive, open_keras_file
from keras_resnets.files.elements import (
    WeightsFileError,
    cause,
    check_shape,
    read_elements,
    require,
    shown,
)
from keras_resnets.files.hdf5 import MAGIC as HDF5_MAGIC
from keras_resnets.files.hdf5 import Hdf5Group
from keras_resnets.files.torch_files import MAGIC as TORCH_MAGIC
from keras_resnets.files.torch_files import (
    Select,
    find_state_dict,
    read_torch_stream,
    read_torch_zip,
)

# Of Hugging Face; the first that is there is read: those without a pickle before the others.
INDEX = ".index.json"
FILES_IN_FOLDERS = (
    *("model.safetensors", f"model.safetensors{INDEX}"),
    *("pytorch_model.bin", f"pytorch_model.bin{INDEX}"),
)
MOST_INDEX_BYTES, MOST_SHARDS = 2**22, 1000
GUESSES = {
    (b"version https://git-lfs",): "a Git LFS pointer to a file that has not been fetched",
    (b"<",): "a web page: the download went wrong",
    (b"\x80",): "a pickle that torch.save has not written",
    (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c"): "compressed: unpack it first",
}
# What compressed arrays may take beyond the size of their file.
MOST_EXTRA_BYTES = 2**25


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the arrays of a weights file by name, without running anything that is in it.

    Formats, by the content: safetensors; PyTorch's zip archive and the stream of torch before 1.6;
    and Keras's `.h5`, `.weights.h5` and `.keras`, whose arrays are named by their groups,
    `"layers/conv/vars/0"`. Hugging Face's several files are read by their index,
    `model.safetensors.index.json`, or the folder that has it. A PyTorch file holds a state dict,
    bare or under `state_dict`, `model_state_dict`, `model`, `net`, `state_dict_ema` or `model_ema`
    (the first of them that holds tensors); all else is left out. Types are kept, but bfloat16
    becomes float32.

    The memory that is needed is at most twice the file's size, and 200 MB.

    Args:
        path: Path of a file, or of a folder as Hugging Face lays it out.

    Returns:
        From names, as they are in the file, to read-only arrays.

    Raises:
        WeightsFileError: If there is no such file, or it is broken, or it holds more than arrays;
            the message says what. It is a `ValueError`.
        TypeError: If `path` is not a path.

    Example:

    >>> import os, tempfile
    >>> from keras_resnets.files import read_arrays
    >>> from safetensors.numpy import save_file
    >>> path = os.path.join(tempfile.mkdtemp(), "line.safetensors")
    >>> save_file({"slope": np.array([2.0]), "offset": np.array([1.0])}, path)
    >>> arrays = read_arrays(path)
    >>> sorted(arrays), arrays["slope"]
    (['offset', 'slope'], array([2.]))
    """
    return read_file(path, flat_arrays, find_state_dict)


def read_file(
    path: str | os.PathLike,
    flatten: Callable[[Hdf5Group], dict[str, np.ndarray]],
    select: Select,
) -> dict[str, np.ndarray]:
    """Returns what `read_arrays` does, where `flatten` names the arrays of a file of Keras.

    What `select` takes of an object that torch saved is read.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` must be a path. Received: path={path!r}")
    path = file_in_folder(Path(path))
    try:
        files = f"The folder must hold one of {', '.join(FILES_IN_FOLDERS)}."
        require(path.is_file(), files if path.is_dir() else "There must be a file at the path.")
        if path.name.endswith(INDEX):
            arrays = _read_shards(path, flatten, select)
        else:
            arrays = _read_one(path, flatten, select)
        require(bool(arrays), "The file must hold at least one array.")
    except OSError as error:
        raise WeightsFileError(f"The file cannot be read ({cause(error)}).", path) from error
    except WeightsFileError as error:
        error.path = path
        raise
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def file_in_folder(path: Path) -> Path:
    """Returns the file of weights in a folder as Hugging Face lays it out; else the path."""
    files = (path / name for name in FILES_IN_FOLDERS)
    return next(filter(Path.is_file, files), path)


def _read_one(path, flatten, select):
    kind = file_kind(path)
    if kind == "keras":
        with open_keras_file(path) as file, file.weights(file.size + MOST_EXTRA_BYTES) as root:
            return flatten(root)
    return read_safetensors(path) if kind == "safetensors" else READERS[kind](path, select)


def _read_shards(index, flatten, select):
    """Returns the arrays of a checkpoint in several files, of which an index has the names."""
    is_small = os.path.getsize(index) <= MOST_INDEX_BYTES
    require(is_small, f"An index must have at most {MOST_INDEX_BYTES:,} bytes.")
    try:
        files = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards: dict[str, list[str]] = {}
        for name, shard in files.items():
            if type(shard) is not str:
                raise TypeError(f"{name} is in {type(shard).__name__}")
            shards.setdefault(shard, []).append(name)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsFileError(
            "The index of a checkpoint in several files must be JSON, with a `weight_map` from "
            f"names to files ({cause(repr(error))})."
        ) from error
    require(len(shards) <= MOST_SHARDS, f"An index must name at most {MOST_SHARDS:,} files.")
    for shard in shards:
        is_plain = Path(shard).name == shard and shard not in ("", ".", "..")
        require(is_plain, f"An index must name files in its own folder, not {shown(shard)}.")
    absent = [shown(shard) for shard in shards if not (index.parent / shard).is_file()]
    require(
        not absent,
        f"The checkpoint is incomplete: {len(absent)} of its {len(shards)} files are not beside "
        f"the index, {', '.join(absent[:3])}{', …' if len(absent) > 3 else ''}.",
    )
    arrays: dict[str, np.ndarray] = {}
    size = 0
    for shard, names in shards.items():
        path = index.parent / shard
        is_shard = file_kind(path) != "keras"
        require(is_shard, f"A file of several must not be one of Keras, as {shown(shard)} is.")
        present = _read_one(path, flatten, select)
        odd = sorted(present.keys() ^ set(names))
        require(
            not odd,
            f"The file {shown(shard)} and the index must agree on what is in it, and differ in "
            f"{', '.join(map(shown, odd[:3]))}.",
        )
        arrays |= present
        size += os.path.getsize(path)
        total = sum(array.nbytes for array in arrays.values())
        require(total <= 2 * size + MOST_EXTRA_BYTES, "The arrays are far larger than their files.")
    return {name: arrays[name] for name in files}


def file_kind(path: Path) -> str:
    """Returns "keras", "safetensors" or a key of `READERS`: by content, or else by name."""
    with open(path, "rb") as file:
        head = file.read(512)
    if head.startswith(b"PK"):
        if path.suffix == ".keras":
            return "keras"
        with open_archive(path) as archive:
            return "keras" if WEIGHTS in archive.namelist() else "torch_zip"
    if head.startswith(TORCH_MAGIC):
        return "torch_stream"
    if head.startswith(HDF5_MAGIC):
        return "keras"
    # The format has no magic number: a length of 8 bytes, and a table in JSON.
    is_pointer = head.startswith(b"version https://git-lfs")
    is_named = path.suffix == ".safetensors" and not is_pointer
    if is_named or (head[8:9] == b"{" and not any(head[5:8])):
        return "safetensors"
    raise WeightsFileError(f"The file must hold weights; {_guess(head)}.")


def _guess(head):
    """Says what a file that is refused may be."""
    if not head:
        return "this one is empty"
    if head[257:262] == b"ustar":
        return "this one is a tar archive, as torch's first releases wrote, which is not supported"
    for beginnings, guess in GUESSES.items():
        if head.lstrip().startswith(beginnings):
            return f"this one is {guess}"
    return "this one is of no known format"


def flat_arrays(root: Hdf5Group) -> dict[str, np.ndarray]:
    """Returns the arrays of a file of Keras, each under all its groups' names."""
    arrays: dict[str, np.ndarray] = {}
    pending = [("", root)]
    while pending:
        prefix, group = pending.pop()
        arrays |= {f"{prefix}{name}": array.read() for name, array in group.arrays.items()}
        pending += [(f"{prefix}{name}/", child) for name, child in group.groups.items()]
    return arrays


# The table of a ResNet-1202 has under 1 MB. The package's own limit of 100 MB of names alone would
# take a multiple of the file's size in memory.
MOST_TABLE_BYTES = 2**23
TYPES = {
    **{"BF16": "bfloat16", "BOOL": "bool"},
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a safetensors file; bfloat16 as float32."""
    arrays = {}
    with open(path, "rb") as file:
        head = file.read(8)
        require(len(head) == 8, "A safetensors file must begin with the length of its table.")
        (table_bytes,) = struct.unpack("<Q", head)
        require(
            table_bytes <= MOST_TABLE_BYTES,
            f"The table of a safetensors file must have at most {MOST_TABLE_BYTES:,} bytes; it has "
            f"{table_bytes:,}.",
        )
        table = _read_table(path)
        file.seek(8 + table_bytes)
        for name, (stored, shape) in table.items():
            arrays[name] = read_elements(file, stored, math.prod(shape)).reshape(shape)
        require(not file.read(1), "A safetensors file must end with its last tensor.")
    return arrays


def _read_table(path):
    """Returns {name: (type, shape)}, in the order of the tensors in the file."""
    table = {}
    try:
        with safe_open(path, framework="numpy") as checked:
            for name in checked.offset_keys():
                tensor = checked.get_slice(name)
                kind, shape = tensor.get_dtype(), tuple(tensor.get_shape())
                require(
                    kind in TYPES,
                    f"A tensor must be of a type that NumPy has, or bfloat16; {shown(name)} is of "
                    f"type {kind}.",
                )
                check_shape(shape)
                table[name] = TYPES[kind], shape
    except SafetensorError as error:
        raise WeightsFileError(f"The safetensors file is broken ({cause(error)}).") from error
    return table


READERS = {"torch_stream": read_torch_stream, "torch_zip": read_torch_zip}

"""Reading the arrays of a file, whatever its format: its content decides which it has."""

import os
from pathlib import Path

import numpy as np

from keras_resnets.files.archive import open_archive
from keras_resnets.files.errors import WeightsFileError
from keras_resnets.files.hdf5 import MAGIC as HDF5_MAGIC
from keras_resnets.files.hdf5 import read_hdf5
from keras_resnets.files.keras_archive import WEIGHTS, member_size, unpack_member
from keras_resnets.files.safetensors_file import read_safetensors
from keras_resnets.files.torch_files import MAGIC as TORCH_MAGIC
from keras_resnets.files.torch_files import read_torch_stream, read_torch_zip

# Of Hugging Face; the first is read where both are there, for it takes no pickle.
FILES_IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")
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

    Formats: safetensors; PyTorch's two, the zip archive and the stream of torch before 1.6, for
    which torch is not needed; and Keras's `.h5`, `.weights.h5` and `.keras`, whose arrays are named
    by their groups, `"layers/conv/vars/0"`. The content decides which of them a file has, not its
    name.

    A PyTorch file holds a state dict, bare or under the key `state_dict`, `model_state_dict`,
    `model`, `net`, `state_dict_ema` or `model_ema` (the first of them that holds tensors). What is
    no tensor there, and all that stands beside it, is left out. Tensors of type bfloat16 become
    float32; all others keep their type. Tensors that share memory in torch share it here.

    The memory that is needed is at most twice the file's size, and 200 MB.

    Args:
        path: Path of a file.

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
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` must be a path. Received: path={path!r}")
    path = Path(path)
    try:
        if not path.is_file():
            raise WeightsFileError(f"`path` must be that of an existing file.{_advice(path)}")
        arrays = READERS[file_kind(path)](path)
        if not arrays:
            raise WeightsFileError("The file must hold at least one array.")
        return arrays
    except OSError as error:
        raise WeightsFileError(f"The file cannot be read ({error}).", path) from error
    except WeightsFileError as error:
        error.path = path
        raise


def _advice(path):
    """Names the file of weights in a folder, as Hugging Face's `save_pretrained` leaves one."""
    for name in FILES_IN_FOLDERS:
        if (path / name).is_file():
            return f" In this folder that is {str(path / name)!r}."
    return ""


def file_kind(path: Path) -> str:
    """Returns a key of `READERS`, by a file's content; its name decides where that cannot."""
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
        return "hdf5"
    # The format has no magic number: a length of 8 bytes, and a table in JSON.
    if path.suffix == ".safetensors" or (head[8:9] == b"{" and not any(head[5:8])):
        return "safetensors"
    raise WeightsFileError(f"The file must hold weights; {_guess(head)}")


def _guess(head):
    """Says what a file that is refused may be."""
    if not head:
        return "this one is empty."
    if head[257:262] == b"ustar":
        return "this one is a tar archive, as torch's first releases wrote, which is not supported."
    for beginnings, guess in GUESSES.items():
        if head.lstrip().startswith(beginnings):
            return f"this one is {guess}."
    return "this one is of no known format."


def _read_hdf5_arrays(path):
    """Returns the arrays of an `.h5` or `.weights.h5` file, each under all its groups' names."""
    return _flat(path, os.path.getsize(path))


def _read_keras_arrays(path):
    """Returns the arrays of a `.keras` file's weights; its configuration is not read."""
    size = member_size(path, WEIGHTS)
    return _flat(unpack_member(path, WEIGHTS, size), size)


def _flat(source, size):
    arrays: dict[str, np.ndarray] = {}
    with read_hdf5(source, size + MOST_EXTRA_BYTES) as root:
        pending = [("", root)]
        while pending:
            prefix, group = pending.pop()
            arrays |= {f"{prefix}{name}": array.read() for name, array in group.arrays.items()}
            pending += [(f"{prefix}{name}/", child) for name, child in group.groups.items()]
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


READERS = {
    "hdf5": _read_hdf5_arrays,
    "keras": _read_keras_arrays,
    "safetensors": read_safetensors,
    "torch_stream": read_torch_stream,
    "torch_zip": read_torch_zip,
}

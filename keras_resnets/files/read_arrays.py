"""Reading the arrays of a file, whatever its format."""

import os
from pathlib import Path

import numpy as np

from keras_resnets.files.errors import WeightsFileError
from keras_resnets.files.file_kind import file_kind
from keras_resnets.files.hdf5_arrays import read_hdf5_arrays, read_keras_arrays
from keras_resnets.files.safetensors_file import read_safetensors
from keras_resnets.files.torch_stream import read_torch_stream
from keras_resnets.files.torch_zip import read_torch_zip

READERS = {
    "hdf5": read_hdf5_arrays,
    "keras": read_keras_arrays,
    "safetensors": read_safetensors,
    "torch_stream": read_torch_stream,
    "torch_zip": read_torch_zip,
}

# Of Hugging Face; the first is read where both are there, for it takes no pickle.
FILES_IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")


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

"""Which format a file has: by its content; its name only decides where content cannot."""

from pathlib import Path

from keras_resnets.files.errors import WeightsFileError
from keras_resnets.files.hdf5 import MAGIC as HDF5_MAGIC
from keras_resnets.files.keras_archive import WEIGHTS
from keras_resnets.files.torch_stream import MAGIC
from keras_resnets.files.zip_directory import read_directory

ENOUGH = 512


def file_kind(path: Path) -> str:
    """Returns "torch_zip", "torch_stream", "safetensors", "keras" or "hdf5".

    Args:
        path: Path of a regular file.

    Raises:
        WeightsFileError: If it is none of them; what it seems to be is said.
    """
    with open(path, "rb") as file:
        head = file.read(ENOUGH)
        if head.startswith(b"PK"):
            return _archive_kind(file, path)
    if head.startswith(MAGIC):
        return "torch_stream"
    if head.startswith(HDF5_MAGIC):
        return "hdf5"
    # The format has no magic number: a length of 8 bytes, and a table in JSON.
    if path.suffix == ".safetensors" or (head[8:9] == b"{" and not any(head[5:8])):
        return "safetensors"
    raise WeightsFileError(f"The file must hold weights; {_guess(head)}")


def _archive_kind(file, path):
    if path.suffix == ".keras":
        return "keras"
    return "keras" if WEIGHTS in read_directory(file) else "torch_zip"


def _guess(head):
    """Says what a file that is refused may be."""
    if not head:
        return "this one is empty."
    if head.startswith(b"version https://git-lfs"):
        return "this one is a Git LFS pointer to a file that has not been fetched."
    if head.lstrip()[:1] == b"<":
        return "this one is a web page: the download went wrong."
    if head[257:262] == b"ustar":
        return "this one is a tar archive, as torch's first releases wrote, which is not supported."
    if head.startswith(b"\x80"):
        return "this one is a pickle that torch.save has not written."
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c")):
        return "this one is compressed: unpack it first."
    return "this one is of no known format."

"""HDF5 files, as Keras writes them."""

import contextlib
import struct

import ml_dtypes
import numpy as np

from keras_resnets.files.elements import ElementType, read_elements
from keras_resnets.files.errors import WeightsFileError
from keras_resnets.files.hdf5_array import NOWHERE, Stored, describe_array
from keras_resnets.files.hdf5_bytes import Hdf5Bytes, broken
from keras_resnets.files.hdf5_header import GROUP, LAYOUT, PLACE, fields, read_header
from keras_resnets.files.hdf5_links import read_links
from keras_resnets.files.hdf5_text import Hdf5Texts

MOST_LEVELS = 32
MOST_LETTERS = 500

SUPERBLOCK = struct.Struct("<8sBBBxBBBxHHIQQQQ8xQ24x")
MAGIC = b"\x89HDF\r\n\x1a\n"


@contextlib.contextmanager
def read_hdf5(source, most_bytes):
    """Opens a file and yields its groups and arrays; an array is read when it is asked for.

    This is a reader of its own, of the part of the format that Keras uses: the HDF5 library falls
    into endless loops over inner tables that were forged on purpose, and follows links and
    compressed data to anywhere and any size. Here each table is read once, and what is not stored
    in the file itself, once and in one piece, is refused. So are files in the format's newer
    layout, which h5py writes when it is asked for by `libver`.

    Args:
        source: A path, or a binary file object.
        most_bytes: How much memory all arrays that are read may take together.

    Yields:
        The root, an `Hdf5Group`.

    Raises:
        WeightsFileError: If the file is broken, holds anything but groups and plain arrays, or if
            the arrays that are read are larger than allowed.

    Example:

    >>> import io
    >>> import h5py
    >>> file = io.BytesIO()
    >>> with h5py.File(file, "w") as root:
    ...     root["layers/dense/kernel"] = [[1.0, 2.0]]
    >>> with read_hdf5(file, most_bytes=100) as root:
    ...     root.groups["layers"].groups["dense"].arrays["kernel"].read()
    array([[1., 2.]])
    """
    with contextlib.ExitStack() as stack:
        with _broken_files_refused():
            file = source if hasattr(source, "read") else stack.enter_context(open(source, "rb"))
            root = _Reader(Hdf5Bytes(file), most_bytes).root()
        yield root


class Hdf5Group:
    """A group: its groups and arrays by name, and of its attributes the text `name`, if any."""

    def __init__(self, attributes, groups, arrays):
        self.attributes: dict[str, str] = attributes
        self.groups: dict[str, Hdf5Group] = groups
        self.arrays: dict[str, Hdf5Array] = arrays


class Hdf5Array:
    """An array in an open file: `shape` and `dtype` are known, and `read` returns the values."""

    def __init__(self, stored, dtype, where, reader):
        self.shape: tuple[int, ...] = stored.shape
        self.dtype: np.dtype = dtype
        self._stored: Stored = stored
        self._where = where
        self._reader = reader

    def read(self) -> np.ndarray:
        """Returns the values, or raises if they and those read before are too many."""
        size = self._stored.size
        if size > self._reader.bytes_left:
            raise WeightsFileError(
                f"{self._where!r} declares {size:,} bytes, {self._reader.bytes_left:,} are allowed"
            )
        self._reader.bytes_left -= size
        with _broken_files_refused():
            return self._reader.values(self._stored).view(self.dtype).reshape(self.shape)


class _Reader:
    """What one reading of a file has met and may still take."""

    def __init__(self, file, most_bytes):
        self.bytes_left = most_bytes
        self._file = file
        self._texts = Hdf5Texts(file)
        self._met = set()

    def root(self):
        signature, *versions, _, _, _, base, _, end, driver, header = self._file.unpack(
            SUPERBLOCK, 0
        )
        if signature != MAGIC:
            raise broken("it does not begin as one")
        if versions != [0, 0, 0, 0, 8, 8] or base or driver != NOWHERE:
            raise WeightsFileError("it is in a layout of HDF5 that Keras does not write")
        if end > self._file.size:
            raise broken("it is cut off")
        self._met.add(header)
        messages = read_header(self._file, header, "/")
        if GROUP not in messages:
            raise broken("it has no root")
        return self._group(messages, where="", level=0)

    def _group(self, messages, where, level):
        if level > MOST_LEVELS:
            raise WeightsFileError(f"{where!r} lies more than {MOST_LEVELS} groups deep")
        groups, arrays = {}, {}
        tree, names = fields(PLACE, messages[GROUP][0], where)
        for name, header in read_links(self._file, tree, names, where).items():
            path = f"{where}/{name}"
            if len(path) > MOST_LETTERS:
                raise WeightsFileError(f"{path!r} is longer than {MOST_LETTERS} letters")
            if header in self._met:
                raise WeightsFileError(f"{path!r} can be reached by two ways")
            self._met.add(header)
            child = read_header(self._file, header, path)
            if GROUP in child:
                groups[name] = self._group(child, path, level + 1)
            elif LAYOUT in child:
                arrays[name] = self._array(child, path)
            else:
                raise WeightsFileError(f"{path!r} is neither a group nor an array")
        text = self._texts.read(messages, "name", where or "/")
        return Hdf5Group({} if text is None else {"name": text}, groups, arrays)

    def _array(self, messages, path):
        stored = describe_array(self._file, messages, path)
        if stored.type_name != "opaque":
            return Hdf5Array(stored, np.dtype(stored.type_name), path, self)
        if self._texts.read(messages, "dtype", path) != "bfloat16":  # as Keras stores it
            raise WeightsFileError(f"{path!r} does not hold numbers")
        return Hdf5Array(stored, np.dtype(ml_dtypes.bfloat16), path, self)

    def values(self, stored):
        """Returns an array's values, in a row; those of an opaque type as integers."""
        position = stored.start or 0

        def read_into(buffer):
            nonlocal position
            if stored.start is None:
                buffer[:] = stored.inline[position : position + len(buffer)]
            else:
                self._file.read_into(position, buffer)
            position += len(buffer)

        element_type = ElementType(stored.type_name.replace("opaque", "uint16"))
        count = stored.size // element_type.itemsize
        return read_elements(read_into, element_type, count, stored.byte_order)


@contextlib.contextmanager
def _broken_files_refused():
    try:
        yield
    except (OSError, ValueError) as error:  # the latter of a file that is closed
        if isinstance(error, WeightsFileError):
            raise
        raise broken(str(error)) from error

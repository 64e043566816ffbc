"""HDF5 files, as Keras writes them."""

import contextlib
import math

import h5py
import ml_dtypes
import numpy as np

from keras_resnets.files.errors import WeightsFileError

MOST_OBJECTS = 2**18  # ResNet-1202 with Adam's state has some 40,000
MOST_LEVELS = 32


@contextlib.contextmanager
def read_hdf5(source, most_bytes):
    """Opens a file and yields its groups and arrays; an array is read when it is asked for.

    Only what is stored in the file itself, once and in one piece, is let through, which is all
    that Keras writes. Links to elsewhere could read a stranger's choice of file into a weight, and
    compressed data could unpack to any size. The bytes are parsed by the HDF5 library itself, which
    can fall into an endless loop over inner tables that were forged on purpose.

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
            file = stack.enter_context(h5py.File(source, "r"))
            root = _Reader(file, most_bytes).group(file, where="", level=0)
        yield root


class Hdf5Group:
    """A group: its groups and arrays by name, and those of its attributes that are one text."""

    def __init__(self, attributes, groups, arrays):
        self.attributes: dict[str, str] = attributes
        self.groups: dict[str, Hdf5Group] = groups
        self.arrays: dict[str, Hdf5Array] = arrays


class Hdf5Array:
    """An array in an open file: `shape` and `dtype` are known, and `read` returns the values."""

    def __init__(self, dataset, dtype, where, reader):
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype: np.dtype = dtype
        self._dataset = dataset
        self._where = where
        self._reader = reader

    def read(self) -> np.ndarray:
        """Returns the values, or raises if they and those read before are too many."""
        size = math.prod(self.shape) * self.dtype.itemsize
        if size > self._reader.bytes_left:
            raise WeightsFileError(
                f"{self._where!r} declares {size:,} bytes, {self._reader.bytes_left:,} are allowed"
            )
        self._reader.bytes_left -= size
        with _broken_files_refused():
            values = np.asarray(self._dataset[()])
            if self.dtype == ml_dtypes.bfloat16:
                return values.view(ml_dtypes.bfloat16)
            return values.astype(self.dtype.newbyteorder("="), copy=False)


class _Reader:
    """What one reading of a file has met and may still take."""

    def __init__(self, file, most_bytes):
        self.bytes_left = most_bytes
        self._addresses = {h5py.h5o.get_info(file.id).addr}

    def group(self, group, where, level):
        if level > MOST_LEVELS:
            raise WeightsFileError(f"{where!r} lies more than {MOST_LEVELS} groups deep")
        groups, arrays = {}, {}
        for name in self._names(group, where):
            path = f"{where}/{name}"
            child = self._child(group, name, path)
            if isinstance(child, h5py.Group):
                groups[name] = self.group(child, path, level + 1)
            elif isinstance(child, h5py.Dataset):
                arrays[name] = self._array(child, path)
            else:
                raise WeightsFileError(f"{path!r} is neither a group nor an array")
        return Hdf5Group(_texts(group.attrs), groups, arrays)

    def _names(self, group, where):
        names = []

        def visit(name):
            names.append(name.decode())
            return len(names) > MOST_OBJECTS or None  # anything but None ends the iteration

        group.id.links.iterate(visit)
        if len(names) + len(self._addresses) > MOST_OBJECTS:
            raise WeightsFileError(f"it holds more than {MOST_OBJECTS:,} groups and arrays")
        for name in names:
            if not name or "/" in name:
                raise WeightsFileError(f"{where + '/'!r} holds the name {name!r}")
        return names

    def _child(self, group, name, path):
        if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            raise WeightsFileError(f"{path!r} is a link to elsewhere")
        child = group[name]
        address = h5py.h5o.get_info(child.id).addr
        if address in self._addresses:
            raise WeightsFileError(f"{path!r} can be reached by two ways")
        self._addresses.add(address)
        return child

    def _array(self, dataset, path):
        creation = dataset.id.get_create_plist()
        layout = creation.get_layout()
        if creation.get_external_count():
            raise WeightsFileError(f"{path!r} is stored in another file")
        if layout not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT):
            raise WeightsFileError(
                f"{path!r} is not stored in one piece: it is chunked, compressed or virtual"
            )
        if dataset.shape is None:
            raise WeightsFileError(f"{path!r} has no shape")
        is_stored = layout == h5py.h5d.COMPACT or dataset.id.get_offset() is not None
        if 0 not in dataset.shape and not is_stored:
            raise WeightsFileError(f"{path!r} declares the shape {dataset.shape} without its data")
        return Hdf5Array(dataset, _number_type(dataset, path), path, self)


def _number_type(dataset, path):
    """Returns the type of the numbers; a reference, a text or a structure is none."""
    dtype = dataset.dtype
    if dtype == np.dtype("V2") and _texts(dataset.attrs).get("dtype") == "bfloat16":
        return np.dtype(ml_dtypes.bfloat16)  # as Keras stores it
    if dtype.kind not in "fiub" or dtype.shape:
        raise WeightsFileError(f"{path!r} does not hold numbers but {dtype}")
    return dtype


def _texts(attributes):
    """Returns the attributes that are one text; the others are not read."""
    texts = {}
    for name in attributes:
        attribute = attributes.get_id(name)
        if attribute.shape == () and h5py.check_string_dtype(attribute.dtype):
            value = attributes[name]
            texts[name] = value.decode() if isinstance(value, bytes) else value
    return texts


@contextlib.contextmanager
def _broken_files_refused():
    try:
        yield
    except WeightsFileError:
        raise
    except Exception as error:  # what h5py raises of a broken file has no common base
        raise WeightsFileError(f"it is no sound HDF5 file ({error})") from error

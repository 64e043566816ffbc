"""The pickle in a PyTorch file: what it may name, and what stands for that here.

`torch.save` pickles the object it is given, with each tensor as a call of one of torch's rebuilding
functions on a storage, and each storage as a persistent key: the tuple ("storage", type of its
elements, key, device it was on, number of elements), with a sixth entry in the older format. The
elements follow elsewhere in the file.

What torch means by a tensor: a window, by offset, shape and strides, on a storage.

A storage is a flat run of elements. Several tensors may share one (tied weights, slices), and the
strides of a tensor, in elements, may step over parts of it (a transposed matrix) or, being 0, stay
where they are (an expanded one).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from keras_resnets.files.elements import BFLOAT16, ElementType, check_shape
from keras_resnets.files.errors import WeightsFileError, shown
from keras_resnets.files.pickle_machine import Function, Vocabulary
from keras_resnets.files.restricted_pickle import read_pickle

# A file twice its size covers bfloat16 as float32; this much is for expanded tensors, which are
# larger than what is stored of them.
MOST_EXTRA_BYTES = 2**26
# Each takes half a kilobyte of memory beside its elements. ResNet-1202 has 8,500.
MOST_TENSORS = 2**16


@dataclass(frozen=True)
class Storage:
    """A storage that lies outside of the pickle, under a key."""

    element_type: ElementType
    key: str
    count: int

    @property
    def stored_bytes(self) -> int:
        """The bytes of the storage in the file."""
        return self.count * self.element_type.itemsize


@dataclass(frozen=True)
class Tensor:
    """A tensor whose elements are still in the file; every one of them lies in its storage.

    Args:
        storage: Where they lie.
        offset: Index of the first element there.
        shape: Sizes along the dimensions.
        strides: By how many elements a step along each dimension goes on; not negative in torch.

    Raises:
        WeightsFileError: If one of them is of another type, or an element lies outside.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self):
        if type(self.storage) is not Storage:
            raise WeightsFileError("A tensor must lie on a storage.")
        if type(self.shape) is not tuple or type(self.strides) is not tuple:
            raise WeightsFileError("A tensor's shape and strides must be tuples.")
        if len(self.shape) != len(self.strides):
            raise WeightsFileError(
                f"A tensor must have as many strides as dimensions; one has {len(self.strides)} "
                f"and {len(self.shape)}."
            )
        numbers = (self.offset, *self.shape, *self.strides)
        if any(type(number) is not int or number < 0 for number in numbers):
            raise WeightsFileError(
                "A tensor's offset, shape and strides must be integers of at least 0."
            )
        check_shape(self.shape)
        steps = sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        end = self.offset + steps + 1 if self.size else self.offset
        if end > self.storage.count:
            raise WeightsFileError(
                f"A tensor must lie inside its storage; one of shape {self.shape} ends at element "
                f"{end:,} of a storage of {self.storage.count:,}."
            )

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def loaded_bytes(self) -> int:
        """The bytes of all elements in memory, if none of them shared any."""
        return self.size * self.storage.element_type.loaded.itemsize


def load_tensors(
    tensors: dict[str, Tensor], load_storage: Callable[[Storage], np.ndarray], file_bytes: int
) -> dict[str, np.ndarray]:
    """Returns the tensors as read-only arrays; those that share a storage share memory.

    Args:
        tensors: From names to tensors.
        load_storage: Returns the elements of a storage; called once for each that is needed.
        file_bytes: Size of the file, which bounds what the arrays may come to.

    Raises:
        WeightsFileError: If there are very many, or they would be far larger than the file.
    """
    if len(tensors) > MOST_TENSORS:
        raise WeightsFileError(
            f"A file must hold at most {MOST_TENSORS:,} tensors; this one holds {len(tensors):,}."
        )
    total = sum(tensor.loaded_bytes for tensor in tensors.values())
    if total > 2 * file_bytes + MOST_EXTRA_BYTES:
        raise WeightsFileError(
            f"The tensors must not be far larger than their file; they come to {total:,} bytes, "
            f"the file has {file_bytes:,}."
        )
    loaded: dict[str, np.ndarray] = {}
    arrays = {}
    for name, tensor in tensors.items():
        storage = tensor.storage
        if storage.key not in loaded:
            loaded[storage.key] = load_storage(storage)
        arrays[name] = _window(tensor, loaded[storage.key])
    return arrays


def _window(tensor, elements):
    """Views a tensor's elements; NumPy checks once more that they lie inside the buffer."""
    if not tensor.size:
        array = np.empty(tensor.shape, elements.dtype)
    else:
        item = elements.itemsize
        # Along a dimension of one element any stride is the same, and a huge one would overflow.
        steps = zip(tensor.shape, tensor.strides, strict=True)
        strides = tuple(item * step if size > 1 else 0 for size, step in steps)
        array = np.ndarray(tensor.shape, elements.dtype, elements, item * tensor.offset, strides)
    array.flags.writeable = False
    return array


def read_torch_pickle(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """Returns the object that was saved, with each tensor as a `Tensor`, and its storages by key.

    Args:
        file: A file open for reading bytes, positioned at the pickle.

    Raises:
        WeightsFileError: If the pickle holds more than plain values and tensors.
    """
    storages: dict[str, Storage] = {}

    def persistent(key):
        storage = _storage(key)
        known = storages.setdefault(storage.key, storage)
        if known != storage:
            raise WeightsFileError(
                f"A storage must have one type and size; {shown(storage.key)} has two."
            )
        return known

    return read_pickle(file, Vocabulary(_NAMES, persistent)), storages


def _storage(key):
    if type(key) is not tuple or len(key) not in (5, 6) or key[0] != "storage":
        raise WeightsFileError(
            "The pickle refers to something outside of it that is no storage: a whole model was "
            "saved instead of its `state_dict()`."
        )
    _, element_type, name, device, count = key[:5]
    if type(element_type) is not ElementType or type(name) is not str or type(device) is not str:
        raise WeightsFileError("The pickle refers to a storage without a type, key or device.")
    if type(count) is not int or count < 0:
        raise WeightsFileError("A storage must have a number of elements of at least 0.")
    if key[5:] not in ((), (None,)):
        raise WeightsFileError("A storage that is a view of another is not supported.")
    return Storage(element_type, name, count)


def _counter(counts):
    if type(counts) is not dict:
        raise WeightsFileError("A Counter must be made of a dictionary.")
    return counts


def _size(numbers):
    if type(numbers) is not tuple:
        raise WeightsFileError("A torch.Size must be made of a tuple.")
    return numbers


def _tensor_v2(storage, offset, shape, strides, requires_grad, hooks, metadata=None):
    if type(requires_grad) is not bool or hooks != {} or metadata not in (None, {}):
        raise WeightsFileError(
            "A tensor with hooks or with a lazy negation or conjugation is not supported."
        )
    return Tensor(storage, offset, shape, strides)


def _parameter(tensor, requires_grad, hooks):
    if type(tensor) is not Tensor or type(requires_grad) is not bool or hooks != {}:
        raise WeightsFileError("A parameter must be a tensor without hooks.")
    return tensor


_NAMES = {
    # Filled by later instructions. (Python 2 passed the entries as an argument: refused.)
    "collections OrderedDict": Function("OrderedDict", dict, (0,)),
    "collections Counter": Function("Counter", _counter, (1,)),  # in the state of MultiStepLR
    "torch Size": Function("torch.Size", _size, (1,)),
    "torch._utils _rebuild_tensor": Function("_rebuild_tensor", Tensor, (4,)),
    "torch._utils _rebuild_tensor_v2": Function("_rebuild_tensor_v2", _tensor_v2, (6, 7)),
    "torch._utils _rebuild_parameter": Function("_rebuild_parameter", _parameter, (3,)),
    "torch DoubleStorage": ElementType("float64"),
    "torch FloatStorage": ElementType("float32"),
    "torch HalfStorage": ElementType("float16"),
    "torch BFloat16Storage": BFLOAT16,
    "torch LongStorage": ElementType("int64"),
    "torch IntStorage": ElementType("int32"),
    "torch ShortStorage": ElementType("int16"),
    "torch CharStorage": ElementType("int8"),
    "torch ByteStorage": ElementType("uint8"),
    "torch BoolStorage": ElementType("bool"),
}

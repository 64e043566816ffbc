"""The pickle in a PyTorch file: what it may hold, and what that becomes here.

A pickle is a program: Python imports and calls what it names. Here it may use the instructions by
which protocol 2 writes plain values, and the names that are listed below, which have inert
stand-ins: nothing is imported. The stand-ins are tuples, whose fields and attributes no
instruction can set.

`torch.save` pickles the object it is given, with each tensor as a call of one of torch's rebuilding
functions on a storage, and each storage as a persistent key: the tuple ("storage", type of its
elements, key, device it was on, number of elements), with a sixth entry in the older format. The
elements follow elsewhere in the file. A tensor is a window, by offset, shape and strides, on a
storage. Several may share one, and strides of 0 repeat elements.
"""

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

from keras_resnets.files.elements import BFLOAT16, ElementType, check_shape
from keras_resnets.files.errors import WeightsFileError, printable, shown

# What torch writes of a ResNet-1202, optimizer included, is 1.4 MB and 380,000 instructions.
MOST_BYTES = 2**24
MOST_INSTRUCTIONS = 10**6
INSTRUCTIONS = {
    *("PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BINFLOAT", "BINUNICODE"),
    *("BININT", "BININT1", "BININT2", "LONG1", "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("TUPLE", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS"),
    *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
}
# Every dictionary is made as an `Entries`, which checks its keys.
EMPTY_DICT, MAKE_ENTRIES = b"}", b"ccollections\nOrderedDict\n)R"


class Entries(dict):
    """A dictionary whose keys are texts and integers, each set once.

    Others' hashes can take a file's author's time. Attributes that are set on it are dropped.
    """

    __slots__ = ()

    def __setitem__(self, key, value):
        if type(key) not in (str, int):
            raise WeightsFileError(f"The pickle has a key of type {type(key).__name__}.")
        if key in self:
            raise WeightsFileError(f"The pickle sets a key twice: {shown(str(key))}.")
        super().__setitem__(key, value)

    def __setstate__(self, state):
        pass


class Function(NamedTuple):
    """Stands for a function that a pickle may call, with one of these numbers of arguments."""

    name: str
    function: Callable[..., Any]
    counts: tuple[int, ...]

    def __call__(self, *arguments):
        if len(arguments) not in self.counts:
            raise WeightsFileError(f"The pickle calls {self.name} with {len(arguments)} arguments.")
        return self.function(*arguments)


class Storage(NamedTuple):
    """A storage that lies outside of the pickle, under a key."""

    element_type: ElementType
    key: str
    elements: int

    @property
    def stored_bytes(self) -> int:
        """The bytes of the storage in the file."""
        return self.elements * self.element_type.itemsize


class Tensor(NamedTuple):
    """A tensor whose elements are still in the file; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


def read_torch_pickle(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """Returns the object that was saved, with each tensor as a `Tensor`, and its storages by key.

    The file is left behind the pickle.
    """
    storages: dict[str, Storage] = {}
    return read_pickle(file, _NAMES, storages), storages


def read_pickle(file: BinaryIO, names=None, storages=None) -> Any:
    """Returns the value of a pickle that may refer to these names, and to storages if given."""
    start, end = file.tell(), file.seek(0, io.SEEK_END)
    file.seek(start)
    data = file.read(min(MOST_BYTES, end - start))
    names = _PLAIN if names is None else names
    program, length = _checked(data, names)
    file.seek(start + length)
    try:
        return _Unpickler(program, names, storages).load()
    except WeightsFileError:
        raise
    except Exception as error:  # of which a broken program can cause many kinds
        raise WeightsFileError(f"The pickle is broken ({printable(str(error))}).") from error


def _checked(data, names):
    """Returns a pickle whose instructions and names are all allowed, and its length in the file."""
    pieces, copied, length = [], 0, 0
    argument: Any
    position: Any
    try:
        for number, (code, argument, position) in enumerate(pickletools.genops(data)):
            if number >= MOST_INSTRUCTIONS:
                raise WeightsFileError(f"The pickle has more than {number:,} instructions.")
            # Names first: a whole model's file also uses instructions that are not allowed.
            if code.name == "GLOBAL" and argument not in names:
                raise WeightsFileError(
                    f"The pickle refers to {shown(argument.replace(' ', '.'))}, which is not "
                    "allowed: a file of weights holds tensors, numbers and texts "
                    "(`torch.save(model.state_dict(), path)`), no objects of other classes."
                )
            if code.name not in INSTRUCTIONS:
                raise WeightsFileError(f"The pickle uses {code.name}, which is not allowed.")
            if code.name == "PROTO" and argument != 2:
                raise WeightsFileError(
                    f"The pickle must be of protocol 2, which torch.save writes, not {argument}."
                )
            # Also keeps anyone from choosing integers whose hashes collide.
            if code.name == "LONG1" and argument.bit_length() > 63:
                raise WeightsFileError("The pickle has an integer of more than 64 bits.")
            # The memo is an array as long as its highest index.
            if code.name == "LONG_BINPUT" and argument >= MOST_INSTRUCTIONS:
                raise WeightsFileError(f"The pickle writes entry {argument} of its memo.")
            if code.name == "BINUNICODE":
                argument.encode()  # fails for surrogates
            if code.name == "EMPTY_DICT":
                pieces += [data[copied:position], MAKE_ENTRIES]
                copied = position + 1
            length = position + 1
    except WeightsFileError:
        raise
    except ValueError as error:
        raise WeightsFileError(
            f"The pickle is broken, cut off, or longer than is allowed ({printable(str(error))})."
        ) from error
    return b"".join([*pieces, data[copied:length]]), length


class _Unpickler(pickle.Unpickler):
    """Imports nothing: names and storages have stand-ins."""

    def __init__(self, program, names, storages):
        super().__init__(io.BytesIO(program))
        self.names, self.storages = names, storages

    def find_class(self, module, name):
        return self.names[f"{module} {name}"]

    def persistent_load(self, key):
        if self.storages is None:
            raise WeightsFileError("The pickle refers to an object outside of it.")
        storage = _storage(key)
        known = self.storages.setdefault(storage.key, storage)
        if known != storage:
            raise WeightsFileError(
                f"A storage must have one type and size; {shown(storage.key)} has two."
            )
        return known


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


def _tensor(storage, offset, shape, strides, requires_grad=False, hooks=None, metadata=None):
    """Returns a tensor, every element of which lies in its storage."""
    if type(requires_grad) is not bool or hooks or metadata:
        raise WeightsFileError(
            "A tensor with hooks or with a lazy negation or conjugation is not supported."
        )
    if type(storage) is not Storage:
        raise WeightsFileError("A tensor must lie on a storage.")
    if type(shape) is not tuple or type(strides) is not tuple:
        raise WeightsFileError("A tensor's shape and strides must be tuples.")
    if len(shape) != len(strides):
        raise WeightsFileError(
            f"A tensor must have as many strides as dimensions; one has {len(strides)} and "
            f"{len(shape)}."
        )
    if any(type(number) is not int or number < 0 for number in (offset, *shape, *strides)):
        raise WeightsFileError(
            "A tensor's offset, shape and strides must be integers of at least 0."
        )
    check_shape(shape)
    steps = sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    end = offset if 0 in shape else offset + steps + 1
    if end > storage.elements:
        raise WeightsFileError(
            f"A tensor must lie inside its storage; one of shape {shape} ends at element {end:,} "
            f"of a storage of {storage.elements:,}."
        )
    return Tensor(storage, offset, shape, strides)


def _parameter(tensor, requires_grad, hooks):
    if type(tensor) is not Tensor or type(requires_grad) is not bool or hooks:
        raise WeightsFileError("A parameter must be a tensor without hooks.")
    return tensor


def _of_type(kind):
    def check(value):
        if type(value) is not kind:
            raise WeightsFileError(f"The pickle has a torch.Size or Counter of {type(value)}.")
        return value

    return check


_PLAIN = {
    # Filled by later instructions. (Python 2 passed the entries as an argument: refused.)
    "collections OrderedDict": Function("OrderedDict", Entries, (0,)),
}
_NAMES = {
    **_PLAIN,
    "collections Counter": Function("Counter", _of_type(Entries), (1,)),  # of MultiStepLR
    "torch Size": Function("torch.Size", _of_type(tuple), (1,)),
    "torch._utils _rebuild_tensor": Function("_rebuild_tensor", _tensor, (4,)),
    "torch._utils _rebuild_tensor_v2": Function("_rebuild_tensor_v2", _tensor, (6, 7)),
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

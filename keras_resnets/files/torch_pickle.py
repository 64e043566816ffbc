"""The pickle in a PyTorch file: what it may hold, and what that becomes here.

A pickle is a program: Python imports and calls what it names. Here it may use the instructions by
which protocol 2 writes values and objects, and nothing is imported or called. What makes tensors is
listed below, and has stand-ins, tuples whose fields and attributes no instruction can set. Whatever
else a checkpoint names, such as an `argparse.Namespace` beside the weights, becomes an `Inert`.

`torch.save` writes a tensor as a call of a rebuilding function: a window, by offset, shape and
strides, on a storage. A storage is a persistent key, ("storage", type of its elements, key, device,
number of elements), in the older format with a sixth entry; its elements are not in the pickle.
"""

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

from keras_resnets.files.elements import WeightsFileError, cause, check_shape, require, shown

# What torch writes of a ResNet-1202, optimizer included, is 1.4 MB and 380,000 instructions.
MOST_BYTES = 2**24
MOST_INSTRUCTIONS = 10**6
MOST_CLASSES = 1000  # of objects beside the weights; each takes a kilobyte
INSTRUCTIONS = {
    *("PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BINFLOAT", "BINUNICODE"),
    *("BININT", "BININT1", "BININT2", "LONG1", "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("TUPLE", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS"),
    *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "BINPERSID"),
    *("GLOBAL", "REDUCE", "NEWOBJ", "BUILD"),
}
# What the arguments of some instructions must be, and what is said of others.
RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "PROTO": (lambda version: version == 2, "must be of protocol 2, as torch.save writes, not {}"),
    # The memo is an array as long as its highest index.
    "LONG_BINPUT": (lambda index: index < MOST_INSTRUCTIONS, "writes entry {} of its memo"),
    "BINUNICODE": (lambda text: bool(text.encode()) or not text, "has a text with surrogates"),
}
# Every dictionary is made as an `Entries`, which checks its keys.
MAKE_ENTRIES = b"ccollections\nOrderedDict\n)R"


class Entries(dict):
    """A dictionary of texts and integers as keys; what has another key is no weight, and left out.

    The hashes of other keys may take unlimited time, and those of large integers can be made to
    collide.
    """

    __slots__ = ()

    def __setitem__(self, key, value):
        if type(key) is str or (type(key) is int and key.bit_length() < 64):
            require(key not in self, f"The pickle sets a key twice: {shown(str(key))}.")
            super().__setitem__(key, value)

    def __setstate__(self, state):
        pass


class Inert:
    """Stands for an object that is no tensor; a class of its own stands for each class or function.

    It takes whatever a pickle does to it and keeps nothing: no instruction sets an attribute of the
    class or of an instance.
    """

    __slots__ = ()
    named = ""  # what the pickle calls the class or function

    def __new__(cls, *arguments):
        return super().__new__(cls)

    def __call__(self, *arguments):
        return self

    def __setitem__(self, key, value):
        pass

    def __setstate__(self, state):
        pass

    def append(self, value):
        pass

    def extend(self, values):
        pass


def is_inert_class(value: Any) -> bool:
    """Whether a value stands for a class or function that makes no tensor."""
    return isinstance(value, type) and issubclass(value, Inert)


class Name(NamedTuple):
    """Stands for a function that a pickle may call, or a storage's type, by NumPy's name of it."""

    value: Any

    def __call__(self, *arguments):
        return self.value(*arguments)


class Storage(NamedTuple):
    """A storage that lies outside of the pickle, under a key; `stored` is its elements' type."""

    stored: str
    key: str
    elements: int


class Tensor(NamedTuple):
    """A tensor whose elements are still in the file; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pickle(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """Returns a pickle's value, and its storages by key; the file is left behind the pickle."""
    start = file.tell()
    left = file.seek(0, io.SEEK_END) - start
    file.seek(start)
    try:
        program, length = _checked(file.read(min(MOST_BYTES, left)))
        file.seek(start + length)
        unpickler = _Unpickler(io.BytesIO(program))
        return unpickler.load(), unpickler.storages
    except WeightsFileError:
        raise
    except Exception as error:  # a broken program can cause many kinds
        reason = f"The pickle is broken, cut off, or longer than is allowed ({cause(error)})."
        raise WeightsFileError(reason) from error


def _checked(data):
    """Returns a pickle whose instructions are all allowed, and its length in the file."""
    pieces, copied, length = [], 0, 0
    argument: Any
    position: Any
    for number, (code, argument, position) in enumerate(pickletools.genops(data)):
        is_allowed, reason = RULES.get(code.name, (None, ""))
        if is_allowed is not None and not is_allowed(argument):
            raise WeightsFileError(f"The pickle {reason.format(argument)}.")
        if code.name not in INSTRUCTIONS:
            raise WeightsFileError(f"The pickle uses {code.name}, which is not allowed.")
        if number >= MOST_INSTRUCTIONS:
            raise WeightsFileError(f"The pickle has more than {number:,} instructions.")
        if code.name == "EMPTY_DICT":
            pieces += [data[copied:position], MAKE_ENTRIES]
            copied = position + 1
        length = position + 1
    return b"".join([*pieces, data[copied:length]]), length


class _Unpickler(pickle.Unpickler):
    """Imports nothing: names and storages have stand-ins."""

    def __init__(self, program):
        super().__init__(program)
        self.storages: dict[str, Storage] = {}
        self.others: dict[str, type[Inert]] = {}

    def find_class(self, module, name):
        if known := NAMES.get(f"{module} {name}"):
            return known
        named = f"{module}.{name}"
        if named not in self.others:
            is_few = len(self.others) < MOST_CLASSES
            require(is_few, f"A pickle must refer to at most {MOST_CLASSES:,} other names.")
            self.others[named] = type("Inert", (Inert,), {"__slots__": (), "named": named})
        return self.others[named]

    def persistent_load(self, key):
        require(
            type(key) is tuple and len(key) in (5, 6) and key[0] == "storage",
            "The pickle refers to something outside of it that is no storage: a whole model was "
            "saved instead of its `state_dict()`.",
        )
        _, kind, name, device, count, *view = key
        if is_inert_class(kind):  # of a type that NumPy does not have
            return kind()
        is_named = (type(kind), type(name), type(device)) == (Name, str, str)
        is_named = is_named and type(kind.value) is str
        require(is_named, "The pickle refers to a storage without a type, key or device.")
        is_count = type(count) is int and count >= 0
        require(is_count, "A storage must have a number of elements of at least 0.")
        require(view in ([], [None]), "A storage that is a view of another is not supported.")
        storage = Storage(kind.value, name, count)
        is_known = self.storages.setdefault(name, storage) == storage
        require(is_known, f"A storage must have one type and size; {shown(name)} has two.")
        return storage


def _rebuild_tensor(on, offset, shape, strides, requires_grad=False, hooks=None, metadata=None):
    """Returns a tensor, every element of which lies in its storage."""
    if isinstance(on, Inert):
        return on
    is_plain = type(requires_grad) is bool and not hooks and not metadata
    require(is_plain, "A tensor with hooks or a lazy negation or conjugation is not supported.")
    require(type(on) is Storage, "A tensor must lie on a storage.")
    is_pair = type(shape) is type(strides) is tuple and len(shape) == len(strides)
    require(is_pair, "A tensor's shape and strides must be tuples of one length.")
    are_sizes = all(type(number) is int and number >= 0 for number in (offset, *shape, *strides))
    require(are_sizes, "A tensor's offset, shape and strides must be integers of at least 0.")
    check_shape(shape)
    steps = sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    end = offset if 0 in shape else offset + steps + 1
    require(
        end <= on.elements,
        f"A tensor must lie inside its storage; one of shape {shape} ends at element {end:,} of a "
        f"storage of {on.elements:,}.",
    )
    return Tensor(on, offset, shape, strides)


def _rebuild_parameter(tensor, requires_grad, hooks):
    is_tensor = isinstance(tensor, (Tensor, Inert))
    is_plain = is_tensor and type(requires_grad) is bool and not hooks
    require(is_plain, "A parameter must be a tensor without hooks.")
    return tensor


def _rebuild_parameter_with_state(tensor, requires_grad, hooks, state):
    """Returns a parameter without the attributes that somebody gave it."""
    return _rebuild_parameter(tensor, requires_grad, hooks)


def _rebuild_from_type(rebuild, kind, arguments=(), state=None):
    """Returns a tensor of a class of somebody's as a plain one, which has the same elements."""
    if is_inert_class(rebuild):
        return rebuild()
    is_known = type(rebuild) is Name and callable(rebuild.value) and type(arguments) is tuple
    return rebuild(*arguments) if is_known else Inert()


def _as_it_is(value):
    is_right = isinstance(value, (Entries, Inert, tuple))
    require(is_right, f"The pickle has a torch.Size or Counter of {type(value)}.")
    return value


STORAGES = {
    **{"Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16"},
    **{"Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8"},
    **{"Byte": "uint8", "Bool": "bool"},
}
NAMES: dict[str, Name] = {
    # Filled by later instructions. (Python 2 passed the entries as an argument: refused.)
    "collections OrderedDict": Name(lambda: Entries()),
    "collections Counter": Name(_as_it_is),  # of MultiStepLR
    "torch Size": Name(_as_it_is),
    "torch._utils _rebuild_tensor": Name(_rebuild_tensor),
    "torch._utils _rebuild_tensor_v2": Name(_rebuild_tensor),
    "torch._utils _rebuild_parameter": Name(_rebuild_parameter),
    "torch._utils _rebuild_parameter_with_state": Name(_rebuild_parameter_with_state),
    "torch._tensor _rebuild_from_type_v2": Name(_rebuild_from_type),
    **{f"torch {kind}Storage": Name(stored) for kind, stored in STORAGES.items()},
}

"""The pickle in a PyTorch file: what it may name, and what stands for that here.

`torch.save` pickles the object it is given, with each tensor as a call of one of torch's rebuilding
functions on a storage, and each storage as a persistent key: the tuple ("storage", type of its
elements, key, device it was on, number of elements), with a sixth entry in the older format. The
elements follow elsewhere in the file.
"""

from typing import Any, BinaryIO

from keras_resnets.files.elements import BFLOAT16, ElementType
from keras_resnets.files.errors import WeightsFileError, shown
from keras_resnets.files.pickle_machine import Function, Vocabulary
from keras_resnets.files.restricted_pickle import read_pickle
from keras_resnets.files.torch_tensors import Storage, Tensor


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

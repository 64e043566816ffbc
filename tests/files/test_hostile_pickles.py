"""Pickles that would run something, or wear the reader out: refused by name, and nothing ran."""

import contextlib
import os
import pickle
import struct
import tracemalloc

import pytest

from keras_resnets.files import WeightsFileError
from keras_resnets.files.torch_files import load_tensors
from keras_resnets.files.torch_pickle import Storage, Tensor
from tests.files import writing
from tests.files.writing import call, integer, mapping, name, sequence, storage, tensor, text


def dotted(path):
    return name(*path.rsplit(".", 1))


def calling(path, argument="touch {}", *more):
    """A call of a function, and how the message names it."""
    return lambda c: call(dotted(path), text(argument.format(c)), *more), f"'{path}'"


OS = call(dotted("importlib.import_module"), text("os"))
COMMAND = "open({!r}, 'w').close()"
# Each would create the canary, at the path `c`, were it read by Python's own pickle.
RUNS = {
    "os.system": calling("os.system"),
    "posix": calling("posix.system"),
    "eval": calling("builtins.eval", COMMAND),
    "exec": calling("builtins.exec", COMMAND),
    "the name of Python 2": calling("__builtin__.eval", COMMAND),
    "open": calling("io.open", "{}", text("w")),
    "subprocess": (
        lambda c: call(dotted("subprocess.call"), sequence(text("touch"), text(c))),
        "'subprocess.call'",
    ),
    "getattr": (
        lambda c: call(call(dotted("builtins.getattr"), OS, text("system")), text(f"touch {c}")),
        "'builtins.getattr'|'importlib.import_module'",
    ),
    "functools.partial": (
        lambda c: call(
            call(dotted("functools.partial"), dotted("os.system")), text(f"touch {c}")
        ),
        "'functools.partial'",
    ),
    "operator.methodcaller": (
        lambda c: call(
            call(dotted("operator.methodcaller"), text("system"), text(f"touch {c}")), OS
        ),
        "'operator.methodcaller'",
    ),
    "pickle in a pickle": (
        # Protocol 2 writes bytes as a call that encodes a text.
        lambda c: call(
            dotted("pickle.loads"),
            call(dotted("_codecs.encode"), text(f"cos\nsystem\n(Vtouch {c}\ntR."), text("latin1")),
        ),
        "'pickle.loads'",
    ),
    "INST": (lambda c: b"(" + text(f"touch {c}") + b"ios\nsystem\n", "INST"),
    "OBJ": (lambda c: b"(" + dotted("os.system") + text(f"touch {c}") + b"o", "OBJ"),
    "STACK_GLOBAL": (
        lambda c: call(text("os") + text("system") + b"\x93", text(f"touch {c}")),
        "STACK_GLOBAL",
    ),
    "a name with dots": (
        # Followed attribute by attribute from protocol 4 on.
        lambda c: b"\x80\x04" + call(name("shutil", "os.system"), text(f"touch {c}")),
        "protocol 2",
    ),
    "in the attributes of a dictionary": (
        lambda c: (
            mapping(w=integer(1)) + b"}" + text("x") + calling("os.system")[0](c) + b"sb"
        ),
        "this one holds 'w'",
    ),
    "in the arguments of a dictionary": (
        lambda c: call(
            dotted("collections.OrderedDict"),
            sequence(sequence(text("a"), calling("os.system")[0](c))),
        ),
        "takes 0 positional arguments",
    ),
    "after an exchange in the memo": (
        lambda c: (
            dotted("collections.OrderedDict") + b"q\x000" + dotted("os.system") + b"q\x000"
            + b"h\x00" + sequence(text(f"touch {c}")) + b"R"
        ),
        "POP",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RUNS)
def test_these_pickles_are_dangerous_indeed(case, canary):
    make, _ = RUNS[case]
    with contextlib.suppress(TypeError, AttributeError):  # after it has run
        pickle.loads(writing.pickled(make(str(canary))))
    assert canary.exists()


@writing.TORCH_FORMATS
@pytest.mark.parametrize("case", RUNS)
@pytest.mark.parametrize("place", ["alone", "beside a tensor"])
def test_a_pickle_that_would_run_something_runs_nothing(read_watched, canary, write, case, place):
    make, reason = RUNS[case]
    body = make(str(canary))
    if place == "alone":
        with pytest.raises(WeightsFileError, match=reason):
            read_watched(write(body))
        return
    with contextlib.suppress(WeightsFileError):
        assert list(read_watched(write(mapping(w=tensor(), z=body)))) == ["w"]


class Reducing:
    """Pickles as a call, with each of the six places that `__reduce__` has."""

    def __init__(self, *reduction):
        self.reduction = reduction

    def __reduce__(self):
        return self.reduction


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", ["call", "state", "list", "dictionary", "chain"])
def test_what_reduce_returns_is_not_called(read_watched, canary, protocol, place):
    command = Reducing(os.system, (f"touch {canary}",))
    values = {
        "call": command,
        "state": Reducing(dict, (), command),
        "list": Reducing(list, (), None, iter([command])),
        "dictionary": Reducing(dict, (), None, None, iter([("a", command)])),
        "chain": Reducing(getattr, (Reducing(dict, (command,)), "keys")),
    }
    data = pickle.dumps(values[place], protocol)
    for wrapped in (
        writing.archive([("archive/data.pkl", data)]),
        writing.torch_stream(b"").replace(writing.pickled(b""), data, 1),
        data,
    ):
        with pytest.raises(WeightsFileError):
            read_watched(wrapped)


NEW = b")\x81"  # of a class, without arguments
BYTES = call(name("_codecs", "encode"), text("\x07\xe5"), text("latin1"))
# What people keep beside their weights, as Python pickles it, and what nobody does.
OBJECTS = {
    "a Namespace": name("argparse", "Namespace") + NEW + b"}" + text("lr") + b"K\x01sb",
    "a scalar of numpy": call(
        name("numpy.core.multiarray", "scalar"),
        call(name("numpy", "dtype"), text("f8"), b"\x89", b"\x88") + b"N\x85b",
        BYTES,
    ),
    "a defaultdict": (
        call(name("collections", "defaultdict"), name("__builtin__", "list"))
        + (text("loss") + b"]K\x01as")
    ),
    "a set": call(name("__builtin__", "set"), b"](K\x01K\x02e"),
    "a datetime": call(name("datetime", "datetime"), BYTES),
    "a list of one's own": name("my.code", "History") + NEW + b"(K\x01K\x02e" + b"K\x03a",
    "one's own function": name("my.code", "schedule"),
    "an object of an object": call(call(name("my.code", "maker"), b"N"), b"N"),
    "a tensor of complex numbers": tensor(storage("1", "ComplexFloatStorage")),
    "a parameter of them": call(
        name("torch._utils", "_rebuild_parameter"),
        tensor(storage("1", "ComplexFloatStorage")), b"\x88", mapping(),
    ),
    "a tensor of nothing": call(
        name("torch._tensor", "_rebuild_from_type_v2"), tensor(), name("my.code", "Tensor")
    ),
    "a size of an object": call(name("torch", "Size"), call(name("my.code", "size"))),
    "a dictionary with other keys": b"}(" + (b"K\x01K\x02\x86N" + b"NN" + tensor() + b"N") + b"u",
    "a large integer": b"\x8a\xff" + b"\x01" * 255,
    "a large integer as a key": b"}\x8a\xff" + b"\x01" * 255 + b"Ns",
    "a name with dots": name("torch", "serialization.os.system"),
    "a name with a zero": name("os\0", "system"),
}  # fmt: skip


@pytest.mark.parametrize("case", OBJECTS)
def test_what_stands_beside_the_weights_is_never_made(read_watched, case):
    assert list(read_watched(writing.torch_zip(mapping(z=OBJECTS[case], w=tensor())))) == ["w"]


def test_very_many_classes_are_refused(read_watched):
    names = b"".join(name("my.code", f"c{number}") for number in range(1001))
    with pytest.raises(WeightsFileError, match="at most 1,000 other names"):
        read_watched(writing.torch_zip(mapping(z=b"(" + names + b"t", w=tensor())))


# The body of a pickle, and what the message says.
REFUSED = {
    "torch.load": (call(name("torch", "load"), text("other.pt")), "'torch.load'"),
    "torch.hub": (call(name("torch.hub", "load"), text("a/b")), "'torch.hub.load'"),
    "torch.jit": (call(name("torch.jit", "load"), text("a.pt")), "'torch.jit.load'"),
    "torch.storage": (
        call(name("torch.storage", "_load_from_bytes"), text("a")),
        "'torch.storage._load_from_bytes'",
    ),
    "another of torch._utils": (
        call(name("torch._utils", "_import_dotted_name"), text("os.system")),
        "_import_dotted_name",
    ),
    "a whole model": (
        mapping(model=name("torchvision.models.resnet", "ResNet") + b")\x81}b", epoch=integer(3)),
        "'torchvision.models.resnet.ResNet' makes: a whole model.*state_dict",
    ),
    "a whole model, by protocol 2": (
        name("torch.nn.modules.linear", "Linear") + b")\x81}b",
        "'torch.nn.modules.linear.Linear'.*state_dict",
    ),
    "a name with an umlaut": (mapping(w="cörg\nsystem\n".encode()), "broken"),
    "a long name": (b"c" + b"a" * 1000 + b"\nb\n", "holds what 'a{80}'… makes"),
    "a name without an end": (b"cos", "broken"),
    "EXT1": (b"\x82\x01", "EXT1"),
    "EXT2": (b"\x83\x01\x00", "EXT2"),
    "EXT4": (b"\x84\x01\x00\x00\x00", "EXT4"),
    "NEWOBJ": (name("collections", "OrderedDict") + b")\x81", "NEWOBJ"),
    "NEWOBJ_EX": (name("collections", "OrderedDict") + b")}\x92", "NEWOBJ_EX"),
    "DUP": (b"}2", "DUP"),
    "POP_MARK": (b"(1}", "POP_MARK"),
    "PERSID": (b"Pstorage\n", "PERSID"),
    "a text in protocol 0": (b"Vx\n", "UNICODE"),
    "an integer in protocol 0": (b"I1\n", "INT"),
    "an unknown instruction": (b"\xff", r"opcode b'\\xff' unknown"),
    "NEXT_BUFFER": (b"\x97", "NEXT_BUFFER"),
    "a call of a text": (text("os.system") + b")R", "'str' object is not callable"),
    "a call of a dictionary": (b"})R", "'Entries' object is not callable"),
    "a call of a type": (name("torch", "FloatStorage") + b")R", "object is not callable"),
    "arguments in a list": (name("torch", "Size") + b"]R", "argument list must be a tuple"),
    "too many arguments": (call(name("torch", "Size"), b")", b")"), "takes 1 positional"),
    "an OrderedDict of pairs": (
        call(name("collections", "OrderedDict"), b"]"),
        "takes 0 positional arguments but 1 was given",
    ),
    "a Counter of a list": (call(name("collections", "Counter"), b"]"), "Counter"),
    "a Size of a text": (call(name("torch", "Size"), text("a")), "torch.Size"),
    "attributes of a text": (text("a") + b"}b", "'str' object has no attribute"),
    "attributes of a tensor": (tensor() + b"}b", "'Tensor' object has no attribute"),
    "attributes of a function": (name("torch", "Size") + b"}b", "object has no attribute"),
    "an item of a tuple": (b")Na", "'tuple' object has no attribute"),
    "an item of a tensor": (tensor() + text("storage") + b"Ns", "does not support item"),
    "a persistent text": (text("storage") + b"Q", "no storage"),
    "a persistent model": (
        sequence(text("module"), name("torch", "Size"), text("a.py"), text("x = 1")) + b"Q",
        "whole model",
    ),
    "a key that is a tensor": (b"}" + tensor() + b"Ns", "this one holds nothing"),
    "a key that is a list": (b"}]Ns", "this one holds nothing"),
    "a key that is a nested tuple": (b"})" + b"\x85" * 10_000 + b"Ns", "this one holds nothing"),
    "a key twice": (b"}(" + 2 * (text("w") + tensor()) + b"u", "sets a key twice: 'w'"),
    "a key without a value": (b"}(" + text("w") + b"u", "odd number of items"),
    "an unknown entry of the memo": (b"h\x05", "not found at index 5"),
    "a huge entry of the memo": (b"j\xff\xff\xff\xff", "not found at index 4294967295"),
    "a text of 4 GB": (b"X\xff\xff\xff\xffa", "cut off, or longer than is allowed"),
    "a text of 8 MB that is not there": (b"X" + struct.pack("<I", 2**23) + b"a", "cut off"),
    "bytes of 16 EB": (b"\x8e" + b"\xff" * 8, "bytes8 byte count"),
    "a frame of 16 EB": (b"\x95" + b"\xff" * 8, "FRAME"),
    "an array of 16 EB": (b"\x96" + b"\xff" * 8, "bytearray8 byte count"),
    "a long of 2 GB": (b"\x8b\xff\xff\xff\x7f", "read long4"),
    "a long of 255 bytes": (b"\x8a\xff" + b"\x01" * 255, "not a int"),
    "a text that is not UTF-8": (b"X\x02\x00\x00\x00\xff\xfe", "'utf-8' codec"),
    "a text with a surrogate": (b"X\x03\x00\x00\x00\xed\xa0\x80", "'utf-8' codec"),
    "an empty stack": (b"\x86", "stack underflow"),
    "a value below a mark": (b"}(\x85", "unexpected MARK"),
    "an item below a mark": (b"](N(a", "unexpected MARK"),
    "a mark that is not set": (b"Nt", "could not find MARK"),
    "nothing": (b"", "stack underflow"),
    "values left over": (b"}}", "holds nothing"),
    "a mark left over": (b"(}", "holds nothing"),
    "another protocol": (b"\x80\x05}", "protocol 2"),
    "a tensor alone": (tensor(), "a dictionary of tensors, not a Tensor"),
    "a list of tensors": (b"](" + tensor() + b"e", "not a list"),
    "no tensors": (mapping(epoch=integer(3)), "this one holds 'epoch'"),
    "nothing in it": (b"}", "this one holds nothing"),
    "a tensor under a number": (b"}(K\x07" + tensor() + b"u", "one has 7"),
    "itself as its state dict": (b"}q\x00" + text("state_dict") + b"h\x00s", "'state_dict'"),
    "itself in a list": (b"}q\x00" + text("model") + b"]h\x00as", "'model'"),
    "lists in lists": (b"]" * 100_000 + b"a" * 99_999, "not a list"),
    "tuples in tuples": (b")" + b"\x85" * 100_000, "not a tuple"),
    "dictionaries in dictionaries": (
        b"}" + (text("state_dict") + b"}") * 50_000 + b"s" * 50_000,
        "'state_dict'",
    ),
    "doubling tuples": (b"N" + b"q\x00h\x00\x86" * 100_000, "not a tuple"),
    "marks only": (b"(" * 100_000, "unexpected MARK"),
}


@writing.TORCH_FORMATS
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_state_dict_is_refused(read_watched, write, case):
    body, reason = REFUSED[case]
    with pytest.raises(WeightsFileError, match=reason):
        read_watched(write(body))


def test_a_pickle_with_a_million_instructions_is_refused(read_watched):
    with pytest.raises(WeightsFileError, match=r"more than 1,000,000 instructions"):
        read_watched(writing.torch_zip(b"]" * 10**6))


def test_the_largest_pickle_stays_within_the_memory_that_is_promised(read_watched):
    """12 MB of text and 400,000 kept dictionaries: the peak of an eighth of these counts eightfold.

    One letter beyond 16 bits makes each of a text's letters take four bytes.
    """
    letters = text("a" * (12 * 2**20) + "😀")
    kept = b"".join(b"}r" + struct.pack("<I", index) for index in range(50_000))

    def peak_of(body):
        data = writing.torch_zip(body)
        tracemalloc.start()
        try:
            with pytest.raises(WeightsFileError, match=r"holds nothing|not a str"):
                read_watched(data)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    size = len(letters) + 8 * len(kept)
    assert peak_of(letters) + 8 * peak_of(kept) < 2 * size + 200 * 10**6


def test_a_huge_index_of_the_memo_is_refused(read_watched):
    """Python's unpickler allocates the memo up to its highest index."""
    body = mapping(w=tensor()) + b"r\xff\xff\xff\xff"
    with pytest.raises(WeightsFileError, match="entry 4294967295 of its memo"):
        read_watched(writing.torch_zip(body))


@pytest.mark.parametrize(
    ("target", "attribute", "value"),
    [
        (name("torch._utils", "_rebuild_tensor_v2"), "function", b"N"),
        (name("torch._utils", "_rebuild_tensor_v2"), "__call__", b"N"),
        (name("torch", "FloatStorage"), "stored", text("float64")),
        (name("my.code", "Thing"), "named", text("numpy")),
        (name("my.code", "Thing"), "__call__", b"N"),
        (tensor(), "shape", b")"),
        (storage(), "elements", integer(2**40)),
    ],
)
def test_attributes_of_stand_ins_cannot_be_set(read_watched, target, attribute, value):
    """BUILD sets what the second of two states holds by `setattr`."""
    state = sequence(b"N", b"}" + text(attribute) + value + b"s")
    with pytest.raises(WeightsFileError, match="attribute"):
        read_watched(writing.torch_zip(mapping(z=target + state + b"b", w=tensor())))
    assert read_watched(writing.torch_zip(mapping(w=tensor())))["w"].tolist() == [
        [0, 1, 2],
        [3, 4, 5],
    ]


def test_attributes_of_a_dictionary_are_dropped(read_watched):
    """Among them the methods that fill it."""
    state = sequence(b"N", b"}" + text("__setitem__") + b"Ns")
    ordered = call(name("collections", "OrderedDict"))
    filled = ordered + state + b"b" + text("w") + tensor() + b"s"
    assert list(read_watched(writing.torch_zip(filled))) == ["w"]


def test_the_other_pickles_of_a_stream_may_name_nothing(read_watched, canary):
    command = call(name("os", "system"), text(f"touch {canary}"))
    valid = writing.torch_stream(mapping(w=tensor()))
    version, machine = writing.pickled(integer(1001)), b"\x80\x02}(" + text("protocol_version")
    keys = writing.pickled(b"](" + text("0") + b"e")
    for part in (version, machine, keys):
        assert valid.count(part) == 1
        with pytest.raises(WeightsFileError, match=r"must be|must have been"):
            read_watched(valid.replace(part, writing.pickled(command)))
        with pytest.raises(WeightsFileError, match="outside of it"):
            read_watched(valid.replace(part, writing.pickled(text("a") + b"Q")))


def test_very_many_tensors_on_one_number_are_refused_before_any_array():
    """Of rank 32 each of them takes half a kilobyte, and 15 bytes of the file."""
    one = Tensor(Storage("float32", "0", 1), 0, (1,) * 32, (0,) * 32)

    def load(storage):
        pytest.fail("elements were read")

    with pytest.raises(WeightsFileError, match=r"at most 65,536 tensors; this one holds 65,537"):
        load_tensors({str(number): one for number in range(2**16 + 1)}, load, 2**20)

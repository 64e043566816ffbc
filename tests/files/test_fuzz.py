"""Thousands of damaged files: each is refused, or gives arrays; nothing else, and in little memory.

The mutations are drawn from fixed seeds. A pickle inside an archive is also damaged before it is
packed, for else the checksum would refuse nearly all.
"""

import contextlib
import io
import json
import signal
import struct
import tracemalloc
import zipfile

import h5py
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_resnets.files import WeightsFileError
from keras_resnets.files.torch_files import all_tensors
from keras_resnets.files.torch_pickle import read_pickle
from tests.files import writing
from tests.files.writing import (
    call,
    entries_of,
    integer,
    mapping,
    name,
    storage,
    tensor,
    text,
)

PLAIN = mapping(
    epoch=integer(3),
    state_dict=mapping(
        weight=tensor(),
        bias=tensor(None, 3, (3,), (1,)),
        half=tensor(storage("1", "BFloat16Storage", 12), 0, (3, 4), (1, 3)),
        flags=tensor(storage("2", "BoolStorage", 4), 0, (4,), (1,)),
    ),
    arch=text("resnet20"),
)
# As of Lightning: a prefix, entries of its own, and objects beside the weights.
NEW = b")\x81"
CHECKPOINT = mapping(
    state_dict=entries_of({"model.w": tensor(), "model.b": tensor(None, 3, (3,), (1,))}),
    loops=mapping(fit_loop=mapping(state_dict=b"}")),
    hyper_parameters=name("argparse", "Namespace") + NEW + b"}" + text("lr") + b"K\x01sb",
    callbacks=call(name("collections", "defaultdict"), name("__builtin__", "list"))
    + (text("loss") + b"]K\x01as"),
    score=call(name("numpy.core.multiarray", "scalar"), name("numpy", "dtype"), text("x")),
    half=tensor(storage("1", "BFloat16Storage", 12), 0, (3, 4), (1, 3)),
    flags=tensor(storage("2", "BoolStorage", 4), 0, (4,), (1,)),
)
CONTENTS = {"0": writing.SIX, "1": bytes(range(24)), "2": b"\0\1\1\0"}
STREAM_COUNTS = {"1": 12, "2": 4}
TABLE = (
    '{"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "h": {"dtype": "BF16", '
    '"shape": [4], "data_offsets": [24, 32]}, "e": {"dtype": "BOOL", "shape": [0], '
    '"data_offsets": [32, 32]}, "__metadata__": {"format": "pt"}}'
)
ARCHIVE = writing.torch_zip(PLAIN, CONTENTS)
STREAM = writing.torch_stream(PLAIN, CONTENTS, counts=STREAM_COUNTS)
TENSORS = writing.SIX + bytes(range(8))


def hdf5():
    """A file as Keras writes it: nested groups, names, and one array of each kind."""
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        for number in range(9):  # one more than a leaf of a tree holds
            variables = root.create_group(f"layers/conv_{number}/vars")
            variables.attrs["name"] = f"stage1_conv{number}"
            variables["0"] = np.full((2, 3), number, "float32")
        variables["1"] = np.arange(3)
        variables["2"] = np.array([True, False])
        half = variables.create_dataset("3", data=np.ones(4, ml_dtypes.bfloat16))
        half.attrs["dtype"] = "bfloat16"
    return file.getvalue()


HDF5 = hdf5()
SHARDS = {name: f"model-0000{number}-of-00002.safetensors" for number, name in enumerate("ab", 1)}
INDEX = json.dumps({"metadata": {"total_size": 48}, "weight_map": SHARDS}).encode()


def keras_archive(weights, method=zipfile.ZIP_STORED):
    return writing.archive([("config.json", b"{}"), ("model.weights.h5", weights)], method)


# What a file is made of, and what is made of its damaged bytes.
FORMATS = {
    "zip": (ARCHIVE, lambda data: data),
    "64-bit zip": (writing.with_wide_end(ARCHIVE), lambda data: data),
    "pickle in a zip": (PLAIN, lambda data: writing.torch_zip(data, CONTENTS)),
    "checkpoint in a zip": (CHECKPOINT, lambda data: writing.torch_zip(data, CONTENTS)),
    "index": (INDEX, lambda data: data),
    "stream": (STREAM, lambda data: data),
    "safetensors": (writing.safetensors(TABLE, TENSORS), lambda data: data),
    "table of safetensors": (TABLE.encode(), lambda data: writing.safetensors(data, TENSORS)),
    "hdf5": (HDF5, lambda data: data),
    "keras": (keras_archive(HDF5), lambda data: data),
    "deflated keras": (keras_archive(HDF5, zipfile.ZIP_DEFLATED), lambda data: data),
}
FILE_NAMES = {"index": "model.safetensors.index.json"}
USING_HDF5 = ("hdf5", "keras", "deflated keras")
EXTREMES = [0, 1, -1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, -(2**63)]
SECONDS = 5  # for a file of some kilobytes, on a machine that does other things too
SECONDS_OF_HDF5 = 120  # its process has 2 of its own, but may wait for others
ALLOWANCE = 2**18  # of bytes, beside twice the file, for the tables of the reader itself
COUNT, SOAK_COUNT = 500, 5_000
COUNT_OF_HDF5, SOAK_COUNT_OF_HDF5 = 30, 200  # each file takes a process


@pytest.fixture(autouse=True)
def little_time(monkeypatch):
    monkeypatch.setattr("keras_resnets.files.hdf5.SECONDS", 2)


@pytest.fixture(autouse=True)
def shards(tmp_path):
    """The files that the index names, beside it."""
    for key, shard in SHARDS.items():
        save_file({key: np.ones((2, 3), "float32")}, tmp_path / shard)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_refused_or_read(read_watched, kind):
    fuzz(read_watched, kind, range(COUNT_OF_HDF5 if kind in USING_HDF5 else COUNT))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", FORMATS)
def test_many_damaged_files_are_refused_or_read(read_watched, kind):
    count = SOAK_COUNT_OF_HDF5 if kind in USING_HDF5 else SOAK_COUNT
    fuzz(read_watched, kind, range(COUNT, COUNT + count))


def fuzz(read_watched, kind, seeds):
    whole, pack = FORMATS[kind]
    file_name = FILE_NAMES.get(kind, "weights.pt")
    assert read_watched(pack(whole), file_name)
    refused = 0
    tracemalloc.start()
    try:
        for seed in seeds:
            data = pack(damaged(whole, np.random.default_rng([seed, len(whole)])))
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            try:
                with at_most_seconds(SECONDS_OF_HDF5 if kind in USING_HDF5 else SECONDS):
                    touch(read_watched(data, file_name))
            except WeightsFileError:
                refused += 1
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < 2 * len(data) + ALLOWANCE, seed
    finally:
        tracemalloc.stop()
    # Else the damage would be too small, or all the same.
    assert 0.3 * len(seeds) < refused


def test_of_a_damaged_checkpoint_all_tensors_are_found_or_it_is_refused():
    """As `convert_weights` looks for a network, in every dictionary there is."""
    whole, refused = writing.pickled(CHECKPOINT), 0
    saved, _ = read_pickle(io.BytesIO(whole))
    assert [*all_tensors(saved)] == ["half", "flags", "state_dict/model.w", "state_dict/model.b"]
    for seed in range(COUNT):
        data = damaged(whole, np.random.default_rng([seed, 1]))
        try:
            with at_most_seconds(SECONDS):
                saved, _ = read_pickle(io.BytesIO(data))
                all_tensors(saved)
        except WeightsFileError:
            refused += 1
    assert refused > 0.3 * COUNT


class TooLongError(BaseException):
    """No `Exception`: the readers make their own error of those."""


@contextlib.contextmanager
def at_most_seconds(seconds):
    """Fails a reading that may have no end; that of our own code can be interrupted."""

    def fail(*_):
        raise TooLongError(f"it takes more than {seconds} seconds of the processor")

    before = signal.signal(signal.SIGVTALRM, fail)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def touch(arrays):
    """Reads the ends of every array: memory that is not there would end the process."""
    for array in arrays.values():
        assert isinstance(array, np.ndarray)
        if array.size:
            array[(0,) * array.ndim].item()
            array[(-1,) * array.ndim].item()


def damaged(data, rng):
    """Returns the bytes with one to four changes."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        place = int(rng.integers(0, max(1, len(data))))
        other = int(rng.integers(0, max(1, len(data))))
        length = int(rng.integers(1, 17))
        match rng.integers(0, 7):
            case 0:
                data[place : place + 1] = bytes([rng.integers(0, 256)])
            case 1 if data:
                data[min(place, len(data) - 1)] ^= 1 << int(rng.integers(0, 8))
            case 2:
                number = int(rng.choice(np.array(EXTREMES, object)))
                size = int(rng.choice([1, 2, 4, 8]))
                packed = struct.pack("<Q", number % 2**64)[:size]
                data[place : place + size] = packed
            case 3:
                del data[place : place + length]
            case 4:
                data[place:place] = data[other : other + length]
            case 5:
                data[place : place + length] = data[other : other + length]
            case 6 if rng.random() < 0.2:
                del data[place:]
    return bytes(data)

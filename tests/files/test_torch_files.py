"""PyTorch files written by hand are read as torch would read them."""

import json
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_resnets.files import WeightsFileError, read_arrays
from tests.files import writing
from tests.files.writing import integer, mapping, name, storage, tensor, text


@pytest.fixture
def read(tmp_path):
    def read_bytes(data, file_name="weights.pt"):
        path = tmp_path / file_name
        path.write_bytes(data)
        return read_arrays(path)

    return read_bytes


@writing.TORCH_FORMATS
@pytest.mark.parametrize("file_name", ["weights.pt", "weights.safetensors", "weights"])
def test_the_content_decides_the_format(read, write, file_name):
    arrays = read(write(mapping(w=tensor())), file_name)
    assert list(arrays) == ["w"]
    np.testing.assert_array_equal(arrays["w"], [[0, 1, 2], [3, 4, 5]])
    assert arrays["w"].dtype == np.float32
    assert not arrays["w"].flags.writeable


@writing.TORCH_FORMATS
@pytest.mark.parametrize(
    ("offset", "shape", "strides", "expected"),
    [
        (0, (3, 2), (1, 3), [[0, 3], [1, 4], [2, 5]]),
        (1, (2,), (3,), [1, 4]),
        (4, (), (), 4),
        (2, (2, 3), (0, 1), [[2, 3, 4], [2, 3, 4]]),
        (0, (2, 2), (1, 1), [[0, 1], [1, 2]]),
        (6, (0, 4), (4, 1), np.zeros((0, 4))),
        (5, (1,), (2**60,), [5]),
    ],
    ids=["transposed", "column", "scalar", "expanded", "windows", "empty", "unused stride"],
)
def test_a_tensor_is_a_window_on_its_storage(read, write, offset, shape, strides, expected):
    arrays = read(write(mapping(w=tensor(None, offset, shape, strides))))
    np.testing.assert_array_equal(arrays["w"], expected)
    assert arrays["w"].shape == shape


@writing.TORCH_FORMATS
def test_tensors_on_one_storage_share_memory(read, write):
    arrays = read(write(mapping(a=tensor(), b=tensor(None, 3, (3,), (1,)))))
    assert np.shares_memory(arrays["a"], arrays["b"])
    np.testing.assert_array_equal(arrays["b"], [3, 4, 5])


@pytest.mark.parametrize("dtype", writing.STORAGES)
@pytest.mark.parametrize("order", ["little", "big"])
def test_every_type_in_both_byte_orders(read, dtype, order):
    values = np.array([0, 1, 1, 0, 1, 0], dtype) * np.array(100, dtype)
    values = values.astype(dtype)
    content = values.astype(values.dtype.newbyteorder("<" if order == "little" else ">")).tobytes()
    body = mapping(w=tensor(storage("0", writing.STORAGES[dtype]), 0, (6,), (1,)))
    array = read(writing.torch_zip(body, {"0": content}, byte_order=order.encode()))["w"]
    assert array.dtype == np.dtype(dtype)
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, values)


@pytest.mark.parametrize("order", ["little", "big"])
def test_bfloat16_becomes_float32(read, order):
    # 1 is 0x3F80, −2 is 0xC000, and 0x4049 is 3.140625: 8 bits of precision.
    bits = np.array([0x3F80, 0xC000, 0x4049], "<u2" if order == "little" else ">u2").tobytes()
    body = mapping(w=tensor(storage("0", "BFloat16Storage", 3), 0, (3,), (1,)))
    array = read(writing.torch_zip(body, {"0": bits}, byte_order=order.encode()))["w"]
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.array([1, -2, 3.140625], np.float32))


@writing.TORCH_FORMATS
@pytest.mark.parametrize(
    "key", ["state_dict", "model_state_dict", "model", "net", "state_dict_ema", "model_ema"]
)
def test_a_checkpoint_gives_its_state_dict(read, write, key):
    other = tensor(None, 0, (1,), (1,))
    checkpoint = {
        "epoch": integer(7),
        "best_prec1": other,
        "arch": text("resnet20"),
        "optimizer": mapping(momentum=other),
        key: mapping(w=tensor(), step=integer(3), note=text("x"), extra=b"N"),
    }
    assert list(read(write(writing.entries_of(checkpoint)))) == ["w"]


@writing.TORCH_FORMATS
def test_the_weights_come_before_their_average(read, write):
    first, second = tensor(None, 0, (1,), (1,)), tensor(None, 5, (1,), (1,))
    arrays = read(write(mapping(model_ema=mapping(w=second), model=mapping(w=first))))
    np.testing.assert_array_equal(arrays["w"], [0])


def test_a_state_dict_may_have_attributes_and_parameters(read):
    parameter = writing.call(
        name("torch._utils", "_rebuild_parameter"), tensor(), b"\x88", mapping()
    )
    versions = b"}" + text("_metadata") + mapping() + b"s"
    arrays = read(writing.torch_zip(mapping(w=parameter) + versions + b"b"))
    assert arrays["w"].shape == (2, 3)


def test_other_plain_values_are_read_over(read):
    size = writing.call(name("torch", "Size"), writing.integers((2, 3)))
    counter = writing.call(name("collections", "Counter"), b"}")
    numbers = b"](K\x01G?\xf0\x00\x00\x00\x00\x00\x00NM\x00\x01J\xff\xff\xff\xffe"
    body = mapping(w=tensor(), size=size, counter=counter, numbers=numbers, tuples=b"N\x85")
    assert list(read(writing.torch_zip(body))) == ["w"]


def test_the_64_bit_end_that_torch_writes_is_read(read):
    assert list(read(writing.with_wide_end(writing.torch_zip(mapping(w=tensor()))))) == ["w"]


def test_an_archive_without_a_byte_order_is_little_endian(read):
    arrays = read(writing.torch_zip(mapping(w=tensor()), byte_order=None))
    np.testing.assert_array_equal(arrays["w"], [[0, 1, 2], [3, 4, 5]])


def test_a_path_must_be_one():
    with pytest.raises(TypeError, match=r"`path` must be a path. Received: path=3"):
        read_arrays(3)


def test_an_error_names_the_path_and_is_a_value_error(tmp_path):
    with pytest.raises(
        ValueError, match=r"file at the path. Received: path='.*absent.pt'"
    ) as caught:
        read_arrays(tmp_path / "absent.pt")
    assert isinstance(caught.value, WeightsFileError)
    assert caught.value.path == tmp_path / "absent.pt"
    with pytest.raises(WeightsFileError, match=r"The folder must hold one of model\.safetensors, "):
        read_arrays(tmp_path)


@pytest.fixture
def sharded(tmp_path):
    """A checkpoint in two files with an index, as Hugging Face lays large ones out."""
    arrays = {"a": np.arange(6.0), "b": np.ones((2, 2), "float32"), "c": np.zeros(3, "float16")}
    names = {"a": "model-00001-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}
    names["b"] = names["a"]
    for file in names.values():
        save_file({name: arrays[name] for name in names if names[name] == file}, tmp_path / file)
    return tmp_path, arrays, names


def write_index(folder, weight_map):
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return path


def test_files_with_an_index_are_read_by_the_index_or_the_folder(sharded):
    folder, arrays, names = sharded
    for path in (write_index(folder, names), folder):
        read = read_arrays(path)
        assert list(read) == ["a", "c", "b"]  # in the order of the index
        for key, array in arrays.items():
            np.testing.assert_array_equal(read[key], array)
            assert read[key].dtype == array.dtype


def test_several_files_take_hardly_more_memory_than_their_arrays(tmp_path):
    """One file is read after the other: twice the files' size, and 200 MB, is promised."""
    count, size = 8, 2**22
    names = {str(part): f"model-{part:05d}-of-00008.safetensors" for part in range(1, count + 1)}
    for key, file in names.items():
        save_file({key: np.zeros(size // 4, "float32")}, tmp_path / file)
    write_index(tmp_path, names)
    tracemalloc.start()
    try:
        arrays = read_arrays(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(array.nbytes for array in arrays.values()) == count * size
    assert peak < 1.5 * count * size


def test_a_folder_with_one_file_is_read(tmp_path):
    save_file({"w": np.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "pytorch_model.bin").write_text("not read: it could be a pickle")
    assert list(read_arrays(tmp_path)) == ["w"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"a": "model-00003-of-00002.safetensors"}, "incomplete: 1 of its 3 files"),
        ({"a": "../model-00001-of-00002.safetensors"}, "files in its own folder"),
        ({"a": "/etc/passwd"}, "files in its own folder"),
        ({"a": ""}, "files in its own folder"),
        ({"a": "."}, "files in its own folder"),
        ({"a": ["x"]}, "a is in list"),
        ({"d": "model-00001-of-00002.safetensors"}, "must agree on what is in it.*'d'"),
        ({"c": "model-00001-of-00002.safetensors"}, "must agree on what is in it.*'c'"),
    ],
)
def test_an_index_that_does_not_fit_its_files_is_refused(sharded, change, reason):
    folder, _, names = sharded
    with pytest.raises(WeightsFileError, match=reason):
        read_arrays(write_index(folder, names | change))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": []}', "[" * 100_000, "\0"])
def test_a_broken_index_is_refused(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(WeightsFileError, match="must be JSON, with a `weight_map`"):
        read_arrays(tmp_path)

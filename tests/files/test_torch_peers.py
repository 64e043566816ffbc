"""Files that torch itself has written are read as torch reads them, with `weights_only`."""

import numpy as np
import pytest

from keras_resnets.files import WeightsFileError, read_arrays
from tests.files import writing
from tests.files.writing import mapping, storage, tensor

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

FORMATS = pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "stream"])
TYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8")
TYPES += ("uint8", "bool")


@pytest.fixture
def round_trip(tmp_path):
    """Saves with torch; returns what both readers make of the file."""

    def save_and_read(saved, as_zip):
        path = tmp_path / "weights.pt"
        torch.save(saved, path, _use_new_zipfile_serialization=as_zip)
        return read_arrays(path), torch.load(path, weights_only=True)

    return save_and_read


def assert_equal(arrays, state_dict):
    assert list(arrays) == list(state_dict)
    for name, expected in state_dict.items():
        expected = expected.detach()
        expected = expected.float() if expected.dtype == torch.bfloat16 else expected
        np.testing.assert_array_equal(arrays[name], expected.numpy(), strict=True)


def random_tensor(dtype, *shape):
    generator = torch.Generator().manual_seed(0)
    return (100 * torch.randn(shape, generator=generator)).to(getattr(torch, dtype))


@FORMATS
def test_every_type(round_trip, as_zip):
    saved = {dtype: random_tensor(dtype, 3, 5, 7) for dtype in TYPES}
    saved |= {f"{dtype} scalar": values[0, 0, 0].clone() for dtype, values in saved.items()}
    assert_equal(*round_trip(saved, as_zip))


@FORMATS
def test_special_numbers(round_trip, as_zip):
    numbers = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 1e-45, 3.4e38])
    saved = {name: numbers.to(getattr(torch, name)) for name in ("float32", "float16", "bfloat16")}
    assert_equal(*round_trip(saved, as_zip))


@FORMATS
def test_windows_on_storages(round_trip, as_zip):
    whole = random_tensor("float32", 6, 8, 4)
    saved = {
        "transposed": whole.permute(2, 0, 1),
        "channels_last": random_tensor("float32", 2, 3, 4, 5).to(memory_format=torch.channels_last),
        "slice": whole[1:3, ::2, 3],
        "expanded": torch.ones(3, 1).expand(3, 4),
        "windows": torch.arange(10.0).unfold(0, 4, 2),
        "empty": torch.empty(0, 3),
        "empty at the end": whole[6:],
        "of one": whole[2, 3, 1],
        "whole": whole,
    }
    arrays, expected = round_trip(saved, as_zip)
    assert_equal(arrays, expected)
    assert np.shares_memory(arrays["whole"], arrays["transposed"])


@FORMATS
def test_modules_with_tied_parameters(round_trip, as_zip):
    tied = torch.nn.Linear(4, 4)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), tied, tied
    )
    assert_equal(*round_trip(network.state_dict(), as_zip))
    assert_equal(*round_trip(dict(network.named_parameters()), as_zip))


@FORMATS
def test_a_checkpoint_of_a_training(round_trip, as_zip):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.LazyLinear(2)
    )
    network(torch.zeros(1, 3, 5, 5)).sum().backward()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [30, 60, 60])
    arrays, expected = round_trip(
        {
            "epoch": 90,
            "arch": "resnet18",
            "best_acc1": torch.tensor(76.1),
            "state_dict": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": schedule.state_dict(),
            "shape": torch.Size([3, 5]),
            "rng": torch.get_rng_state(),
        },
        as_zip,
    )
    assert_equal(arrays, expected["state_dict"])


@FORMATS
def test_what_torch_refuses_to_read_is_refused(tmp_path, as_zip):
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(2, 2), path, _use_new_zipfile_serialization=as_zip)
    with pytest.raises(Exception, match="weights_only"):
        torch.load(path, weights_only=True)
    with pytest.raises(WeightsFileError, match=r"whole model|torch.nn.modules.linear.Linear"):
        read_arrays(path)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torchscript_is_refused(tmp_path):
    path = tmp_path / "script.pt"
    network = torch.nn.Linear(2, 2)
    torch.jit.trace(network, torch.zeros(1, 2)).save(str(path))
    with pytest.raises(WeightsFileError, match="TorchScript"):
        read_arrays(path)


def test_safetensors_of_torch(tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    saved = {dtype: random_tensor(dtype, 3, 5) for dtype in TYPES}
    saved["scalar"] = torch.tensor(2.0, dtype=torch.bfloat16)
    saved["empty"] = torch.empty(0, 4)
    save_file(saved, tmp_path / "weights.safetensors")
    arrays = read_arrays(tmp_path / "weights.safetensors")
    assert_equal(dict(sorted(arrays.items())), dict(sorted(saved.items())))


HAND_WRITTEN = mapping(w=tensor(storage(kind="IntStorage"), 1, (2, 2), (1, 2)))


@pytest.mark.parametrize(
    "data",
    [
        writing.torch_zip(HAND_WRITTEN),
        writing.torch_zip(HAND_WRITTEN, byte_order=b"big"),
        writing.with_wide_end(writing.torch_zip(HAND_WRITTEN)),
        writing.torch_stream(HAND_WRITTEN),
    ],
    ids=["zip", "big-endian zip", "64-bit zip", "stream"],
)
def test_our_own_writing_is_what_torch_reads(tmp_path, data):
    """The default tests rest on files written by hand: these are torch's format indeed."""
    path = tmp_path / "weights.pt"
    path.write_bytes(data)
    assert_equal(read_arrays(path), torch.load(path, weights_only=True))

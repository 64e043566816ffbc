"""Back to torch: the published names, torch's order of axes, and what torch could not hold."""

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import ResNetSpec, build_model, convert_weights, to_torch_state_dict
from tests.weights.states import random_state, torchvision_entries

SMALL = {"repeats": (1, 2), "widths": (4, 6)}


def small_model(**options):
    spec = ResNetSpec(**{"block": "basic", **SMALL, **options})
    return build_model(spec, classes=5, input_shape=(16, 16, 3))


def test_resnet50_has_torchvision_s_320_names_in_its_order():
    state = to_torch_state_dict(keras_resnets.ResNet50(input_shape=(32, 32, 3)))
    expected = torchvision_entries("bottleneck", (3, 4, 6, 3))
    assert len(state) == 320  # as torchvision's resnet50 has
    without_counts = {n: a.shape for n, a in state.items() if "num_batches_tracked" not in n}
    assert list(without_counts.items()) == list(expected.items())
    assert list(state)[1:6] == [
        f"bn1.{name}"
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]
    assert state["bn1.num_batches_tracked"].shape == ()
    assert state["bn1.num_batches_tracked"].dtype == np.int64


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_what_came_from_torch_goes_back_unchanged(block):
    state = random_state(torchvision_entries(block, (1, 2), (4, 6), classes=5))
    back = to_torch_state_dict(convert_weights(state, input_shape=(16, 16, 3)))
    for name, array in state.items():
        np.testing.assert_array_equal(back[name], array)


def test_without_the_top_there_is_no_classifier():
    model = build_model(ResNetSpec(block="basic", **SMALL), include_top=False)
    assert not [name for name in to_torch_state_dict(model) if name.startswith("fc")]


def test_a_file_holds_the_arrays_and_replaces_an_older_one(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"older")
    state = to_torch_state_dict(small_model(), path)
    read = numpy_files.load_file(path)
    assert read.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(read[name], array)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "family", "message"),
    [
        ({"shortcut": "A"}, "torchvision", "shortcut='B' or 'D'. Received: .*shortcut='A'"),
        ({"shortcut": None}, "torchvision", "shortcut='B'"),
        ({"shortcut": "C"}, "hugging_face", "shortcut='B'"),
        ({"activation": "silu"}, "torchvision", "activation='relu'"),
        ({"block": "bottleneck", "stride_on": "1x1"}, "torchvision", "stride_on='3x3'"),
        ({"output_stride": 4}, "torchvision", "without `output_stride`.*: a model with .*=4"),
        ({"output_stride": 4}, "hugging_face", "networks have no dilation"),
        ({"shortcut": "A", "stem": "cifar"}, "akamaster", "zero_pad='both'"),
        ({}, "keras_applications", "one of 'torchvision', 'timm_v2', 'hugging_face', 'akamaster'"),
    ],
)
def test_what_the_family_does_not_have_is_refused(options, family, message):
    with pytest.raises(ValueError, match=message):
        to_torch_state_dict(small_model(**options), family=family)


def test_the_family_that_has_the_network_is_named():
    model = small_model(shortcut="A", stem="cifar", zero_pad="both")
    with pytest.raises(ValueError, match=r"shortcut='A'\. Pass family=.akamaster. for"):
        to_torch_state_dict(model)
    assert to_torch_state_dict(model, family="akamaster")


def test_arguments_are_checked(tmp_path):
    model = small_model()
    with pytest.raises(ValueError, match=r"end in \.safetensors"):
        to_torch_state_dict(model, tmp_path / "net.pth")
    with pytest.raises(TypeError, match="`path` must be None or a path"):
        to_torch_state_dict(model, 3)
    with pytest.raises(TypeError, match=r"must be a keras\.Model"):
        to_torch_state_dict(keras.layers.Dense(1))


@pytest.mark.parametrize("name", ["missing/net.safetensors", "file/net.safetensors"])
def test_a_folder_that_is_none_is_an_error_at_once(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"must lie in an existing folder\. Received: path="):
        to_torch_state_dict(small_model(), tmp_path / name)


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path):
    path = tmp_path / f"{'n' * 300}.safetensors"  # longer than file systems allow
    with pytest.raises(OSError, match=r"^The file could not be written \(.*n\.safetensors'$"):
        to_torch_state_dict(small_model(), path)
    assert list(tmp_path.iterdir()) == []


def test_a_family_that_is_named_takes_the_network():
    model = small_model(block="bottleneck", stride_on="1x1")
    with pytest.raises(ValueError, match="Pass family='hugging_face' for"):
        to_torch_state_dict(model, family="akamaster")
    assert to_torch_state_dict(model, family="hugging_face")

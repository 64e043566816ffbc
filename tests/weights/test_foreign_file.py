"""A factory's `weights` of another library: the options that it must be given, and what fails."""

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_resnets
from keras_resnets import ResNetSpec, build_model, model_preprocessing
from keras_resnets.files import WeightsFileError
from keras_resnets.models.option_error import OptionError
from tests.weights.states import random_state, torchvision_entries

AKAMASTER = ResNetSpec(
    block="basic", repeats=(1, 2), widths=(4, 6), stem="cifar", shortcut="A", zero_pad="both"
)


def build(spec, **arguments):
    return build_model(spec, input_shape=(16, 16, 3), classes=5, name="net", **arguments)


@pytest.fixture
def akamaster(tmp_path):
    """A file under the names of akamaster's repository, and the model that it came from."""
    path = tmp_path / "net.safetensors"
    model = build(AKAMASTER)
    keras_resnets.to_torch_state_dict(model, path, "akamaster")
    return path, model


def fails(spec, path):
    with pytest.raises(WeightsFileError) as raised:
        build(spec, weights=path)
    assert str(raised.value).count("Received:") == 1
    return raised.value


def test_a_cifar_repository_s_file_says_what_to_pass_and_then_loads(akamaster):
    path, model = akamaster
    spec = ResNetSpec(block="basic", repeats=(1, 2), widths=(4, 6), stem="cifar", shortcut="A")
    error = fails(spec, path)
    assert isinstance(error, OptionError)
    assert str(error) == (
        "`weights` must be of a network with the options of 'net', and the file's has "
        "zero_pad='both': pass zero_pad='both', or open the file with "
        f"`keras_resnets.convert_weights`. Received: weights={str(path)!r}, zero_pad='end'"
    )
    with pytest.warns(UserWarning, match="no preprocessing is noted"):
        loaded = build(AKAMASTER, weights=path)
    for after, before in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)
    assert model_preprocessing(loaded) is None


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"shortcut": "B"}, "has shortcut='A': pass shortcut='A', or open"),
        ({"shortcut": None}, "has shortcut='A': open"),  # plain factories have no such argument
        ({"repeats": (1, 3)}, r"has repeats=(1, 2): open"),
        ({"zero_pad": "both", "activation": "elu"}, "has activation='relu': pass"),
    ],
)
def test_other_options_of_its_network_are_named(akamaster, options, advice):
    fields = {"block": "basic", "repeats": (1, 2), "widths": (4, 6), "stem": "cifar"}
    error = fails(ResNetSpec(**{**fields, "shortcut": "A", **options}), akamaster[0])
    assert advice in str(error)


def test_only_what_the_family_fixes_is_compared(tmp_path):
    """torchvision's arrays do not tell where the stride is: both may be asked for."""
    entries = torchvision_entries("bottleneck", (1, 1), widths=(4, 6), classes=5)
    save_file(random_state(entries), tmp_path / "net.safetensors")
    spec = ResNetSpec(block="bottleneck", repeats=(1, 1), widths=(4, 6), stride_on="1x1")
    assert build(spec, weights=tmp_path / "net.safetensors").count_params() > 0


def test_keras_applications_has_the_stride_on_the_first_convolution(tmp_path):
    path = tmp_path / "resnet50.h5"
    keras.applications.ResNet50(weights=None, include_top=False).save(path)
    with pytest.raises(OptionError, match=r"has stride_on='1x1': pass stride_on='1x1', or"):
        keras_resnets.ResNet50(include_top=False, weights=path)


def test_arrays_that_do_not_fit_are_listed_beside_the_path(akamaster, tmp_path):
    state = keras_resnets.to_torch_state_dict(akamaster[1], family="akamaster")
    path = tmp_path / "more.safetensors"
    save_file({**state, "ema": np.zeros(2, "float32")}, path)
    error = fails(AKAMASTER, path)
    assert f"Received: weights={str(path)!r},\n  surplus: 'ema'" in str(error)


def test_a_file_that_cannot_be_read_is_named_once(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(b"This is no weight file. " * 100)
    assert str(fails(AKAMASTER, path)).endswith(f"Received: weights={str(path)!r}")

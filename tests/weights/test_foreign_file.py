"""A factory's `weights` of another library: whose options the model has, and what fails."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_resnets
from keras_resnets import ResNetSpec, build_model, model_preprocessing, model_spec
from keras_resnets.files import WeightsFileError
from keras_resnets.weights import configuration
from keras_resnets.weights.keras_files import OptionError
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


@pytest.mark.filterwarnings("ignore:net. no preprocessing is noted")
def test_options_at_their_default_give_way_to_the_file_s(akamaster):
    path, model = akamaster
    by_default = ResNetSpec(block="basic", repeats=(1, 2), widths=(4, 6), stem="cifar")
    with pytest.warns(UserWarning, match="is the file's") as caught:
        loaded = build(by_default, weights=path)
    notes = [warning for warning in caught if "the file's" in str(warning.message)]
    assert [str(note.message) for note in notes] == [
        "net: shortcut is the file's, 'A', not 'B'.",
        "net: zero_pad is the file's, 'both', not 'end'.",
    ]
    assert {note.filename for note in notes} == {__file__}
    assert model_spec(loaded) == AKAMASTER
    for after, before in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)


def test_options_as_in_the_file_need_no_note(akamaster, recwarn):
    loaded = build(AKAMASTER, weights=akamaster[0])
    assert model_preprocessing(loaded) is None
    assert [str(warning.message)[:33] for warning in recwarn] == [
        "net: no preprocessing is noted, f"
    ]


@pytest.mark.filterwarnings("ignore:net. no preprocessing is noted")
def test_the_file_is_read_once(akamaster, monkeypatch):
    reads = []
    read = configuration.source_arrays
    monkeypatch.setattr(
        configuration, "source_arrays", lambda path: reads.append(path) or read(path)
    )
    with pytest.warns(UserWarning, match="zero_pad"):
        build(dataclasses.replace(AKAMASTER, zero_pad="end"), weights=akamaster[0])
    assert reads == [akamaster[0]]


def test_an_option_that_was_set_otherwise_says_what_to_pass(tmp_path):
    """Option B under akamaster's names; option A is not the default of a spec."""
    path = tmp_path / "net.safetensors"
    of_option_b = dataclasses.replace(AKAMASTER, shortcut="B", zero_pad="end")
    keras_resnets.to_torch_state_dict(build(of_option_b), path, "akamaster")
    error = fails(dataclasses.replace(AKAMASTER, zero_pad="end"), path)
    assert isinstance(error, OptionError)
    assert str(error) == (
        "`weights` must be of a network with the options of 'net', and the file's network has "
        "shortcut='B': pass shortcut='B', or open the file with "
        f"`keras_resnets.convert_weights`. Received: weights={str(path)!r}, shortcut='A'"
    )


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"shortcut": "C"}, "has shortcut='A': pass shortcut='A', or open"),
        ({"shortcut": None}, "has shortcut='A': open"),  # plain factories have no such argument
        ({"repeats": (1, 3)}, r"has repeats=(1, 2): open"),
        ({"stem": "imagenet"}, "has stem='cifar': pass stem='cifar', or open"),  # a default, too
        ({"widths": (4, 8)}, "has widths=(4, 6): open"),
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


def test_arrays_that_do_not_fit_are_listed_beside_the_path(akamaster, tmp_path):
    state = keras_resnets.to_torch_state_dict(akamaster[1], family="akamaster")
    path = tmp_path / "more.safetensors"
    save_file({**state, "bn9.bias": np.zeros(2, "float32")}, path)
    error = fails(AKAMASTER, path)
    assert f"Received: weights={str(path)!r},\n  surplus: 'bn9.bias'" in str(error)


def test_a_file_that_cannot_be_read_is_named_once(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(b"This is no weight file. " * 100)
    assert str(fails(AKAMASTER, path)).endswith(f"Received: weights={str(path)!r}")

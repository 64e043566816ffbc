"""Converting: which network it is, every array once, and what is said of the rest."""

import contextlib
import functools
import os
import warnings

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_resnets
from keras_resnets import convert_weights, model_preprocessing, model_spec
from keras_resnets.weights.recognition import recognize
from tests.weights.states import random_state, torchvision_entries

ENTRIES = torchvision_entries("basic", (1, 2), widths=(4, 6), classes=5)
BOTTLENECK = torchvision_entries("bottleneck", (1, 1), widths=(4, 6), classes=5)
SIZE = {"input_shape": (16, 16, 3)}


@pytest.fixture
def state():
    return random_state(ENTRIES)


def akamaster_state(shortcut):
    entries = {
        name.replace("downsample", "shortcut").replace("fc.", "linear."): shape
        for name, shape in ENTRIES.items()
        if shortcut == "B" or "downsample" not in name
    }
    entries["conv1.weight"] = (4, 3, 3, 3)
    return {f"module.{name}": array for name, array in random_state(entries).items()}


@contextlib.contextmanager
def refused(model, match):
    """Expects a `ValueError` that leaves the model's weights as they are."""
    before = model.get_weights()
    with pytest.raises(ValueError, match=match) as caught:
        yield caught
    for after, once in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(after, once)


def small_model(state):
    spec = model_spec(convert_weights(state, **SIZE))
    return keras_resnets.build_model(spec, classes=5, **SIZE)


def weight(model, path):
    [found] = [variable for variable in model.weights if variable.path == path]
    return keras.ops.convert_to_numpy(found)


@pytest.mark.parametrize(
    ("block", "repeats"),
    [("basic", (2, 2, 2, 2)), ("basic", (3, 4, 6, 3)), ("bottleneck", (3, 4, 6, 3))],
)
def test_the_names_and_shapes_of_torchvision_are_recognized(block, repeats):
    entries = torchvision_entries(block, repeats)
    checkpoint = recognize({name: np.broadcast_to(0.0, shape) for name, shape in entries.items()})
    assert checkpoint.family.name == "torchvision"
    assert checkpoint.spec == keras_resnets.ResNetSpec(block=block, repeats=repeats)
    assert set(checkpoint.family.names(checkpoint.spec, include_top=True).values()) == set(entries)


def test_every_array_comes_to_its_place_in_our_order_of_axes(state):
    model = convert_weights(state, **SIZE)
    np.testing.assert_array_equal(
        weight(model, "stage2_block1/projection/conv_norm/conv/kernel")[0, 0, 3, 5],
        state["layer2.0.downsample.0.weight"][5, 3, 0, 0],
    )
    np.testing.assert_array_equal(
        weight(model, "stem_conv/conv/kernel")[1, 6, 2, 3], state["conv1.weight"][3, 2, 1, 6]
    )
    np.testing.assert_array_equal(
        weight(model, "stage2_block2/conv2/norm/moving_variance"), state["layer2.1.bn2.running_var"]
    )
    np.testing.assert_array_equal(weight(model, "predictions/kernel"), state["fc.weight"].T)
    assert len(model.weights) == len(state)


def test_the_stride_is_v1_5_unless_asked_otherwise():
    state = random_state(BOTTLENECK)
    assert model_spec(convert_weights(state, **SIZE)).stride_on == "3x3"
    assert model_spec(convert_weights(state, stride_on="1x1", **SIZE)).stride_on == "1x1"


def test_wrappers_prefixes_and_counts_of_batches_are_no_matter(state):
    plain = convert_weights(state, **SIZE)
    state["bn1.num_batches_tracked"] = np.array(7)
    state["layer2.0.downsample.1.num_batches_tracked"] = np.array(7)
    wrapped = convert_weights({f"module._orig_mod.{n}": a for n, a in state.items()}, **SIZE)
    for one, other in zip(plain.weights, wrapped.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("shortcut", "zero_pad"), [("A", "both"), ("B", "end")])
def test_a_cifar_repository_s_shortcuts_are_read_off(shortcut, zero_pad):
    own = keras_resnets.Preprocessing()
    spec = model_spec(convert_weights(akamaster_state(shortcut), preprocessing=own))
    assert (spec.stem, spec.shortcut, spec.zero_pad) == ("cifar", shortcut, zero_pad)


def test_a_network_that_would_compute_something_else_is_refused():
    spec = keras_resnets.ResNetSpec(
        block="basic", repeats=(1, 2), widths=(4, 6), stem="cifar", shortcut="A"
    )
    with pytest.raises(ValueError, match=r"zero_pad='both'\. Received: .*zero_pad='end'"):
        convert_weights(akamaster_state("A"), keras_resnets.build_model(spec, classes=5))


def test_all_that_is_missing_left_over_or_misshapen_is_listed_and_nothing_is_loaded(state):
    model = small_model(state)
    del state["layer1.0.bn1.bias"]
    state["layer2.0.conv1.weight"] = state["layer2.0.conv1.weight"][:, :2]
    state["layer2.0.se.fc1.weight"] = np.zeros((2, 6, 1, 1), "float32")
    state["layer1.0.bn2.num_batches"] = np.array(1)
    state["layer2.1.bn2.weight"] = np.ones(6, "int64")
    with refused(model, match="exactly the arrays") as caught:
        convert_weights({f"module.{name}": array for name, array in state.items()}, model)
    message = str(caught.value)
    for part in (
        "missing: 'layer1.0.bn1.bias', our 'stage1_block1/conv1/norm/beta'",
        "surplus: 'module.layer2.0.se.fc1.weight'",
        "surplus: 'module.layer1.0.bn2.num_batches'",
        "'module.layer2.0.conv1.weight' is float32 (6, 2, 3, 3), must be float (6, 4, 3, 3), "
        "our 'stage2_block1/conv1/conv/kernel'",
        "'module.layer2.1.bn2.weight' is int64",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layer2.1.conv2.weight", np.nan, "holds NaN or infinity, our 'stage2_block2/conv2"),
        ("layer1.0.bn1.bias", -np.inf, "holds NaN or infinity, our 'stage1_block1/conv1"),
        ("fc.bias", 1e39, "holds NaN or infinity, our 'predictions/bias'"),  # beyond float32
        ("bn1.running_var", -1e-3, "holds a negative variance, our 'stem_conv/norm/moving_var"),
    ],
)
def test_numbers_that_no_network_has_are_refused(state, name, value, message):
    model = convert_weights(state, **SIZE)
    state[name] = state[name].astype("float64")
    state[name].flat[1] = value
    with refused(model, match=f"unsound: '{name}' {message}"):
        convert_weights(state, model)


def many_blocks(state):
    names = [f"layer1.{number}.conv1.weight" for number in range(1, 700)]
    return state | dict.fromkeys(names, state["layer1.0.conv1.weight"])


def vast_widths(state):
    """Convolutions of a billion filters over no channels, in no bytes at all."""
    return {
        "conv1.weight": np.zeros((10**9, 0, 7, 7), "float32"),
        "layer1.0.conv1.weight": np.zeros((10**9, 0, 3, 3), "float32"),
        "fc.bias": state["fc.bias"],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (many_blocks, r"at most 700 blocks\. Received: 702"),
        (vast_widths, r"misshapen: 'layer1\.0\.conv1\.weight' is float32 \(1000000000, 0, 3, 3\)"),
        (lambda state: state | {"layer1.0.se.fc.weight": np.zeros(2)}, "surplus: 'layer1.0.se"),
    ],
)
def test_nothing_is_built_of_arrays_that_are_not_all_there(state, change, message, monkeypatch):
    def build(*arguments, **options):
        pytest.fail("a model was built")

    monkeypatch.setattr("keras_resnets.weights.convert.build_network", build)
    with pytest.raises(ValueError, match=message):
        convert_weights(change(state))


def test_a_classifier_s_activation_is_what_build_model_takes_it_for(state):
    model = convert_weights(state, classifier_activation=None, **SIZE)
    assert model.layers[-1].activation is keras.activations.linear
    assert convert_weights(state, **SIZE).layers[-1].activation is keras.activations.softmax
    with pytest.raises(ValueError, match="classifier_activation` belongs to model=None"):
        convert_weights(state, model, classifier_activation=None)


def test_two_arrays_of_one_name_are_refused(state):
    state["module.conv1.weight"] = state["conv1.weight"]
    with pytest.raises(ValueError, match=r"surplus: 'module\.conv1\.weight'"):
        convert_weights(state, **SIZE)
    del state["module.conv1.weight"]
    hugging_face = keras_resnets.to_torch_state_dict(small_model(state), family="hugging_face")
    stem = "embedder.embedder.convolution.weight"
    hugging_face[stem] = hugging_face[f"resnet.{stem}"]
    with pytest.raises(ValueError, match="each array once"):
        convert_weights(hugging_face, **SIZE)


def test_a_file_of_no_known_names_is_not_called_doubled():
    """The last parts of the names of two layers may well be the same."""
    names = ["stage1/block1/conv/kernel", "stage1/block2/conv/kernel"]
    with pytest.raises(ValueError, match=r"and others save it.*Received: 'stage1/block1"):
        convert_weights({name: np.zeros((3, 3, 1, 1), "float32") for name in names})


def test_another_number_of_classes_begins_the_head_anew_and_says_so(state):
    with pytest.warns(UserWarning, match="classifier of 3 classes begins anew.* has 5") as caught:
        model = convert_weights(state, classes=3, **SIZE)
    assert [warning.filename for warning in caught] == [__file__]
    assert model.output_shape == (None, 3)
    same = convert_weights(state, **SIZE)
    for ours, theirs in zip(model.weights[:-2], same.weights[:-2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def without_classifier(entries):
    state = random_state(entries)
    return {name: array for name, array in state.items() if not name.startswith("fc.")}


def test_without_a_classifier_there_is_no_top_unless_asked_for(tmp_path):
    state = without_classifier(torchvision_entries("basic", (1, 1, 1, 1), (4, 4, 4, 6)))
    size = {"input_shape": (32, 32, 3)}
    features = convert_weights(state, **size)
    assert features.output_shape == (None, 1, 1, 6)
    with pytest.warns(UserWarning, match="3 classes begins anew, for the source has none"):
        assert convert_weights(state, classes=3, **size).output_shape == (None, 3)
    save_file(state, tmp_path / "trunk.safetensors")
    build = functools.partial(
        keras_resnets.build_model, model_spec(features), weights=tmp_path / "trunk.safetensors"
    )
    with pytest.raises(ValueError, match="these have none: pass `include_top=False`"):
        build(**size)
    assert build(include_top=False).output_shape[-1] == 6
    with pytest.warns(UserWarning, match="begins anew"):
        build(classes=2, **size)


def test_a_part_of_a_network_is_loaded_only_into_a_model_that_is_one(state):
    """A file of the first stages, such as one of several, must not become a network unnoticed."""
    spec = model_spec(convert_weights(state, **SIZE))
    part = without_classifier(ENTRIES)
    with pytest.raises(ValueError, match=r"of 4 stages or with a classifier.* Received: 2 stages"):
        convert_weights(part)
    model = keras_resnets.build_model(spec, include_top=False, **SIZE)
    assert convert_weights(part, model) is model


def test_a_model_without_top_leaves_the_classifier_out(state):
    spec = model_spec(convert_weights(state, **SIZE))
    model = keras_resnets.build_model(spec, include_top=False, **SIZE)
    assert convert_weights(state, model) is model
    del state["fc.bias"]
    assert convert_weights(state, model) is model
    np.testing.assert_array_equal(weight(model, "stem_conv/norm/beta"), state["bn1.bias"])


def test_a_stem_without_channels_is_misshapen(state):
    model = convert_weights(state, **SIZE)
    state["conv1.weight"] = state["conv1.weight"][:, :0]
    with pytest.raises(ValueError, match=r"float32 \(4, 0, 7, 7\), must be float \(4, 3, 7, 7\)"):
        convert_weights(state, model)


def test_one_channel_sees_a_grey_image_as_three_would(state, rng):
    colour = convert_weights(state, classifier_activation="linear", **SIZE)
    with pytest.warns(UserWarning, match="adapted from 3 to 1 channels"):
        grey = convert_weights(state, classifier_activation="linear", input_shape=(16, 16, 1))
    image = rng.normal(size=(2, 16, 16, 1)).astype("float32")
    expected = keras.ops.convert_to_numpy(colour(np.repeat(image, 3, axis=3)))
    np.testing.assert_allclose(grey(image), expected, rtol=1e-4, atol=1e-5)
    assert model_preprocessing(grey) is None


def test_four_channels_repeat_the_three_and_keep_the_strength(state):
    with pytest.warns(UserWarning, match="adapted from 3 to 4 channels"):
        model = convert_weights(state, input_shape=(16, 16, 4))
    kernel = weight(model, "stem_conv/conv/kernel")
    for channel, taken in enumerate((0, 1, 2, 0)):
        np.testing.assert_allclose(
            kernel[:, :, channel],
            0.75 * state["conv1.weight"][:, taken].transpose(1, 2, 0),
            rtol=1e-6,
        )


def test_the_model_carries_what_the_family_eats_at_its_own_size(state):
    imagenet = keras_resnets.Preprocessing.imagenet
    open_size = convert_weights(state, input_shape=(None, None, 3))
    assert model_preprocessing(open_size) == imagenet()
    smaller = convert_weights(state, input_shape=(112, 112, 3))
    assert model_preprocessing(smaller) == imagenet(128, (112, 112))
    own = keras_resnets.Preprocessing(mean=0.5)
    assert model_preprocessing(convert_weights(state, preprocessing=own, **SIZE)) == own


def test_akamaster_s_own_networks_carry_what_they_were_trained_on():
    spec = keras_resnets.ResNetSpec(
        block="basic",
        repeats=(1, 1, 1),
        widths=(16, 32, 64),
        stem="cifar",
        shortcut="A",
        zero_pad="both",
    )
    state = keras_resnets.to_torch_state_dict(keras_resnets.build_model(spec), family="akamaster")
    # Its repository: ToTensor, Normalize with ImageNet's mean and deviation, no resizing.
    expected = keras_resnets.Preprocessing.imagenet(32, 32)
    assert model_preprocessing(convert_weights(state)) == expected
    with pytest.warns(UserWarning, match="classifier of 3 classes begins anew"):
        assert model_preprocessing(convert_weights(state, classes=3)) == expected
    state["linear.weight"] = np.zeros((100, 64), "float32")  # CIFAR-100: by another
    state["linear.bias"] = np.zeros(100, "float32")
    with pytest.warns(UserWarning, match="akamaster's networks have classes=10, this one 100"):
        assert model_preprocessing(convert_weights(state)) is None


@pytest.mark.parametrize("family", ["torchvision", "akamaster"])
def test_of_a_namesake_no_preprocessing_is_made_up(family):
    """A CIFAR stem under torchvision's names, and a wide CIFAR network under akamaster's."""
    spec = keras_resnets.ResNetSpec(block="basic", repeats=(1, 1), widths=(8, 16), stem="cifar")
    state = keras_resnets.to_torch_state_dict(keras_resnets.build_model(spec), family=family)
    message = f"no preprocessing is noted, for {family}'s networks have"
    with pytest.warns(UserWarning, match=message) as caught:
        model = convert_weights(state)
    assert [warning.filename for warning in caught] == [__file__]
    assert model_preprocessing(model) is None
    own = keras_resnets.Preprocessing(mean=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model_preprocessing(convert_weights(state, preprocessing=own)) == own


def test_a_preprocessing_of_another_size_is_refused_before_anything_is_loaded(state):
    model = small_model(state)
    with refused(model, match=r"16×16 for .*224×224"):
        convert_weights(state, model, preprocessing=keras_resnets.Preprocessing.imagenet())


def test_half_precision_is_widened(state):
    halves = {name: array.astype("float16") for name, array in state.items()}
    model = convert_weights(halves, **SIZE)
    np.testing.assert_array_equal(weight(model, "stem_conv/norm/beta"), halves["bn1.bias"])


@pytest.mark.peers
def test_torch_s_tensors_are_taken_as_they_are(state):
    torch = pytest.importorskip("torch")
    tensors = {name: torch.from_numpy(array).requires_grad_() for name, array in state.items()}
    model = convert_weights(tensors, **SIZE)
    np.testing.assert_array_equal(weight(model, "predictions/kernel"), state["fc.weight"].T)
    halves = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    model = convert_weights(halves, **SIZE)
    expected = halves["bn1.weight"].detach().float().numpy()
    np.testing.assert_array_equal(weight(model, "stem_conv/norm/gamma"), expected)
    with pytest.raises(TypeError, match=r"names to arrays\. Received: 'conv1\.weight': Tensor"):
        convert_weights({"conv1.weight": torch.empty(3, device="meta")})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused_at_once(tmp_path):
    """Opening one would wait for a writer forever."""
    os.mkfifo(tmp_path / "resnet18.pth")
    with pytest.raises(ValueError, match="There must be a file at the path"):
        convert_weights(tmp_path / "resnet18.pth")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ({}, ValueError, "torchvision, timm, transformers and others.*no arrays"),
        ({"a": np.zeros(1)}, ValueError, "Received: 'a'"),
        ({"state_dict": {}}, TypeError, "'state_dict': dict"),
        ({"conv1.weight": "text"}, TypeError, "'conv1.weight': str"),
        ({1: np.zeros(1)}, TypeError, "names in `source`"),
        (3, TypeError, "must be a path, a mapping"),
    ],
)
def test_what_is_no_checkpoint_is_refused(source, error, message):
    with pytest.raises(error, match=message):
        convert_weights(source)


def test_arguments_are_checked(state):
    model = convert_weights(state, **SIZE)
    with pytest.raises(ValueError, match="`classes` belongs to model=None"):
        convert_weights(state, model, classes=3)
    with pytest.raises(ValueError, match="belongs to block='bottleneck'"):
        convert_weights(state, stride_on="1x1", **SIZE)
    with pytest.raises(TypeError, match="must be None or a Preprocessing"):
        convert_weights(state, model, preprocessing="torch")
    built_upon = keras.Model(model.input, keras.layers.Dense(2, name="more")(model.output))
    with pytest.raises(ValueError, match=r"no others with weights.*'more/bias'"):
        convert_weights(state, built_upon)


def test_a_model_of_two_networks_is_refused():
    """Their layers may have the same names, of which one would silently take the other's place."""
    image = keras.Input((32, 32, 3))
    parts = [
        keras.Model(image, keras.layers.Conv2D(4, 3, name="conv1_conv")(image)) for _ in range(2)
    ]
    both = keras.Model(image, [part(image) for part in parts])
    with pytest.raises(ValueError, match="'conv1_conv/kernel' twice"):
        convert_weights(both)

"""Weight files: loaded into the architecture they are from, and refused by any other."""

import dataclasses
import functools

import keras
import numpy as np
import pytest

from keras_resnets import ResNet20, ResNetSpec, build_model

SPEC = ResNetSpec(block="basic", repeats=(1, 1), widths=(2, 4), stem="cifar", shortcut="A")
build = functools.partial(build_model, input_shape=(8, 8, 3), classes=2)
NAMES = ["net.weights.h5", "net.keras"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A network with random weights, and the folder of its file in both formats."""
    folder = tmp_path_factory.mktemp("weights")
    generator = np.random.default_rng(0)
    model = build(SPEC)
    model.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in model.weights])
    model.save_weights(folder / NAMES[0])
    model.save(folder / NAMES[1])
    return model, folder


@pytest.mark.parametrize("name", NAMES)
def test_a_file_gives_every_weight_back(saved, name):
    model, folder = saved
    for path in (folder / name, str(folder / name)):
        for loaded, original in zip(build(SPEC, weights=path).weights, model.weights, strict=True):
            np.testing.assert_array_equal(loaded, original)


@pytest.mark.parametrize(("saves", "loads"), [(0.2, 0.0), (0.0, 0.2)])
def test_drop_path_has_no_weights_and_needs_none(tmp_path, saves, loads):
    model = build(dataclasses.replace(SPEC, drop_path_rate=saves))
    model.save_weights(tmp_path / "net.weights.h5")
    other = dataclasses.replace(SPEC, drop_path_rate=loads)
    loaded = build(other, weights=tmp_path / "net.weights.h5")
    for after, before in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("changes", "layer"),
    [
        ({"repeats": (2, 1)}, "stage1_block2/conv1/conv"),
        ({"shortcut": "B"}, "stage2_block1/projection/conv_norm/conv"),
        ({"stem": "imagenet"}, "stem_conv/conv"),
    ],
)
def test_another_architecture_s_file_is_refused_by_the_first_layer_that_differs(
    saved, name, changes, layer
):
    with pytest.raises(ValueError, match="`weights` must hold the weights of") as raised:
        build(dataclasses.replace(SPEC, **changes), weights=saved[1] / name)
    assert f"is {layer!r}" in str(raised.value)
    assert "Received: weights=" in str(raised.value)


def test_surplus_weights_are_refused_as_well(tmp_path):
    build(dataclasses.replace(SPEC, repeats=(2, 1))).save_weights(tmp_path / "deeper.weights.h5")
    with pytest.raises(ValueError, match="'stage1_block2/conv1/conv': the model has no such layer"):
        build(SPEC, weights=tmp_path / "deeper.weights.h5")


def test_a_file_of_a_model_built_further_upon_is_refused(tmp_path):
    backbone = build_model(SPEC, include_top=False, pooling="avg")
    model = keras.Sequential([keras.Input((32, 32, 3)), backbone, keras.layers.Dense(2)])
    model.save_weights(tmp_path / "more.weights.h5")
    with pytest.raises(ValueError, match="the first layer that differs"):
        build(SPEC, weights=tmp_path / "more.weights.h5")


@pytest.mark.parametrize("name", ["net.onnx", "net", "weights.h5.txt"])
def test_another_kind_of_file_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"ends in \.weights\.h5, \.keras.*Received"):
        build(SPEC, weights=tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_or_a_folder_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="`weights` must be an existing file"):
        build(SPEC, weights=tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match="`weights` must be an existing file"):
        build(SPEC, weights=tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["empty", "junk", "half", "tail"])
def test_a_damaged_file_is_refused(saved, tmp_path, name, damage):
    content = (saved[1] / name).read_bytes()
    damaged = {
        "empty": b"",
        "junk": b"This is no weight file. " * 100,
        "half": content[: len(content) // 2],
        "tail": content[:-200],
    }[damage]
    (tmp_path / name).write_bytes(damaged)
    with pytest.raises(ValueError, match="`weights` must"):
        build(SPEC, weights=tmp_path / name)


@pytest.mark.parametrize("name", ["net.h5", "net.pt", "net.safetensors", "net.pth.tar"])
@pytest.mark.parametrize("content", [b"", b"This is no weight file. " * 100])
def test_a_damaged_checkpoint_of_another_library_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"`weights` must hold.*Received: weights="):
        build(SPEC, weights=tmp_path / name)


def test_a_network_without_presets_says_so():
    with pytest.raises(ValueError, match=r"preset, of which this network has none. Received"):
        ResNet20(weights="imagenet")


@pytest.mark.parametrize("value", [3, True, b"net.weights.h5", ["net.keras"]])
def test_what_is_no_path_is_refused(value):
    with pytest.raises(TypeError, match="`weights` must be None or a path"):
        build(SPEC, weights=value)


def test_arrays_are_refused_in_one_short_line():
    arrays = {f"layer{index}.weight": np.ones((64, 64)) for index in range(100)}
    with pytest.raises(TypeError, match=r"None or a path; .*convert_weights") as raised:
        build(SPEC, weights=arrays)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400

"""Weight files: loaded into the architecture they are from, and refused by any other."""

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import ResNet20, ResNet32


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A ResNet-20 with random statistics, and where it lies in both formats."""
    folder = tmp_path_factory.mktemp("weights")
    generator = np.random.default_rng(0)
    model = ResNet20()
    model.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in model.weights])
    paths = folder / "net.weights.h5", folder / "net.keras"
    model.save_weights(paths[0])
    model.save(paths[1])
    return model, *paths


@pytest.mark.parametrize("kind", [1, 2])
def test_a_file_gives_every_weight_back(saved, kind):
    model = ResNet20(weights=saved[kind])
    for loaded, original in zip(model.weights, saved[0].weights, strict=True):
        np.testing.assert_array_equal(loaded, original)


def test_a_path_may_be_a_string(saved):
    model = ResNet20(weights=str(saved[1]))
    np.testing.assert_array_equal(model.weights[0], saved[0].weights[0])


def test_a_trained_model_s_file_is_loaded_without_its_optimizer(tmp_path, rng):
    model = ResNet20(classes=3)
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(rng.normal(size=(4, 32, 32, 3)), np.arange(4) % 3, verbose=0)
    model.save(tmp_path / "trained.keras")
    loaded = ResNet20(classes=3, weights=tmp_path / "trained.keras")
    for after, before in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(("saves", "loads"), [(0.2, 0.2), (0.2, 0.0), (0.0, 0.2)])
def test_drop_path_has_no_weights_and_needs_none(tmp_path, saves, loads):
    model = ResNet20(drop_path_rate=saves)
    model.save_weights(tmp_path / "net.weights.h5")
    loaded = ResNet20(drop_path_rate=loads, weights=tmp_path / "net.weights.h5")
    for after, before in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize(
    ("build", "layer"),
    [
        (ResNet32, "stage1_block4/conv1/conv"),
        (
            lambda **arguments: ResNet20(shortcut="B", **arguments),
            "stage2_block1/projection/conv_norm/conv",
        ),
        (keras_resnets.ResNet18, "stem_conv/conv"),
    ],
)
def test_another_architecture_s_file_is_refused_by_the_first_layer_that_differs(
    saved, kind, build, layer
):
    with pytest.raises(ValueError, match="`weights` must hold the weights of") as raised:
        build(weights=saved[kind])
    assert f"is {layer!r}" in str(raised.value)
    assert "Received: weights=" in str(raised.value)


def test_surplus_weights_are_refused_as_well(tmp_path):
    ResNet32().save_weights(tmp_path / "deeper.weights.h5")
    with pytest.raises(ValueError, match="'stage1_block4/conv1/conv': the model has no such layer"):
        ResNet20(weights=tmp_path / "deeper.weights.h5")


@pytest.mark.parametrize("name", ["net.onnx", "net.npz", "net", "weights.h5.txt"])
def test_another_kind_of_file_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"ends in \.weights\.h5, \.keras.*Received"):
        ResNet20(weights=tmp_path / name)


@pytest.mark.parametrize("name", ["net.weights.h5", "net.keras"])
def test_a_missing_file_or_a_folder_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="`weights` must be an existing file"):
        ResNet20(weights=tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match="`weights` must be an existing file"):
        ResNet20(weights=tmp_path / name)


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("damage", ["empty", "junk", "half", "tail"])
def test_a_damaged_file_is_refused(saved, tmp_path, kind, damage):
    content = saved[kind].read_bytes()
    damaged = {
        "empty": b"",
        "junk": b"This is no weight file. " * 100,
        "half": content[: len(content) // 2],
        "tail": content[:-200],
    }[damage]
    path = tmp_path / saved[kind].name
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="`weights` must"):
        ResNet20(weights=path)


@pytest.mark.parametrize("name", ["net.h5", "net.pt", "net.safetensors", "net.pth.tar"])
@pytest.mark.parametrize("content", [b"", b"This is no weight file. " * 100])
def test_a_damaged_checkpoint_of_another_library_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"`weights` must hold.*Received: weights="):
        ResNet20(weights=tmp_path / name)


def test_a_network_without_presets_says_so():
    with pytest.raises(ValueError, match=r"preset, of which this network has none. Received"):
        ResNet20(weights="imagenet")


@pytest.mark.parametrize("value", [3, True, b"net.weights.h5", ["net.keras"]])
def test_what_is_no_path_is_refused(value):
    with pytest.raises(TypeError, match="`weights` must be None or a path"):
        ResNet20(weights=value)


def test_arrays_are_refused_in_one_short_line():
    arrays = {f"layer{index}.weight": np.ones((64, 64)) for index in range(100)}
    with pytest.raises(TypeError, match=r"None or a path; .*convert_weights") as raised:
        ResNet20(weights=arrays)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_a_file_of_a_model_built_further_upon_is_refused(tmp_path):
    backbone = ResNet20(include_top=False, pooling="avg")
    model = keras.Sequential([keras.Input((32, 32, 3)), backbone, keras.layers.Dense(2)])
    model.save_weights(tmp_path / "more.weights.h5")
    with pytest.raises(ValueError, match="the first layer that differs"):
        ResNet20(weights=tmp_path / "more.weights.h5")

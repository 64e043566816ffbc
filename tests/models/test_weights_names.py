"""Weights files are told apart by architecture, not by where a model was built or what it eats."""

import contextlib
import json
import tracemalloc
import zipfile

import h5py
import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import ResNetSpec, build_model
from keras_resnets.files import WeightsFileError
from tests.layer_checks import numpy, randomize
from tests.models.once import once

SPEC = ResNetSpec(block="basic", repeats=(1, 1), widths=(4, 8), stem="cifar")
SHAPE = (8, 8, 3)


def build(spec=SPEC, **arguments):
    return build_model(spec, **{"input_shape": SHAPE, "classes": 2, **arguments})


@pytest.fixture
def saved(tmp_path):
    model = build(name="saved")
    randomize(model)
    model.save_weights(tmp_path / "net.weights.h5")
    model.save(tmp_path / "net.keras")
    return model, tmp_path


def assert_same(model, other):
    for weight, expected in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(numpy(weight), numpy(expected), err_msg=weight.path)


@pytest.mark.parametrize("changes", [{"name": "student"}, {"input_shape": (None, None, 3)}])
@pytest.mark.parametrize("scope", [None, "student"])
def test_names_and_the_size_of_the_images_do_not_matter(saved, changes, scope):
    model, folder = saved
    for name in ("net.keras", "net.weights.h5"):
        with keras.name_scope(scope) if scope else contextlib.nullcontext():
            other = build(weights=folder / name, **changes)
        assert_same(other, model)


def test_nor_how_keras_counts_the_layers_before_it(tmp_path):
    """`Normalization` is `normalization_1` when it is the second one of a process."""

    def build_normalized(**arguments):
        x = keras.layers.Normalization(axis=-1)(keras.Input(SHAPE))
        return build(input_tensor=x, **arguments)

    model = build_normalized()
    randomize(model)
    model.save_weights(tmp_path / "net.weights.h5")
    assert_same(build_normalized(weights=tmp_path / "net.weights.h5"), model)


def test_without_top(tmp_path):
    model = build_model(SPEC, include_top=False, pooling="max")
    randomize(model)
    model.save_weights(tmp_path / "net.weights.h5")
    for pooling in (None, "avg", "max"):
        other = build_model(
            SPEC, include_top=False, pooling=pooling, weights=tmp_path / "net.weights.h5"
        )
        assert_same(other, model)


NAMES = ["net.weights.h5", "net.keras"]
HEAD = ("predictions/kernel", "predictions/bias")


def build_with_note(note, **arguments):
    """Builds a model that must warn of one thing, and returns its weights by their paths."""
    with pytest.warns(UserWarning, match=note) as caught:
        model = build_model(SPEC, name="new", **{"input_shape": SHAPE, **arguments})
    assert [str(each.message) for each in caught] == [f"new: {note}."]
    assert caught[0].filename == __file__
    return {weight.path: numpy(weight) for weight in model.weights}


@once
@pytest.mark.parametrize("name", NAMES)
def test_with_other_classes_the_head_begins_anew(saved, name):
    model, folder = saved
    note = "the classifier of 5 classes begins anew, for the file has 2"
    weights = build_with_note(note, classes=5, weights=folder / name)
    kernel, bias = (weights.pop(path) for path in HEAD)
    assert kernel.shape == (8, 5)
    assert kernel.std() > 0.1  # drawn, with a deviation of √(2 / 13) = 0.39
    assert (bias == 0).all()
    for path, value in weights.items():
        [expected] = [numpy(weight) for weight in model.weights if weight.path == path]
        np.testing.assert_array_equal(value, expected)


@once
@pytest.mark.parametrize("name", NAMES)
def test_a_head_may_be_left_off_and_added(saved, name, tmp_path):
    model, folder = saved
    backbone = build_model(SPEC, include_top=False, weights=folder / name)
    of_backbone = [weight for weight in model.weights if weight.path not in HEAD]
    for weight, expected in zip(backbone.weights, of_backbone, strict=True):
        np.testing.assert_array_equal(numpy(weight), numpy(expected))
    (backbone.save if name.endswith(".keras") else backbone.save_weights)(tmp_path / name)
    note = "the classifier of 2 classes begins anew, for the file has none"
    weights = build_with_note(note, classes=2, weights=tmp_path / name)
    for expected in of_backbone:
        np.testing.assert_array_equal(weights[expected.path], numpy(expected))


@once
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 4])
def test_with_other_channels_the_stem_is_adapted(saved, name, channels):
    model, folder = saved
    keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing.imagenet(10, 8))
    model.save(folder / "net.keras")
    note = f"the stem's kernel was adapted from 3 to {channels} channels"
    arguments = {"input_shape": (8, 8, channels), "classes": 2, "weights": folder / name}
    weights = build_with_note(note, **arguments)
    red, green, blue = np.moveaxis(numpy(model.get_layer("stem_conv").conv.kernel), 2, 0)
    expected = [red + green + blue] if channels == 1 else np.array([red, green, blue, red]) * 0.75
    kernel = np.moveaxis(weights.pop("stem_conv/conv/kernel"), 2, 0)
    np.testing.assert_allclose(kernel, expected, atol=1e-6)
    for path, value in weights.items():
        [of_file] = [numpy(weight) for weight in model.weights if weight.path == path]
        np.testing.assert_array_equal(value, of_file)
    with pytest.warns(UserWarning, match=note):
        other = build_model(SPEC, **arguments)
    assert keras_resnets.model_preprocessing(other) is None


@once
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("predictions/bias", np.nan, "the layer 'predictions' holds NaN or infinity; in all, 1 "),
        ("stem_conv/conv/kernel", np.inf, "the layer 'stem_conv/conv' holds NaN or infinity"),
        (
            "stage2_block1/conv1/norm/moving_variance",
            -1.0,
            "the layer 'stage2_block1/conv1/norm' holds a negative variance",
        ),
    ],
)
def test_numbers_that_are_not_sound_are_refused(saved, name, path, value, message):
    model, folder = saved
    [weight] = [weight for weight in model.weights if weight.path == path]
    weight.assign(np.full(weight.shape, value))
    (model.save if name.endswith(".keras") else model.save_weights)(folder / name)
    with pytest.raises(WeightsFileError, match=rf"{message}.*Received: weights=") as raised:
        build(weights=folder / name)
    assert "array is not" in str(raised.value)


@once
def test_a_trained_model_s_optimizer_is_left_out(tmp_path):
    model = build()
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    model.train_on_batch(np.ones((4, *SHAPE), "float32"), np.arange(4) % 2)
    model.save_weights(tmp_path / "net.weights.h5")
    model.save(tmp_path / "net.keras")
    for name in ("net.weights.h5", "net.keras"):
        other = build(weights=tmp_path / name)
        assert_same(other, model)


@pytest.mark.parametrize("policy", ["bfloat16", "mixed_float16"])
def test_precision(saved, policy, tmp_path):
    model, folder = saved
    keras.config.set_dtype_policy(policy)
    half = build(weights=folder / "net.keras")
    for weight, expected in zip(half.weights, model.weights, strict=True):
        np.testing.assert_allclose(numpy(weight), numpy(expected), rtol=1e-2)
    half.save_weights(tmp_path / "half.weights.h5")
    keras.config.set_dtype_policy("float32")
    full = build(weights=tmp_path / "half.weights.h5")
    assert_same(full, half)


def test_the_configuration_of_a_file_is_not_read(saved):
    """It could name code to run; only the arrays are wanted."""
    model, folder = saved
    path = folder / "hostile.keras"
    with zipfile.ZipFile(folder / "net.keras") as source, zipfile.ZipFile(path, "w") as target:
        target.writestr("config.json", json.dumps({"class_name": "__lambda__"}))
        target.writestr("metadata.json", "not JSON")
        target.writestr("model.weights.h5", source.read("model.weights.h5"))
    assert_same(build(weights=path), model)


def _swap(file, first, second):
    file.move(first, "aside")
    file.move(second, first)
    file.move("aside", second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("layers/basic_block", "layers/basic_block_1"),
        ("layers/basic_block/conv1", "layers/basic_block/conv2"),
    ],
)
def test_groups_count_by_their_names_not_by_their_places(tmp_path, first, second):
    """Keras's own `load_weights` goes by the places, and notices nothing."""
    spec = ResNetSpec(block="basic", repeats=(2,), widths=(4,), stem="cifar")
    model = build(spec)
    randomize(model)
    path = tmp_path / "net.weights.h5"
    model.save_weights(path)
    with h5py.File(path, "a") as file:
        _swap(file, first, second)
    assert_same(build(spec, weights=path), model)


def test_a_renamed_layer_is_another_one(saved):
    _, folder = saved
    path = folder / "net.weights.h5"
    with h5py.File(path, "a") as file:
        file["layers/basic_block/vars"].attrs["name"] = "stage1_block2"
    with pytest.raises(
        ValueError, match=r"differs is 'stage1_block1/conv1/conv': .* the file no such layer"
    ):
        build(weights=path)


def test_a_layer_of_the_file_alone_is_named_without_its_whole_name_and_list(saved):
    _, folder = saved
    path = folder / "net.weights.h5"
    with h5py.File(path, "a") as file:
        variables = file.create_group("layers/dense_1/vars")
        variables.attrs["name"] = "\x1b" * 900
        for number in range(1000):
            variables[str(number)] = np.zeros((1, 1), "float32")
    with pytest.raises(ValueError, match=r"differs is '\\x1b.*the model has no such") as raised:
        build(weights=path)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 1500


def test_two_layers_of_one_name(saved):
    _, folder = saved
    path = folder / "net.weights.h5"
    with h5py.File(path, "a") as file:
        file["layers/basic_block_1/vars"].attrs["name"] = "stage1_block1"
    with pytest.raises(ValueError, match="holds 2 layers named 'stage1_block1'"):
        build(weights=path)


def test_layers_that_keras_named_are_told_apart_by_their_order(tmp_path):
    """In the second model they are `normalization_3` and `normalization_4`, for instance."""

    def build(**arguments):
        x = keras.Input(SHAPE)
        for _ in range(2):
            x = keras.layers.Normalization(axis=-1)(x)
        return build_model(SPEC, input_tensor=x, classes=2, **arguments)

    model = build()
    images = np.random.default_rng(0).normal(size=(20, *SHAPE)).astype("float32")
    first, second = (
        layer for layer in model.layers if isinstance(layer, keras.layers.Normalization)
    )
    first.adapt(images + 5)
    second.adapt(3 * images)
    model.save_weights(tmp_path / "net.weights.h5")
    keras.layers.Normalization()  # shifts the numbers by an odd count
    again = build(weights=tmp_path / "net.weights.h5")
    assert_same(again, model)
    # What the layers derive from their statistics has followed.
    np.testing.assert_array_equal(numpy(again(images)), numpy(model(images)))


def test_layers_of_a_nested_model_before_it(tmp_path):
    def build(**arguments):
        inputs = keras.Input(SHAPE)
        x = keras.layers.Conv2D(2, 1)(inputs)
        colours = keras.Model(inputs, keras.layers.Conv2D(3, 1)(x), name="colours")
        inputs = keras.Input(SHAPE)
        return build_model(SPEC, input_tensor=colours(inputs), classes=2, **arguments)

    model = build()
    randomize(model)
    model.save_weights(tmp_path / "net.weights.h5")
    assert_same(build(weights=tmp_path / "net.weights.h5"), model)


def test_sublayers_that_nothing_tells_apart(tmp_path):
    class Colours(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.second, self.first = keras.layers.Dense(3), keras.layers.Dense(3)

        def call(self, x):
            return self.second(self.first(x))

    def build(**arguments):
        x = Colours(name="colours")(keras.Input(SHAPE))
        return build_model(SPEC, input_tensor=x, classes=2, **arguments)

    build().save_weights(tmp_path / "net.weights.h5")
    with pytest.raises(ValueError, match=r"of 'colours' cannot be told apart: give each a `name`"):
        build(weights=tmp_path / "net.weights.h5")


def test_integers_are_no_floats(saved):
    _, folder = saved
    path = folder / "net.weights.h5"
    with h5py.File(path, "a") as file:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = np.zeros(2, "int32")
    with pytest.raises(ValueError, match=r"'predictions': .* \(2,\) of integers"):
        build_model(SPEC, input_shape=SHAPE, classes=2, weights=path)


def test_a_link_to_another_file_is_refused(saved):
    _, folder = saved
    path = folder / "evil.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink("net.weights.h5", "/layers")
    with pytest.raises(WeightsFileError, match=r"'/layers' is a link to elsewhere.*Received: "):
        build(weights=path)


class TestArchives:
    def write(self, path, content, compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("model.weights.h5", content)

    def refuse(self, path, match):
        with pytest.raises(WeightsFileError, match=match):
            build(weights=path)

    def test_compressed(self, saved):
        model, folder = saved
        content = (folder / "net.weights.h5").read_bytes()
        self.write(folder / "small.keras", content, zipfile.ZIP_DEFLATED)
        assert_same(build(weights=folder / "small.keras"), model)
        self.write(folder / "other.keras", content, zipfile.ZIP_LZMA)
        self.refuse(folder / "other.keras", "compressed in a way that Keras does not use")

    def test_too_large(self, tmp_path):
        self.write(tmp_path / "net.keras", bytes(10**7), zipfile.ZIP_DEFLATED)
        self.refuse(tmp_path / "net.keras", r"unpacks to 10,000,000 bytes, 1,\d+,\d+ are allowed")

    def test_a_packed_size_that_is_a_lie(self, tmp_path):
        """Of 100 million zeros in 100 kB the directory says that they take 90 MB."""
        path = tmp_path / "net.keras"
        self.write(path, bytes(10**8), zipfile.ZIP_DEFLATED)
        content = bytearray(path.read_bytes())
        entry = content.rindex(b"PK\x01\x02")
        content[entry + 20 : entry + 24] = (9 * 10**7).to_bytes(4, "little")
        path.write_bytes(content)
        tracemalloc.start()
        self.refuse(path, "The archive's members must not overlap")
        assert tracemalloc.get_traced_memory()[1] < 10**7
        tracemalloc.stop()

    def test_damage(self, saved):
        _, folder = saved
        content = bytearray((folder / "net.keras").read_bytes())
        content[content.index(b"\x89HDF") + 5000] ^= 1
        (folder / "damaged.keras").write_bytes(content)
        self.refuse(folder / "damaged.keras", "Bad CRC-32 for file 'model.weights.h5'")

    def test_a_size_that_is_a_lie(self, tmp_path):
        """The directory says 1,000 bytes; 100 million would come out."""
        path = tmp_path / "net.keras"
        self.write(path, bytes(10**8), zipfile.ZIP_DEFLATED)
        content = path.read_bytes()
        size = (10**8).to_bytes(4, "little")
        assert content.count(size) == 2
        path.write_bytes(content.replace(size, (1000).to_bytes(4, "little")))
        tracemalloc.start()
        self.refuse(path, "archive is broken|no valid HDF5 file")
        assert tracemalloc.get_traced_memory()[1] < 5 * 10**7
        tracemalloc.stop()


def _no_names(file):
    for group in file["layers"].values():
        group["vars"].attrs.clear()


def _a_gap(file):
    variables = file["layers/dense/vars"]
    variables["7"] = variables["0"][()]
    del variables["0"]


def _instead_of_a_group(path):
    def damage(file):
        del file[path]
        file[path] = [1.0]

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.move("layers", "other"),
        *map(_instead_of_a_group, ("layers", "layers/conv_norm", "layers/conv_norm/conv/vars")),
        _instead_of_a_group("layers/dense/vars"),  # else it would seem a file without a classifier
        _no_names,
        _a_gap,
    ],
)
def test_a_file_of_another_kind(saved, damage):
    _, folder = saved
    with h5py.File(folder / "net.weights.h5", "a") as file:
        damage(file)
    with pytest.raises(ValueError, match=r"`weights` must.*Received: weights="):
        build(weights=folder / "net.weights.h5")


def test_a_refused_file_leaves_no_weight_changed(saved, tmp_path):
    from keras_resnets.weights.keras_files import load_weights_file

    model, _ = saved
    before = model.get_weights()
    other = build(classes=3)
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match="'predictions'"):
        load_weights_file(model, tmp_path / "other.weights.h5")
    for value, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)

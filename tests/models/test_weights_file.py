"""Weights files: told apart by architecture, not by where a model was built or for which images."""

import dataclasses
import functools
import json
import shutil
import tracemalloc
import zipfile

import h5py
import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import build_model
from keras_resnets.files import WeightsFileError
from tests.layer_checks import numpy, randomize
from tests.models.networks import TINY, load_weights_file
from tests.models.once import once

SHAPE = (8, 8, 3)
NAMES = ["net.weights.h5", "net.keras"]
HEAD = ("predictions/kernel", "predictions/bias")
build = functools.partial(build_model, input_shape=SHAPE, classes=2)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A network with random weights, and the folder of its file in both formats."""
    folder = tmp_path_factory.mktemp("weights")
    model = build(TINY, name="saved")
    randomize(model)
    keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing.imagenet(10, 8))
    for name in NAMES:
        save(model, folder / name)
    return model, folder


@pytest.fixture
def path(saved, tmp_path):
    """The path of a copy of the `.weights.h5` file, to be changed."""
    return shutil.copy(saved[1] / NAMES[0], tmp_path)


def save(model, path):
    (model.save if path.suffix == ".keras" else model.save_weights)(path)


def change_configuration(path, target, units):
    """Writes a copy of a `.keras` file that says another number of units of its classifier."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                configuration = json.loads(content)
                configuration["config"]["layers"][-1]["config"]["units"] = units
                content = json.dumps(configuration).encode()
            copy.writestr(name, content)


def values(model):
    return {weight.path: numpy(weight) for weight in model.weights}


def assert_same(model, other):
    for weight, expected in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(numpy(weight), numpy(expected), err_msg=weight.path)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_gives_every_weight_back(saved, name):
    model, folder = saved
    assert_same(build(TINY, weights=folder / name), model)
    with keras.name_scope("student"):
        other = build_model(
            TINY, input_shape=(None, None, 3), classes=2, name="student", weights=str(folder / name)
        )
    assert_same(other, model)


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
        build(TINY, weights=tmp_path / name)


def test_a_folder_is_no_file(tmp_path):
    """Other wrong paths are those of test_bad_arguments.py."""
    for name in NAMES:
        (tmp_path / name).mkdir()
        with pytest.raises(ValueError, match=r"The folder has no model\.keras"):
            build(TINY, weights=tmp_path / name)


def test_arrays_are_refused_in_one_short_line():
    arrays = {f"layer{index}.weight": np.ones((64, 64)) for index in range(100)}
    with pytest.raises(TypeError, match=r"None or a path; .*convert_weights") as raised:
        build(TINY, weights=arrays)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


class TestOtherArchitectures:
    @pytest.mark.parametrize(
        ("changes", "layer"),
        [
            ({"repeats": (2, 1)}, "stage1_block2/conv1/conv': .* the file no such layer"),
            ({"shortcut": "C"}, "stage1_block1/projection/conv_norm/conv"),
            ({"stem": "imagenet"}, "stem_conv/conv"),
        ],
    )
    def test_are_refused_by_the_first_layer_that_differs(self, saved, changes, layer):
        message = rf"`weights` must hold the weights of.* is '{layer}.*Received: weights="
        with pytest.raises(ValueError, match=message):
            build(dataclasses.replace(TINY, **changes), weights=saved[1] / NAMES[0])

    def test_surplus_weights_are_refused_as_well(self, tmp_path):
        path = tmp_path / "more.weights.h5"
        build(dataclasses.replace(TINY, repeats=(2, 1))).save_weights(path)
        message = "'stage1_block2/conv1/conv': the model has no such layer"
        with pytest.raises(ValueError, match=message):
            build(TINY, weights=path)
        backbone = build_model(TINY, include_top=False, pooling="avg")
        keras.Sequential([backbone, keras.layers.Dense(2)]).save_weights(path)
        with pytest.raises(ValueError, match="the first layer that differs"):
            build(TINY, weights=path)

    def test_a_refused_file_leaves_no_weight_changed(self, saved, tmp_path):
        model, _ = saved
        before = model.get_weights()
        other = build_model(TINY, input_shape=SHAPE, classes=3)
        other.save_weights(tmp_path / "other.weights.h5")
        with pytest.raises(ValueError, match="'predictions'"):
            load_weights_file(model, tmp_path / "other.weights.h5")
        np.testing.assert_equal(model.get_weights(), before)


@once
class TestHeadAndStem:
    """What may differ, each with one warning."""

    def built(self, note, **arguments):
        """Builds a model that must warn of one thing, and returns its weights by their paths."""
        arguments = {"input_shape": SHAPE, "classes": 2, **arguments}
        with pytest.warns(UserWarning, match=note) as caught:
            model = build_model(TINY, name="new", **arguments)
        assert [str(each.message) for each in caught] == [f"new: {note}."]
        assert caught[0].filename == __file__
        return values(model)

    def test_with_other_classes_the_head_begins_anew(self, saved):
        model, folder = saved
        note = "the classifier of 5 classes begins anew, for the file has 2"
        weights = self.built(note, classes=5, weights=folder / NAMES[0])
        kernel, bias = (weights.pop(path) for path in HEAD)
        assert kernel.shape == (8, 5)
        assert kernel.std() > 0.1  # drawn, with a deviation of √(2 / 13) = 0.39
        assert (bias == 0).all()
        for path, value in weights.items():
            np.testing.assert_array_equal(value, values(model)[path])

    def test_the_file_says_how_many_classes_unless_it_is_said(self, saved, tmp_path):
        model, folder = saved
        assert_same(build_model(TINY, input_shape=SHAPE, weights=folder / NAMES[1]), model)
        keras_resnets.to_torch_state_dict(model, tmp_path / "net.safetensors")
        converted = build_model(TINY, input_shape=SHAPE, weights=tmp_path / "net.safetensors")
        assert converted.output_shape == (None, 2)
        features = build_model(TINY, include_top=False, weights=folder / NAMES[1])
        assert features.output_shape[-1] == 8

    @pytest.mark.parametrize("units", [10**9, 0, -1, True, 2.0, "2", None])
    def test_a_forged_number_of_classes_builds_nothing(self, saved, tmp_path, units):
        path = tmp_path / "forged.keras"
        change_configuration(saved[1] / NAMES[1], path, units)
        note = "the classifier of 10 classes begins anew, for the file has 2"
        self.built(note, classes=None, weights=path)

    def test_a_head_may_be_left_off_and_added(self, saved, tmp_path):
        model, folder = saved
        for pooling in (None, "avg", "max"):
            backbone = build_model(
                TINY, include_top=False, pooling=pooling, weights=folder / NAMES[1]
            )
            expected = {path: value for path, value in values(model).items() if path not in HEAD}
            np.testing.assert_equal(values(backbone), expected)
        backbone.save(tmp_path / "net.keras")
        note = "the classifier of 2 classes begins anew, for the file has none"
        weights = self.built(note, weights=tmp_path / "net.keras")
        np.testing.assert_equal({path: weights[path] for path in expected}, expected)

    @pytest.mark.parametrize(("channels", "name"), [(1, NAMES[0]), (4, NAMES[1])])
    def test_with_other_channels_the_stem_is_adapted(self, saved, channels, name):
        model, folder = saved
        note = f"the stem's kernel was adapted from 3 to {channels} channels"
        arguments = {"input_shape": (8, 8, channels), "weights": folder / name}
        weights, of_file = self.built(note, **arguments), values(model)
        path = "stem_conv/conv/kernel"
        red, green, blue = np.moveaxis(of_file.pop(path), 2, 0)
        expected = np.array([red, green, blue, red]) * 0.75
        if channels == 1:
            expected = [red + green + blue]
        np.testing.assert_allclose(np.moveaxis(weights.pop(path), 2, 0), expected, atol=1e-6)
        np.testing.assert_equal(weights, of_file)
        with pytest.warns(UserWarning, match=note):
            other = build_model(TINY, classes=2, **arguments)
        assert keras_resnets.model_preprocessing(other) is None


@once
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
def test_numbers_that_are_not_sound_are_refused(path, value, message, tmp_path):
    model = build(TINY)
    [weight] = [weight for weight in model.weights if weight.path == path]
    weight.assign(np.full(weight.shape, value))
    model.save_weights(tmp_path / "net.weights.h5")
    with pytest.raises(WeightsFileError, match=rf"{message}.*array is not.*Received: weights="):
        build(TINY, weights=tmp_path / "net.weights.h5")


@once
def test_a_trained_model_s_optimizer_is_left_out(tmp_path):
    model = build(TINY)
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    model.train_on_batch(np.ones((4, *SHAPE), "float32"), np.arange(4) % 2)
    for name in NAMES:
        save(model, tmp_path / name)
        assert_same(build(TINY, weights=tmp_path / name), model)


def test_precision(saved, tmp_path):
    model, folder = saved
    keras.config.set_dtype_policy("bfloat16")
    half = build(TINY, weights=folder / "net.keras")
    for weight, expected in zip(half.weights, model.weights, strict=True):
        np.testing.assert_allclose(numpy(weight), numpy(expected), rtol=1e-2)
    half.save_weights(tmp_path / "half.weights.h5")
    keras.config.set_dtype_policy("float32")
    assert_same(build(TINY, weights=tmp_path / "half.weights.h5"), half)


def test_the_configuration_of_a_file_is_not_read(saved, tmp_path):
    """It could name code to run; only the arrays are wanted."""
    model, folder = saved
    path = tmp_path / "hostile.keras"
    with zipfile.ZipFile(folder / "net.keras") as source, zipfile.ZipFile(path, "w") as target:
        target.writestr("config.json", json.dumps({"class_name": "__lambda__"}))
        target.writestr("metadata.json", "not JSON")
        target.writestr("model.weights.h5", source.read("model.weights.h5"))
    assert_same(build(TINY, weights=path), model)


class TestLayersOfAFile:
    """They count by their names."""

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("layers/basic_block", "layers/basic_block_1"),
            ("layers/basic_block/conv1", "layers/basic_block/conv2"),
        ],
    )
    def test_not_by_the_places_of_their_groups(self, tmp_path, first, second):
        """Keras's own `load_weights` goes by the places, and notices nothing."""
        spec = dataclasses.replace(TINY, repeats=(2,), widths=(4,))
        model = build(spec)
        randomize(model)
        path = tmp_path / "net.weights.h5"
        model.save_weights(path)
        with h5py.File(path, "a") as file:
            file.move(first, "aside")
            file.move(second, first)
            file.move("aside", second)
        assert_same(build(spec, weights=path), model)

    @pytest.mark.parametrize(
        ("layer", "name", "message"),
        [
            ("basic_block", "stage1_block2", "'stage1_block1/conv1/conv': .* the file no such"),
            ("basic_block_1", "stage1_block1", "holds 2 layers named 'stage1_block1'"),
        ],
    )
    def test_a_renamed_layer_is_another_one(self, path, layer, name, message):
        with h5py.File(path, "a") as file:
            file[f"layers/{layer}/vars"].attrs["name"] = name
        with pytest.raises(ValueError, match=message):
            build(TINY, weights=path)

    def test_integers_are_no_floats(self, path):
        with h5py.File(path, "a") as file:
            del file["layers/classifier/vars/1"]
            file["layers/classifier/vars/1"] = np.zeros(2, "int32")
        with pytest.raises(ValueError, match=r"'predictions': .* \(2,\) of integers"):
            build(TINY, weights=path)

    def test_a_layer_of_the_file_alone_is_named_without_its_whole_name_and_list(self, path):
        with h5py.File(path, "a") as file:
            variables = file.create_group("layers/classifier_1/vars")
            variables.attrs["name"] = "\x1b" * 900
            for number in range(300):
                variables[str(number)] = np.zeros((1, 1), "float32")
        with pytest.raises(ValueError, match=r"differs is '\\x1b.*the model has no such") as raised:
            build(TINY, weights=path)
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 1500

    def test_those_that_keras_named_are_told_apart_by_their_order(self, tmp_path):
        """In the second model they are `normalization_3` and `normalization_4`, for instance."""

        def build(**arguments):
            x = keras.Input(SHAPE)
            for _ in range(2):
                x = keras.layers.Normalization(axis=-1)(x)
            return build_model(TINY, input_tensor=x, classes=2, **arguments)

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

    def test_those_of_a_nested_model(self, tmp_path):
        def build(**arguments):
            inputs = keras.Input(SHAPE)
            x = keras.layers.Conv2D(2, 1)(inputs)
            colours = keras.Model(inputs, keras.layers.Conv2D(3, 1)(x), name="colours")
            return build_model(TINY, input_tensor=colours(keras.Input(SHAPE)), **arguments)

        model = build()
        randomize(model)
        model.save_weights(tmp_path / "net.weights.h5")
        assert_same(build(weights=tmp_path / "net.weights.h5"), model)

    def test_sublayers_that_nothing_tells_apart(self, tmp_path):
        class Colours(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.second, self.first = keras.layers.Dense(3), keras.layers.Dense(3)

            def call(self, x):
                return self.second(self.first(x))

        def build(**arguments):
            x = Colours(name="colours")(keras.Input(SHAPE))
            return build_model(TINY, input_tensor=x, **arguments)

        build().save_weights(tmp_path / "net.weights.h5")
        with pytest.raises(ValueError, match="of 'colours' cannot be told apart: give each a"):
            build(weights=tmp_path / "net.weights.h5")


class TestArchives:
    """Hostile ones beyond what tests/files reads."""

    def write(self, path, content, compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("model.weights.h5", content)

    def refuse(self, path, match):
        with pytest.raises(WeightsFileError, match=match):
            build(TINY, weights=path)

    def test_compressed(self, saved, tmp_path):
        model, folder = saved
        content = (folder / "net.weights.h5").read_bytes()
        self.write(tmp_path / "small.keras", content, zipfile.ZIP_DEFLATED)
        assert_same(build(TINY, weights=tmp_path / "small.keras"), model)
        self.write(tmp_path / "other.keras", content, zipfile.ZIP_LZMA)
        self.refuse(tmp_path / "other.keras", "compressed in a way that Keras does not use")

    def test_damage(self, saved, tmp_path):
        content = bytearray((saved[1] / "net.keras").read_bytes())
        content[content.index(b"\x89HDF") + 5000] ^= 1
        (tmp_path / "damaged.keras").write_bytes(content)
        self.refuse(tmp_path / "damaged.keras", "Bad CRC-32 for file 'model.weights.h5'")

    def test_a_size_that_is_a_lie(self, tmp_path):
        """The directory says 1,000 bytes; 30 million would come out."""
        path = tmp_path / "net.keras"
        self.write(path, bytes(3 * 10**7), zipfile.ZIP_DEFLATED)
        content = path.read_bytes()
        size = (3 * 10**7).to_bytes(4, "little")
        assert content.count(size) == 2
        path.write_bytes(content.replace(size, (1000).to_bytes(4, "little")))
        tracemalloc.start()
        self.refuse(path, "archive is broken|no valid HDF5 file")
        assert tracemalloc.get_traced_memory()[1] < 10**7
        tracemalloc.stop()


def without_names(file):
    for group in file["layers"].values():
        group["vars"].attrs.clear()


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.move("layers", "other"),
        without_names,
        lambda file: file.move("layers/classifier/vars/0", "layers/dense/vars/7"),
    ],
)
def test_a_file_of_another_kind(path, damage):
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(ValueError, match=r"`weights` must.*Received: weights="):
        build(TINY, weights=path)


# Without the last, it would seem a file without a classifier.
@pytest.mark.parametrize("group", ["", "/conv_norm", "/conv_norm/conv/vars", "/classifier/vars"])
def test_an_array_instead_of_a_group(path, group):
    with h5py.File(path, "a") as file:
        del file[f"layers{group}"]
        file[f"layers{group}"] = [1.0]
    with pytest.raises(ValueError, match=r"`weights` must.*Received: weights="):
        build(TINY, weights=path)

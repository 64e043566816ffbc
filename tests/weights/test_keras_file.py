"""Whole models out of `.keras` files, of which nothing is run."""

import json
import zipfile

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets.files import WeightsFileError
from keras_resnets.weights.keras_file import load_keras_file

SPEC = keras_resnets.ResNetSpec(block="basic", repeats=(1,), widths=(4,), stem="cifar")


def tiny(**arguments):
    return keras_resnets.build_model(SPEC, input_shape=(8, 8, 3), classes=2, **arguments)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.keras"


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """The members of a sound file, by their names."""
    path = tmp_path_factory.mktemp("sound") / "model.keras"
    tiny().save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, config):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else content)


def assert_the_same_answers(model, path, rng):
    model.save(path)
    loaded = load_keras_file(path)
    images = rng.uniform(size=(2, *(size or 8 for size in model.input_shape[1:])))
    expected = keras.ops.convert_to_numpy(model(images))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(loaded(images)), expected)
    return loaded


def test_a_network_with_its_preprocessing(path, rng):
    model = tiny(classifier_activation=None)
    keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing(resize=9, crop=8))
    loaded = assert_the_same_answers(model, path, rng)
    assert keras_resnets.model_preprocessing(loaded).resize == 9
    assert loaded.layers[-1].activation is keras.activations.linear


def test_a_trained_one_comes_without_its_optimizer(path, rng):
    model = tiny()
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    loaded = assert_the_same_answers(model, path, rng)
    assert not loaded.compiled


def test_one_of_other_blocks_and_one_built_further_upon(path, rng):
    ordered = keras_resnets.layers.OrderedBlock
    changed = keras_resnets.with_blocks(tiny(), ordered, order="full_pre_activation")
    assert_the_same_answers(changed, path, rng)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Normalization(mean=0.5, variance=0.1)(image)
    x = tiny()(x)
    x = keras.layers.Dropout(0.1)(x)
    outputs = keras.layers.Dense(3, kernel_regularizer="l2")(x)
    assert_the_same_answers(keras.Model(image, outputs), path, rng)


def named(module, name, config=None, registered=None):
    return {
        "module": module,
        "class_name": name,
        "config": config or {},
        "registered_name": registered,
    }


@pytest.mark.parametrize(
    "planted",
    [
        named("os", "system"),
        named("builtins", "function", "exec", "function"),
        named("builtins", "eval"),
        named("keras.layers", "Lambda", {"function": "x"}),
        named("keras.layers", "TorchModuleWrapper"),
        named("keras.layers", "StringLookup", {"vocabulary": "/etc/hostname"}),
        named("keras.utils", "get_file", {"origin": "http://127.0.0.1:9"}),
        named("keras.layers", "Dense", {}, "another>Dense"),
        named("keras_resnets.layers", "Unknown", {}, "keras_resnets>Unknown"),
        named(None, "__lambda__", {"code": "x"}),
        named(["os"], "system"),
        named("os", ["system"]),
        {"class_name": "Dense", "config": {}},
    ],
    ids=lambda value: str(value["class_name"]),
)
@pytest.mark.parametrize("depth", ["the model", "a layer", "an activation"])
def test_a_configuration_that_names_anything_else_builds_nothing(
    path, planted, depth, members, monkeypatch
):
    config = json.loads(members["config.json"])
    if depth == "the model":
        config = planted
    elif depth == "a layer":
        config["config"]["layers"][1] = planted
    else:
        config["config"]["layers"][-1]["config"]["activation"] = planted
    write(path, members, config)

    def build(*arguments, **options):
        pytest.fail("something was built")

    monkeypatch.setattr(keras.saving, "deserialize_keras_object", build)
    with pytest.raises(WeightsFileError, match="which is not on the list"):
        load_keras_file(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: [], "its configuration is no object"),
        (lambda config: {}, "describes no model"),
        (lambda config: named("keras", "DTypePolicy", {"name": "float32"}), "describes no model"),
        (lambda config: config | {"config": {}}, "Keras cannot build"),
        (lambda config: {"padding": " " * 2**25}, "unpacks to 33,5"),
    ],
)
def test_a_wrong_configuration_is_an_error_of_the_file(path, members, change, message):
    write(path, members, change(json.loads(members["config.json"])))
    with pytest.raises(WeightsFileError, match=message):
        load_keras_file(path)


@pytest.mark.parametrize("content", [b"", b"This is no archive. " * 100])
def test_what_is_no_archive_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(WeightsFileError, match="no sound archive"):
        load_keras_file(path)
    with pytest.raises(FileNotFoundError):
        load_keras_file(path.with_name("nowhere.keras"))

"""Whole models out of `.keras` files, of which nothing is run."""

import json
import resource
import tracemalloc
import zipfile

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets.files import WeightsFileError
from keras_resnets.weights.keras_model import load_keras_file

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


def augmentation():
    """Each layer of Keras's that augments images or adds noise, and in inference does nothing."""
    layers = keras.layers
    return [
        *(layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.2)),
        *(layers.RandomTranslation(0.1, 0.1), layers.RandomContrast(0.2)),
        *(layers.RandomBrightness(0.2), layers.RandomColorDegeneration(0.2)),
        *(layers.RandomColorJitter(brightness_factor=0.2), layers.RandomElasticTransform()),
        *(layers.RandomErasing(), layers.RandomGaussianBlur(), layers.RandomGrayscale()),
        *(layers.RandomHue(0.2), layers.RandomInvert(), layers.RandomPerspective()),
        *(layers.RandomPosterization(4), layers.RandomSaturation(0.2)),
        *(layers.RandomSharpness(0.2), layers.RandAugment(), layers.AugMix()),
        *(layers.CutMix(), layers.MixUp(), layers.GaussianNoise(0.1), layers.GaussianDropout(0.1)),
        *(layers.AlphaDropout(0.1), layers.SpatialDropout2D(0.1)),
    ]


def test_a_network_behind_augmentation(path, rng):
    """Within a Sequential model, as Keras's guides have it."""
    images = keras.Input((8, 8, 3))
    augmented = keras.Sequential(augmentation(), name="data_augmentation")(images)
    network = tiny()
    keras.Model(images, network(augmented)).save(path)
    x = rng.uniform(size=(2, 8, 8, 3)).astype("float32")
    answers = load_keras_file(path)(x, training=False)  # by itself, Keras's augmentation augments
    expected = keras.ops.convert_to_numpy(network(x))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(answers), expected)


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


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("float32", {"axis": None, "mean": 0.5, "variance": 0.1}),
        ("uint8", {"axis": (1, 3), "mean": [[0.5] * 3] * 8, "variance": [[0.1] * 3] * 8}),
        ("uint8", {}),
        ("float32", {"mean": 0.5, "variance": 0.1, "invert": True, "dtype": "mixed_float16"}),
    ],
)
def test_one_behind_a_normalization_of_any_kind(path, dtype, options):
    image = keras.Input((8, 8, 3), dtype=dtype)
    x = keras.layers.Normalization(**options)(image)
    keras.Model(image, keras.layers.Conv2D(2, 3)(x)).save(path)
    loaded, expected = load_keras_file(path), keras.saving.load_model(path)
    images = np.arange(192).reshape(1, 8, 8, 3).astype(dtype)
    np.testing.assert_array_equal(loaded(images), expected(images))


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
        (lambda config: "x", "configuration is no object"),
        (lambda config: [], "configuration is no object"),
        (lambda config: {}, "describes no model"),
        (lambda config: named("keras", "DTypePolicy", {"name": "float32"}), "describes no model"),
        (lambda config: config | {"config": {}}, "Keras cannot build"),
        (lambda config: {"padding": " " * 2**21}, "unpacks to 2,0"),
    ],
)
def test_a_wrong_configuration_is_an_error_of_the_file(path, members, change, message):
    write(path, members, change(json.loads(members["config.json"])))
    with pytest.raises(WeightsFileError, match=message):
        load_keras_file(path)


@pytest.mark.parametrize("content", [b"", b"This is no archive. " * 100])
def test_what_is_no_archive_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(WeightsFileError, match="must be a zip archive"):
        load_keras_file(path)
    with pytest.raises(FileNotFoundError):
        load_keras_file(path.with_name("nowhere.keras"))


def test_a_configuration_that_asks_for_more_than_the_file_has_builds_nothing(path, members):
    """A gigabyte of weights out of a few kilobytes."""
    config = json.loads(members["config.json"])
    config["config"]["layers"][-1]["config"]["units"] = 50_000_000
    write(path, members, config)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsFileError, match=r"asks for 250,00\d,\d{3} weights, .* has room for"):
        load_keras_file(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def normalized(axis):
    """The configuration of a model that normalizes images of 10,000 channels by given numbers."""
    image = keras.Input((None, None, 10_000))
    x = keras.layers.Normalization(axis=axis, mean=0.0, variance=1.0)(image)
    return keras.saving.serialize_keras_object(keras.Model(image, x))


@pytest.mark.parametrize("nested", [False, True])
def test_statistics_that_are_given_as_one_number_are_not_made_arrays_of(
    path, members, nested, monkeypatch
):
    """Keras makes an array of the image's channels of it, be there so many."""
    config = normalized(-1)
    if nested:
        layers = [keras.layers.InputLayer((None, None, 10_000))]
        outer = keras.saving.serialize_keras_object(keras.Sequential(layers, name="outer"))
        outer["config"]["layers"].append(config)
        config = outer
    text = json.dumps(config).replace("10000", "300000000")
    write(path, members, json.loads(text))

    def make(*arguments, **options):
        pytest.fail("an array was made")

    monkeypatch.setattr(keras.layers.Normalization, "build", make)
    with pytest.raises(WeightsFileError, match=r"asks for 600,000,000 weights"):
        load_keras_file(path)


def test_a_block_of_very_many_convolutions_is_not_built(path, members, monkeypatch):
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, keras_resnets.layers.StackedBlock(4, depth=3)(image))
    assert_the_same_answers(model, path, np.random.default_rng(0))
    config = keras.saving.serialize_keras_object(model)
    config["config"]["layers"][1]["config"]["depth"] = 1_000_000
    write(path, members, config)

    def build(*arguments, **options):
        pytest.fail("something was built")

    monkeypatch.setattr(keras.saving, "deserialize_keras_object", build)
    with pytest.raises(WeightsFileError, match=r"asks for 1,000,000 convolutions, .* for \d+ at"):
        load_keras_file(path)


@pytest.mark.parametrize("name", ["red\x1b[31m", "two\nlines", "x" * 10_000])
def test_a_name_that_a_terminal_would_obey_is_refused_and_shown_without_effect(path, members, name):
    for change in ("name", "class_name"):
        config = json.loads(members["config.json"])
        layer = config["config"]["layers"][1]
        (layer if change == "class_name" else layer["config"])[change] = name
        write(path, members, config)
        with pytest.raises(WeightsFileError, match=r"not on the list|has a name") as raised:
            load_keras_file(path)
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 500


def test_nothing_of_what_is_counted_stays(path, rng):
    """The model that is loaded has the names and the values that it has without the counting."""
    model = tiny()
    model.save(path)
    expected = keras.saving.load_model(path)
    keras.backend.clear_session()
    loaded = load_keras_file(path)
    assert [weight.path for weight in loaded.weights] == [
        weight.path for weight in expected.weights
    ]
    for weight, other in zip(loaded.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("config.json", b'{"a": [' + b"{}," * 700_000 + b"{}]}", "unpacks to 2,1"),
        ("config.json", b"[" * 10**6, "is no JSON"),
        ("model.weights.h5", bytes(2**23), "unpacks to 8,388,608 bytes, 1,0"),
    ],
    ids=["many objects", "deep", "zeros"],
)
def test_a_member_that_unpacks_to_much_is_refused(path, members, member, content, message):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in (members | {member: content}).items():
            archive.writestr(name, value)
    tracemalloc.start()
    with pytest.raises(WeightsFileError, match=message):
        load_keras_file(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()

"""The network as it is trained and handed on, and the weights it begins with."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnets
from keras_resnets.architecture.spec import VARIANTS
from training.data.augment import resized_mean
from training.data.source import digits
from training.loop.learner import Learner
from training.loop.network import (
    build_network,
    finished_model,
    load_initial_weights,
    open_initial_weights,
)
from training.recipe.files import with_what_weights_decided
from training.recipe.recipe import Data, Evaluation, Model, Recipe

DATA = Data(image_size=16)


@pytest.fixture(scope="module", autouse=True)
def small_networks():
    """ResNet-20 has one block a stage, and ResNet-32 two."""
    with pytest.MonkeyPatch.context() as patch:
        for count, name in enumerate(("resnet20", "resnet32"), 1):
            spec = dataclasses.replace(VARIANTS[name], repeats=(count,) * 3)
            patch.setitem(VARIANTS, name, spec)
        yield


def network(path, classes=3, name="resnet20"):
    """Returns a network with the weights of a file, and what is said of them."""
    model, _, notes = begun(Recipe(model=Model(name=name, weights=str(path)), data=DATA), classes)
    return model, notes


def begun(recipe, classes=3, class_names=()):
    """Returns the network that a recipe begins with, the recipe followed, and what is said."""
    recipe, load = open_initial_weights(recipe)
    model = build_network(recipe, classes, channels=3)
    return model, *load_initial_weights(recipe, model, load, class_names)


@pytest.fixture(scope="module")
def trained():
    """A network of seven classes whose weights are all random, those that begin at 0 or 1 too."""
    model = keras_resnets.ResNet20(input_shape=(16, 16, 3), classes=7)
    generator = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    return model


@pytest.fixture(scope="module", params=["file.weights.h5", "file.keras"])
def file(request, trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / request.param
    (trained.save_weights if request.param.endswith("h5") else trained.save)(path)
    return path


def by_layer(model):
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def test_with_other_classes_the_backbone_is_the_files_and_the_classifier_begins_anew(file, trained):
    model, said = network(file)
    assert said == ["the classifier of 3 classes begins anew, for the file has 7."]
    of_model, of_file = by_layer(model), by_layer(trained)
    kernel, bias = of_model.pop("predictions")
    assert kernel.shape == (64, 3)
    assert np.abs(kernel).max() < 0.5  # the file's lie in [0.5, 1.5]
    assert (bias == 0).all()
    del of_file["predictions"]
    assert of_model.keys() == of_file.keys()
    for name, arrays in of_model.items():
        for array, expected in zip(arrays, of_file[name], strict=True):
            np.testing.assert_array_equal(array, expected)


def test_numbers_that_are_not_finite_are_refused_before_any_step(tmp_path):
    model = keras_resnets.ResNet20(input_shape=(16, 16, 3), classes=3)
    model.get_layer("stem_conv").norm.gamma.assign(np.full(16, np.nan))
    model.save_weights(tmp_path / "nan.weights.h5")
    with pytest.raises(ValueError, match="the layer 'stem_conv/norm' holds NaN or infinity"):
        network(tmp_path / "nan.weights.h5")


def test_a_backbone_alone_gets_a_classifier_and_another_stem_is_warned_of(tmp_path):
    backbone = keras_resnets.ResNet20(include_top=False, input_shape=(16, 16, 1))
    backbone.save_weights(tmp_path / "backbone.weights.h5")
    model, said = network(tmp_path / "backbone.weights.h5")
    assert any("kernel was adapted from 1 to 3 channels" in line for line in said)
    assert "the classifier of 3 classes begins anew, for the file has none." in said
    for path in ("stem_conv/norm/gamma", "stage3_block1/conv2/conv/kernel"):
        loaded, expected = (
            next(weight for weight in each.weights if weight.path == path)
            for each in (model, backbone)
        )
        np.testing.assert_array_equal(loaded, expected)


def test_with_as_many_classes_all_is_loaded(file, trained):
    model, said = network(file, classes=7)
    assert said == []
    for variable, expected in zip(model.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(variable, expected)


def test_a_run_that_is_resumed_does_not_need_the_file():
    data = Data(source="digits", image_size=8, mean=(0.3,), std=(0.4,))
    recipe = Recipe(model=Model(weights="gone.weights.h5"), data=data)
    strategy = tf.distribute.OneDeviceStrategy("/CPU:0")
    sources = digits("train"), digits("test")
    with pytest.raises(ValueError, match=r"gone\.weights\.h5"):
        Learner(recipe, strategy, *sources)
    assert Learner(recipe, strategy, *sources, is_resumed=True).initial_weights == []


@pytest.mark.parametrize("classes", [3, 7])
def test_another_architecture_is_an_error_that_names_it_or_the_first_layer(file, classes):
    expected = "first layer that differs is 'stage1_block2"
    if file.suffix == ".keras":
        expected = r"repeats=\(1, 1, 1\), not repeats=\(2, 2, 2\): pass --model.name resnet20, or"
    with pytest.raises(ValueError, match=expected):
        network(file, classes, name="resnet32")


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_file_that_is_none_is_an_error(tmp_path, suffix):
    path = tmp_path / f"no{suffix}"
    with pytest.raises(ValueError, match="There is no such file"):
        network(path)
    path.write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"must be a zip archive|no valid HDF5"):
        network(path)


@pytest.mark.parametrize("is_mean_image", [False, True])
def test_where_the_evaluation_has_another_size_the_network_takes_both(is_mean_image):
    """And the model that is handed on takes that of the evaluation, and says how."""
    spec = keras_resnets.ResNetSpec(block="basic", repeats=(1,), widths=(4,), stem="cifar")
    recipe = Recipe(
        model=Model(name="tiny", spec=spec.to_json()),
        data=Data(image_size=16),
        evaluation=Evaluation(image_size=24),
    )
    trained = build_network(recipe, classes=3, channels=3)
    generator = np.random.default_rng(0)
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.4])
    if is_mean_image:
        mean = generator.uniform(0, 1, (16, 16, 3)).astype("float32")
    pixels = generator.uniform(0, 255, (2, 24, 24, 3)).astype("float32")
    assert trained(np.zeros((2, 16, 16, 3))).shape == (2, 3)
    at_24 = tf.image.resize(mean, (24, 24)).numpy() if is_mean_image else mean
    expected = keras.ops.softmax(trained((pixels / 255 - at_24) / std))
    model = finished_model(recipe, trained, mean, std, ("cat", "dog", "owl"))
    assert model.input_shape == (None, 24, 24, 3)
    assert keras_resnets.model_class_names(model) == ("cat", "dog", "owl")
    prepared = keras_resnets.preprocess_input(pixels, model)
    np.testing.assert_allclose(model(prepared), expected, atol=1e-5)
    assert is_mean_image == np.allclose(prepared, pixels)


def test_a_mean_image_of_the_same_size_stays_as_it_is():
    image = np.random.default_rng(0).uniform(0, 1, (16, 16, 3)).astype("float32")
    assert resized_mean(image, 16) is image
    np.testing.assert_allclose(resized_mean(np.full((8, 8, 3), 0.25, "float32"), 16), 0.25)


SPEC = dataclasses.replace(VARIANTS["resnet20"], repeats=(1, 1, 1))


@pytest.mark.parametrize("suffix", ["keras", "safetensors"])
@pytest.mark.parametrize(
    ("model", "in_file", "message"),
    [
        ({"name": "plainnet20"}, {}, "shortcut='A', not shortcut=None: choose another --model.n"),
        ({"shortcut": "B"}, {}, "shortcut='A', not shortcut='B': leave --model.shortcut out"),
        (
            {"name": "mine", "spec": SPEC.to_json()},
            {"zero_pad": "both"},
            "zero_pad='both', not zero_pad='end': change 'zero_pad' in `model.spec`",
        ),
    ],
)
def test_weights_that_contradict_the_recipe_are_refused_with_what_to_change(
    suffix, model, in_file, message, tmp_path, monkeypatch
):
    plain = dataclasses.replace(VARIANTS["plainnet20"], repeats=(1, 1, 1))
    monkeypatch.setitem(VARIANTS, "plainnet20", plain)
    options = in_file or {"zero_pad": "both"}
    saved = keras_resnets.ResNet20(input_shape=(16, 16, 3), **options)
    path = tmp_path / f"net.{suffix}"
    if suffix == "keras":
        saved.save(path)
    else:
        keras_resnets.to_torch_state_dict(saved, path, "akamaster")
    recipe = Recipe(model=Model(weights=str(path), **model), data=DATA)
    with pytest.raises(ValueError, match=f"and the file's network has {message}") as raised:
        open_initial_weights(recipe)
    assert str(raised.value).endswith(f"Received: model.weights={str(path)!r}")


@pytest.mark.parametrize(
    ("in_file", "advice"),
    [
        ({"activation": "elu"}, "give the network as --model.spec, or other weights"),
        ({"output_stride": 2}, "give the network as --model.spec, or other weights"),
        ({"shortcut": None}, "choose another --model.name, or other weights"),
    ],
)
def test_what_no_option_of_the_recipe_gives_is_said_when_the_weights_are_opened_or_loaded(
    in_file, advice, tmp_path
):
    spec = dataclasses.replace(VARIANTS["resnet20"], **in_file)
    keras_resnets.build_model(spec, input_shape=(16, 16, 3)).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="must be of the recipe's network") as raised:
        network(tmp_path, classes=10)
    assert advice in str(raised.value)


@pytest.mark.parametrize("options", [{"activation": "elu"}, {"shortcut": "C"}, {}])
def test_a_run_of_other_blocks_begins_another_of_the_same_recipe(options, tmp_path):
    """The options of the blocks are not those of the network's spec."""
    block = {"block": "StackedBlock", "block_options": json.dumps(options)}
    model = Model(**block)
    first = build_network(Recipe(model=model, data=DATA), 3, channels=3)
    first.save(tmp_path / "model.keras")
    again = dataclasses.replace(model, weights=str(tmp_path))
    begun_again, _, _ = begun(Recipe(model=again, data=DATA))
    for one, other in zip(begun_again.weights, first.weights, strict=True):
        np.testing.assert_array_equal(one, other)


CIFAR = keras_resnets.Preprocessing(
    resize=32, crop=32, mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26)
)


def saved(path, preprocessing, **options):
    model = keras_resnets.ResNet20(input_shape=(32, 32, 3), classes=3, **options)
    keras_resnets.set_preprocessing(model, preprocessing)
    model.save(path / "model.keras")
    return str(path)  # of the folder, as a run's


def test_the_normalization_comes_with_the_weights(tmp_path):
    weights = saved(tmp_path, CIFAR)
    _, recipe, notes = begun(Recipe(model=Model(weights=weights)))
    assert (recipe.data.mean, recipe.data.std) == (CIFAR.mean, CIFAR.std)
    assert notes == [
        "data.mean is that of the weights, 0.49 0.48 0.45",
        "data.std is that of the weights, 0.25 0.24 0.26",
    ]
    same = Data(mean=CIFAR.mean, std=CIFAR.std)
    assert begun(Recipe(model=Model(weights=weights), data=same))[1:] == (recipe, [])
    # What is given stays when the run is resumed; what is not given is the run's.
    for data, is_followed in ((Data(), True), (same, True), (Data(mean=tuple(Data().mean)), False)):
        given = Recipe(model=Model(weights=weights), data=data)
        assert (with_what_weights_decided(given, recipe) == recipe) == is_followed


def test_other_units_are_converted_to_those_of_a_recipe(tmp_path):
    """(x / 127.5 - 1 - 0.2) / 0.5 is (x / 255 - 0.6) / 0.25."""
    noted = keras_resnets.Preprocessing(resize=32, crop=32, value_range=(-1, 1), mean=0.2, std=0.5)
    _, recipe, _ = begun(Recipe(model=Model(weights=saved(tmp_path, noted))))
    assert (recipe.data.mean, recipe.data.std) == ((0.6,), (0.25,))
    confirmed = Data(std=(0.25, 0.25, 0.25))
    _, recipe, notes = begun(Recipe(model=recipe.model, data=confirmed))
    assert (recipe.data.mean, recipe.data.std) == ((0.6,) * 3, (0.25,) * 3)
    assert notes == ["data.mean is that of the weights, 0.6"]


@pytest.mark.parametrize(
    ("noted", "data", "message"),
    [
        (CIFAR, {"mean": (0.5,), "std": (0.5,)}, r"pass --data\.mean 0\.49 0\.48 0\.45"),
        (CIFAR, {"mean": tuple(Data().mean)}, r"pass --data\.mean 0\.49 0\.48 0\.45"),
        (CIFAR, {"per_pixel_mean": True}, r"data\.per_pixel_mean=True"),
        (keras_resnets.Preprocessing.imagenet_caffe(32, 32), {}, "channel_order='bgr'"),
    ],
)
def test_a_recipe_that_contradicts_the_weights_is_refused(noted, data, message, tmp_path):
    recipe = Recipe(model=Model(weights=saved(tmp_path, noted)), data=Data(**data))
    with pytest.raises(ValueError, match=message):
        begun(recipe)


def test_options_of_a_run_s_own_file_are_followed_too(tmp_path):
    weights = saved(tmp_path, CIFAR, zero_pad="both")
    _, recipe, _ = begun(Recipe(model=Model(weights=weights)))
    assert recipe.model.zero_pad == "both"
    weights = saved(tmp_path, CIFAR, shortcut="B")
    _, recipe, _ = begun(Recipe(model=Model(weights=weights)))
    assert recipe.model.architecture.shortcut == "B"


def test_options_that_only_the_weights_decide_are_followed_and_resumed(tmp_path):
    original = keras_resnets.ResNet20(input_shape=(32, 32, 3), classes=3, zero_pad="both")
    state_dict = keras_resnets.to_torch_state_dict(original, family="akamaster")
    from safetensors.numpy import save_file

    save_file(state_dict, tmp_path / "their.safetensors")
    given = Recipe(model=Model(weights=str(tmp_path / "their.safetensors")))
    model, recipe, notes = begun(given)
    assert recipe.model.zero_pad == "both"
    assert any("zero_pad is the file's, 'both'" in note for note in notes)
    for variable, expected in zip(model.weights, original.weights, strict=True):
        np.testing.assert_array_equal(variable, expected)
    assert with_what_weights_decided(given, recipe) == recipe
    other = dataclasses.replace(given, model=Model(weights="other.keras"))
    assert with_what_weights_decided(other, recipe) == other


@pytest.mark.parametrize(
    ("mean", "std"), [((0.0,), (1.0,)), (Data().mean, Data().std)], ids=["other", "default"]
)
def test_weights_whose_model_scales_its_images_by_a_layer_need_its_normalization(
    mean, std, tmp_path
):
    """A recipe's default that is the file's normalization is accepted, as any other that is."""
    image = keras.Input((32, 32, 3))
    scaled = keras.layers.Rescaling(1 / 255, name="scaled")(image)
    variance = [each**2 for each in std]
    scaled = keras.layers.Normalization(mean=list(mean), variance=variance)(scaled)
    keras_resnets.ResNet20(input_tensor=scaled, classes=3).save(tmp_path / "model.keras")
    weights = Model(weights=str(tmp_path))
    for data in (Data(mean=mean, std=std), Data(per_pixel_mean=True)):
        assert begun(Recipe(model=weights, data=data))[2] == []
    others = [Data(mean=(0.5,), std=(0.5,)), *([Data()] if mean != Data().mean else [])]
    for data in others:
        with pytest.raises(ValueError, match=r"by a layer of its own.*--data\.std"):
            begun(Recipe(model=weights, data=data))


def test_as_many_other_classes_get_a_new_classifier(tmp_path):
    original = keras_resnets.ResNet20(input_shape=(32, 32, 3), classes=3)
    keras_resnets.set_class_names(original, ["cat", "dog", "owl"])
    original.save(tmp_path / "model.keras")
    recipe = Recipe(model=Model(weights=str(tmp_path)))
    bias = np.arange(3, dtype="float32")
    kernel = original.get_layer("predictions").get_weights()[0]
    original.get_layer("predictions").set_weights([kernel, bias])
    original.save(tmp_path / "model.keras")
    for names, order, note in (
        (("cat", "dog", "owl"), [0, 1, 2], ""),
        (("owl", "cat", "dog"), [2, 0, 1], "put in the order of the data's"),
        (("cat", "dog", "cow"), None, "begins anew, for the weights are of other classes, 'cat'"),
    ):
        model, _, notes = begun(recipe, class_names=names)
        present = model.get_layer("predictions").get_weights()
        if order is None:
            assert (present[1] == 0).all()
        else:
            np.testing.assert_array_equal(present[0], kernel[:, order])
            np.testing.assert_array_equal(present[1], bias[order])
        assert any(note in each for each in notes) == bool(notes)


def test_a_kept_classifier_without_names_is_spoken_of(file):
    recipe = Recipe(model=Model(weights=str(file)), data=DATA)
    _, _, notes = begun(recipe, classes=7, class_names=[*"abcdefg"])
    assert notes == [
        "the classifier is kept: the weights have as many classes, without names, which must be "
        "in the order a, b, c, d, e, …"
    ]


@pytest.mark.parametrize(
    ("from_stage", "begins"), [(0, "stem_conv"), (3, "stage3"), (4, "predictions")]
)
def test_after_the_head_the_stages_of_the_recipe_are_trained(from_stage, begins, tmp_path):
    keras_resnets.ResNet20(input_shape=(8, 8, 1), classes=10).save(tmp_path / "model.keras")
    data = Data(source="digits", image_size=8, mean=(0.3,), std=(0.4,))
    recipe = Recipe(model=Model(weights=str(tmp_path)), data=data, from_stage=from_stage)
    strategy = tf.distribute.OneDeviceStrategy("/CPU:0")
    learner = Learner(recipe, strategy, digits("train"), digits("test"))
    learner.train_function(True)
    assert {w.path.split("/")[0] for w in learner.model.trainable_weights} == {"predictions"}
    learner.train_function(False)
    layers = [weight.path.split("/")[0] for weight in learner.model.trainable_weights]
    assert layers[0].startswith(begins)
    assert layers[-1] == "predictions"


@pytest.mark.parametrize(("stage", "weights"), [(5, "w.keras"), (3, "")])
def test_stages_that_cannot_be_trained_alone_are_refused(stage, weights):
    with pytest.raises(ValueError, match=r"`from_stage` needs `model\.weights`.*at most 3"):
        Recipe(model=Model(weights=weights), from_stage=stage)

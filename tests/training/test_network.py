"""The network as it is trained and handed on, and the weights it begins with."""

import zipfile

import keras
import numpy as np
import pytest

import keras_resnets
from training.data.normalization import resized_mean
from training.loop.network import build_network, classes_in, describe_initial_weights, serving_model
from training.recipe.recipe import Data, Evaluation, Model, Recipe


def network(path="", classes=3, name="resnet20"):
    recipe = Recipe(model=Model(name=name, weights=str(path)), data=Data(image_size=16))
    return build_network(recipe, classes, channels=3)


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


def test_the_number_of_classes_is_read_from_the_file(file):
    assert classes_in(str(file)) == 7


def test_an_archive_that_unpacks_to_far_more_is_not_unpacked(trained, tmp_path):
    trained.save_weights(tmp_path / "model.weights.h5")
    weights = (tmp_path / "model.weights.h5").read_bytes()
    for zeros, classes in ((0, 7), (2**26, None)):
        path = tmp_path / f"{zeros}.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("model.weights.h5", weights + bytes(zeros))
        assert classes_in(str(path)) == classes


def test_with_other_classes_the_backbone_is_the_files_and_the_classifier_begins_anew(file, trained):
    of_model, of_file = by_layer(network(file)), by_layer(trained)
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
    with pytest.warns(UserWarning, match="kernel was adapted from 1 to 3 channels"):
        model = network(tmp_path / "backbone.weights.h5")
    for path in ("stem_conv/norm/gamma", "stage3_block3/conv2/conv/kernel"):
        loaded, expected = (
            next(weight for weight in each.weights if weight.path == path)
            for each in (model, backbone)
        )
        np.testing.assert_array_equal(loaded, expected)
    said = describe_initial_weights(str(tmp_path / "backbone.weights.h5"), 3)
    assert "the file has none, the data have 3. It begins anew" in said


def test_where_a_checkpoint_follows_the_file_need_not_be_there():
    recipe = Recipe(model=Model(weights="gone.weights.h5"), data=Data(image_size=16))
    assert build_network(recipe, 3, channels=3, load_weights=False).output_shape == (None, 3)
    with pytest.raises(ValueError, match=r"gone\.weights\.h5"):
        build_network(recipe, 3, channels=3)


def test_with_as_many_classes_all_is_loaded(file, trained):
    model = network(file, classes=7)
    for variable, expected in zip(model.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(variable, expected)


@pytest.mark.parametrize("classes", [3, 7])
def test_another_architecture_is_an_error_that_names_the_first_layer(file, classes):
    with pytest.raises(ValueError, match="first layer that differs is 'stage1_block4"):
        network(file, classes, name="resnet32")


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_file_that_is_none_is_an_error(tmp_path, suffix):
    path = tmp_path / f"no{suffix}"
    with pytest.raises(ValueError, match="existing file"):
        network(path)
    path.write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"must be a zip archive|no valid HDF5"):
        network(path)


def test_what_a_run_begins_with_is_said(file):
    assert describe_initial_weights(str(file), 7) == f"Beginning with all weights of {file}"
    said = describe_initial_weights(str(file), 1234)
    assert "the file has 7 classes, the data have 1,234. It begins anew" in said


def test_a_model_without_a_classifier_has_no_classes(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save(tmp_path / "other.keras")
    assert classes_in(str(tmp_path / "other.keras")) is None


@pytest.mark.parametrize("is_mean_image", [False, True])
def test_where_the_evaluation_has_another_size_the_network_takes_both(tmp_path, is_mean_image):
    """And the model that is handed on takes that of the evaluation, also as a SavedModel."""
    tf = pytest.importorskip("tensorflow")
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
    served = serving_model(recipe, trained, mean, std)
    assert served.input_shape == (None, 24, 24, 3)
    np.testing.assert_allclose(served(pixels), expected, atol=1e-5)
    served.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.serve(pixels), expected, atol=1e-5)


def test_a_mean_image_of_the_same_size_stays_as_it_is():
    image = np.random.default_rng(0).uniform(0, 1, (16, 16, 3)).astype("float32")
    assert resized_mean(image, 16) is image
    np.testing.assert_allclose(resized_mean(np.full((8, 8, 3), 0.25, "float32"), 16), 0.25)

"""`preprocess_input`: keras.applications' modes, and none of its traps."""

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import Preprocessing, preprocess_input, set_preprocessing


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, size=(2, 5, 6, 3), dtype="uint8")


def expected_of_keras(images, **options):
    from keras.src.applications.imagenet_utils import preprocess_input as keras_preprocess_input

    return keras_preprocess_input(images.astype("float32"), **options)  # writes into its argument


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
def test_the_modes_are_keras_applications(images, mode, dtype):
    given = images.astype(dtype)
    outputs = preprocess_input(given, mode)
    assert isinstance(outputs, np.ndarray)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected_of_keras(images, mode=mode), atol=1e-4)
    np.testing.assert_array_equal(given, images)  # never in place


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_one_image_channels_first_and_tensors(images, mode):
    expected = expected_of_keras(images, mode=mode)
    np.testing.assert_allclose(preprocess_input(images[0], mode), expected[0], atol=1e-4)
    first = preprocess_input(np.moveaxis(images, 3, 1), mode, "channels_first")
    np.testing.assert_allclose(np.moveaxis(first, 1, 3), expected, atol=1e-4)
    one_first = preprocess_input(np.moveaxis(images[1], 2, 0), mode, "channels_first")
    np.testing.assert_allclose(np.moveaxis(one_first, 0, 2), expected[1], atol=1e-4)
    tensor = preprocess_input(keras.ops.convert_to_tensor(images), mode)
    assert keras.ops.is_tensor(tensor)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(tensor), expected, atol=1e-4)


def test_symbolic_tensors_make_a_graph(images):
    inputs = keras.Input((5, 6, 3))
    model = keras.Model(inputs, preprocess_input(inputs, "caffe"))
    outputs = keras.ops.convert_to_numpy(model(images.astype("float32")))
    np.testing.assert_allclose(outputs, expected_of_keras(images, mode="caffe"), atol=1e-4)


def test_a_model_or_a_preprocessing_is_a_mode(images):
    spec = keras_resnets.ResNetSpec(block="basic", repeats=(1,), widths=(4,), stem="cifar")
    model = keras_resnets.build_model(spec, include_top=False)
    with pytest.raises(ValueError, match="must note how its images are prepared: give it"):
        preprocess_input(images, model)
    set_preprocessing(model, Preprocessing.imagenet())
    np.testing.assert_array_equal(
        preprocess_input(images, model), preprocess_input(images, "torch")
    )
    np.testing.assert_array_equal(
        preprocess_input(images, Preprocessing.imagenet()), preprocess_input(images, "torch")
    )


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((4, 4)), "rank 3 or 4"),
        (np.full((4, 4, 3), -0.5), "already normalized"),
        (np.full((4, 4, 3), 256), "grey levels 0 to 255"),
        (np.full((4, 4, 3), np.nan), r"grey levels 0 to 255\. Received: NaN or infinity"),
        (np.full((4, 4, 3), 0.5), "already scaled to 0 to 1"),
        (np.full((4, 4, 3), "a"), "must hold numbers"),
        (np.zeros((4, 4, 1)), "three channels"),
    ],
)
def test_what_was_preprocessed_before_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        preprocess_input(x, "caffe")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_tensors_that_were_preprocessed_before_are_refused(dtype):
    for value, message in [(0.5, "already scaled to 0 to 1"), (-0.5, "already normalized")]:
        tensor = keras.ops.full((4, 4, 3), value, dtype=dtype)
        with pytest.raises(ValueError, match=message):
            preprocess_input(tensor, "caffe")


def test_the_values_of_a_graph_are_not_known():
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensors(np.full((4, 4, 3), 0.5))
    [outputs] = dataset.map(lambda x: preprocess_input(x, "tf"))
    np.testing.assert_allclose(outputs, 0.5 / 127.5 - 1)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        (None, "the model itself, a `Preprocessing`, or 'caffe'"),
        ("pytorch", "`mode` must be one of 'caffe', 'tf', 'torch'"),
    ],
)
def test_without_a_known_mode_the_error_says_what_to_pass(images, mode, message):
    with pytest.raises(ValueError, match=message):
        preprocess_input(images, mode)


def test_black_images_and_none_at_all_are_no_mistake():
    assert preprocess_input(np.zeros((4, 4, 3)), "tf").max() == -1
    assert preprocess_input(np.zeros((0, 4, 4, 3)), "tf").shape == (0, 4, 4, 3)

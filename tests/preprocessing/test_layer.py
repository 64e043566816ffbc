"""The layer: arithmetic by hand, resizing as Pillow's, in a graph and in a saved model."""

import keras
import numpy as np
import pytest
from PIL import Image

import keras_resnets
from keras_resnets import Preprocessing
from keras_resnets.preprocessing.preprocessing import ImagePreprocessing
from tests.backends import requires_tensorflow
from tests.subprocesses import ROOT

PHOTOS = sorted((ROOT.parent / "shared" / "data" / "photos").glob("*.JPEG"))
LEVELS = {"value_range": (0, 255)}


def run(preprocessing, images, **options):
    return keras.ops.convert_to_numpy(preprocessing.as_layer(**options)(images))


def pillow(image, size, interpolation="BILINEAR"):
    """Resizes the shorter side to `size` and crops the centre, as torchvision's transforms do."""
    width, height = image.size
    short = min(width, height)
    scaled = image.resize(
        (size * width // short, size * height // short), getattr(Image.Resampling, interpolation)
    )
    crop = size * 7 // 8
    left, top = (round((side - crop) / 2) for side in scaled.size)
    return np.asarray(scaled.crop((left, top, left + crop, top + crop)), "float64")


def test_the_values_by_hand():
    preprocessing = Preprocessing(
        value_range=(-1, 1), mean=(0.5, 0.0, -0.5), std=(0.5, 1, 2), channel_order="bgr"
    )
    image = np.array([[[[0, 51, 255]]]], "uint8")
    # Blue 255 is 1, green 51 is -0.6, red 0 is -1.
    expected = [[[[(1 - 0.5) / 0.5, -0.6, (-1 + 0.5) / 2]]]]
    np.testing.assert_allclose(run(preprocessing, image), expected, rtol=1e-6)
    np.testing.assert_allclose(run(preprocessing, image.astype("float32")), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "crop", "start"), [(10, 4, 3), (9, 4, 2), (11, 4, 4), (7, 4, 2), (5, 4, 0), (4, 4, 0)]
)
def test_the_crop_is_central_and_halves_go_to_even(size, crop, start):
    assert round((size - crop) / 2) == start  # torchvision's formula
    columns = np.arange(size, dtype="float32")[None, None, :, None]
    image = np.broadcast_to(columns, (1, crop, size, 1))
    cropped = run(Preprocessing(crop=crop, **LEVELS), image)
    np.testing.assert_allclose(cropped[0, 0, :, 0], np.arange(start, start + crop), rtol=1e-6)
    dynamic = ImagePreprocessing(Preprocessing(crop=crop, **LEVELS))
    model = keras.Sequential([keras.Input((None, None, 1)), dynamic])
    np.testing.assert_allclose(model.predict(image, verbose=0), cropped)


@pytest.mark.parametrize(
    ("interpolation", "shape"),
    [("BILINEAR", (64, 96)), ("BICUBIC", (61, 47)), ("BILINEAR", (20, 33)), ("BICUBIC", (20, 33))],
)
def test_resizing_is_pillow_s_down_and_up(interpolation, shape, rng):
    noise = rng.integers(0, 256, size=(*shape, 3), dtype="uint8")
    preprocessing = Preprocessing(resize=32, crop=28, interpolation=interpolation.lower(), **LEVELS)
    ours = run(preprocessing, noise[None])[0]
    theirs = pillow(Image.fromarray(noise), 32, interpolation)
    # Pillow rounds, and clips, between the horizontal and the vertical pass as well.
    assert np.abs(ours - theirs).mean() < 0.5
    assert np.abs(np.round(ours) - ours).max() < 1e-3


@pytest.mark.skipif(not PHOTOS, reason="the photographs are not here")
def test_photographs_are_within_a_grey_level_of_pillow_s():
    layer = Preprocessing(resize=256, crop=224, **LEVELS).as_layer()
    differences = []
    for path in PHOTOS[::4]:
        with Image.open(path) as file:
            image = file.convert("RGB")
        ours = keras.ops.convert_to_numpy(layer(np.asarray(image)[None]))[0]
        differences.append(np.abs(ours - pillow(image, 256)))
    assert np.mean(differences) < 0.2
    assert np.max(differences) < 2


def test_in_front_of_a_model_it_is_saved_with_it(tmp_path, rng):
    inputs = keras.Input((None, None, 3), dtype="uint8")
    images = Preprocessing.imagenet_caffe(40, (32, 36)).as_layer(name="eats")(inputs)
    assert images.shape == (None, 32, 36, 3)
    spec = keras_resnets.ResNetSpec(block="basic", repeats=(1,), widths=(4,), stem="cifar")
    model = keras_resnets.build_model(spec, input_tensor=images, classes=3)
    pixels = rng.integers(0, 256, size=(2, 50, 60, 3), dtype="uint8")
    expected = keras.ops.convert_to_numpy(model(pixels, training=False))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    outputs = keras.ops.convert_to_numpy(loaded(pixels, training=False))
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    layer = loaded.get_layer("eats")
    assert layer.preprocessing == Preprocessing.imagenet_caffe(40, (32, 36))


def test_channels_first_and_a_resize_to_an_exact_size(rng):
    image = rng.integers(0, 256, size=(1, 20, 30, 3), dtype="uint8")
    preprocessing = Preprocessing(resize=(12, 10), crop=(8, 10), channel_order="bgr", mean=0.5)
    last = run(preprocessing, image, data_format="channels_last")
    first = run(preprocessing, np.moveaxis(image, 3, 1), data_format="channels_first")
    assert last.shape == (1, 8, 10, 3)
    np.testing.assert_allclose(np.moveaxis(first, 1, 3), last, atol=1e-5)


def test_half_precision_comes_last():
    layer = ImagePreprocessing(
        Preprocessing(value_range=(0, 255), mean=254.0), dtype="mixed_bfloat16"
    )
    # 255 and 254 are the same number in bfloat16.
    outputs = layer(np.full((1, 2, 2, 3), 255.0, "float32"))
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32")), 1)


@pytest.mark.parametrize(
    ("preprocessing", "shape", "message"),
    [
        (Preprocessing(crop=8), (1, 7, 9, 3), "as large as the crop of 8"),
        (Preprocessing(resize=8), (1, 101, 1, 3), "at most 100 times as long as it is wide"),
        (Preprocessing(mean=(1, 2, 3)), (1, 8, 8, 1), "as many channels as `mean`"),
        (Preprocessing(channel_order="bgr"), (1, 8, 8, 4), "three channels"),
    ],
)
def test_images_that_do_not_fit_are_refused(preprocessing, shape, message):
    with pytest.raises(ValueError, match=message):
        run(preprocessing, np.zeros(shape, "float32"))


def test_the_longest_strip_is_resized_and_of_a_pair_any():
    strip = np.zeros((1, 2, 200, 3), "uint8")
    assert run(Preprocessing(resize=4), strip).shape == (1, 4, 400, 3)
    assert run(Preprocessing(resize=(4, 4)), strip[:, :1]).shape == (1, 4, 4, 3)


@requires_tensorflow
@pytest.mark.parametrize(
    ("preprocessing", "shape", "message"),
    [
        (Preprocessing(crop=32), (1, 20, 40, 3), "as large as the crop of 32 pixels.*1 20 40 3"),
        (Preprocessing(crop=32), (1, 40, 20, 3), "as large as the crop of 32 pixels"),
        (Preprocessing(resize=8), (1, 101, 1, 3), "at most 100 times as long"),
        (Preprocessing(resize=8), (1, 1, 101, 3), "at most 100 times as long"),
    ],
)
def test_a_graph_refuses_them_when_it_runs(preprocessing, shape, message):
    import tensorflow as tf

    layer = preprocessing.as_layer()
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        graph(np.zeros(shape, "uint8"))


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing.imagenet(36, 32),
        Preprocessing.imagenet_caffe(36, 32, "bicubic"),
        Preprocessing(resize=(36, 32), crop=(20, 30)),
        Preprocessing(crop=20),
    ],
    ids=["bilinear", "bicubic", "stretched", "cropped"],
)
@pytest.mark.parametrize("size", [(40, 50), (None, None)])
def test_within_tf_data_on_any_backend(preprocessing, size, rng):
    tf = pytest.importorskip("tensorflow")
    images = rng.integers(0, 256, size=(2, 40, 50, 3), dtype="uint8")
    dataset = tf.data.Dataset.from_generator(
        lambda: [images], output_signature=tf.TensorSpec((2, *size, 3), "uint8")
    )
    layer = preprocessing.as_layer()
    [outputs] = dataset.map(layer)
    expected = run(preprocessing, images)
    assert outputs.shape == expected.shape
    # Two backends' kernels differ in the last bits, so that a value at a half is rounded up by the
    # one and down by the other: one grey level, of few pixels.
    levels = np.abs(outputs.numpy() - expected) * np.array(preprocessing.std) * 255
    levels /= preprocessing.value_range[1]
    assert levels.max() < 1.001
    assert (levels > 0.001).mean() < 0.005

"""Decoding, windows of random crops, and the views of an evaluation."""

import functools
import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnets.export.served_model import decode_image_file
from tests.training.data.pictures import array_source, encoded, seeds, smooth_picture, write_folder
from training.data.batches import evaluation_batches
from training.data.decoding import (
    READ_FORMATS,
    area_window,
    central_view,
    crop_resized,
    decoded,
    decoded_file,
    image_shape,
    scale_window,
    ten_views,
    view_preprocessing,
)
from training.data.folder import FolderSource
from training.data.source import Source
from training.recipe.files import load_recipe, recipe_from_toml
from training.recipe.recipe import Data, Evaluation, Recipe

IN_MEMORY = array_source()


class EncodedSource(Source):
    """Stands for files."""

    size, class_names, channels, identifier, encoded = 1, ("a",), 3, "", True
    load = name_of = None


FILES = EncodedSource()


def levels_apart(one, other):
    return np.abs(np.asarray(one, int) - np.asarray(other, int))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_shape_and_pixels_of_a_file(kind):
    picture = smooth_picture(60, 90)
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    contents = tf.constant(encoded(picture, kind, **options))
    assert image_shape(contents, FILES).numpy().tolist() == [60, 90]
    pixels = decoded(contents, FILES)
    assert pixels.dtype == tf.uint8
    assert levels_apart(pixels, picture).max() <= (0 if kind == "PNG" else 10)


def opened_by_pillow(contents):
    return np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}], ids=str)
@pytest.mark.parametrize("texture", ["smooth", "noise"])
def test_pixels_of_a_jpeg_are_pillows(rng, texture, options):
    noise = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    contents = encoded(noise if texture == "noise" else smooth_picture(61, 90), **options)
    expected = opened_by_pillow(contents)
    np.testing.assert_array_equal(decoded(tf.constant(contents), FILES), expected)
    # A window of the size that is asked for is not resized.
    window = tf.constant([0, 0, 32, 32])
    top_left = crop_resized(tf.constant(contents), window, FILES, 32)
    inside = slice(0, 31)  # colours at the cut are interpolated anew
    np.testing.assert_array_equal(top_left[inside, inside], expected[inside, inside])


def test_pixels_of_photographs_are_pillows(shared_data):
    # The fast transform is 1.2 grey levels away on average.
    for path in sorted((shared_data / "photos").glob("*.JPEG"))[:12]:
        contents = path.read_bytes()
        expected = opened_by_pillow(contents)
        np.testing.assert_array_equal(decoded(tf.constant(contents), FILES), expected)


def test_all_that_is_read_is_named():
    kinds = {"JPEG", "PNG", "GIF", "BMP", "WebP"}
    assert set(READ_FORMATS.replace(" or", ",").split(", ")) == kinds
    for kind in kinds:
        options = {"lossless": True} if kind == "WebP" else {}
        contents = tf.constant(encoded(smooth_picture(20, 30), kind.upper(), **options))
        assert decoded_file(contents, 3).shape == (20, 30, 3), kind


def test_grey_cmyk_and_16_bit_files_have_three_8_bit_channels():
    grey = tf.constant(encoded(smooth_picture(20, 30, channels=1)))
    assert decoded(grey, FILES).shape == (20, 30, 3)
    file = io.BytesIO()
    Image.fromarray(smooth_picture(20, 30)).convert("CMYK").save(file, "JPEG", quality=95)
    cmyk = decoded(tf.constant(file.getvalue()), FILES)
    assert levels_apart(cmyk, smooth_picture(20, 30)).mean() < 8
    deep = tf.io.encode_png(tf.cast(smooth_picture(20, 30), tf.uint16) * 257)
    np.testing.assert_array_equal(decoded(deep, FILES), smooth_picture(20, 30))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("window", [(7, 13, 41, 33), (0, 0, 60, 90), (59, 89, 1, 1)])
def test_a_window_is_what_cutting_the_whole_gives(kind, window):
    contents = tf.constant(encoded(smooth_picture(60, 90), kind))
    top, left, height, width = window
    cut = decoded(contents, FILES)[top : top + height, left : left + width]
    expected = crop_resized(cut, tf.constant([0, 0, height, width]), IN_MEMORY, 24)
    found = crop_resized(contents, tf.constant(window), FILES, 24)
    assert found.shape == (24, 24, 3)
    assert levels_apart(found, expected).max() <= 5  # colours at the cut are interpolated anew


def resized(image, window=None):
    window = window or (0, 0, *image.shape[:2])
    return crop_resized(tf.constant(image), tf.constant(window), IN_MEMORY, 32)


def test_pixels_are_averaged_or_interpolated_as_in_keras():
    image = smooth_picture(20, 16)
    expected = keras.ops.image.resize(
        image[2:12, 3:12].astype("float32"), (32, 32), interpolation="bilinear"
    )
    assert levels_apart(resized(image, (2, 3, 10, 9)), np.round(expected)).max() <= 1
    image = smooth_picture(64, 96)
    expected = image.reshape(32, 2, 32, 3, 3).mean(axis=(1, 3))
    assert levels_apart(resized(image), np.round(expected)).max() <= 1
    # One side shrinks, the other grows.
    image = smooth_picture(64, 16)
    expected = tf.image.resize(image.reshape(32, 2, 16, 3).mean(axis=1), (32, 32))
    assert levels_apart(resized(image), np.round(expected)).max() <= 1


@pytest.mark.parametrize("times", [2, 4, 8, 12])
def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(times):
    picture = smooth_picture(32 * times, 32 * times + 16)
    contents = tf.constant(encoded(picture, quality=95, subsampling=0))
    window = (0, 16, 32 * times, 32 * times)
    found = crop_resized(contents, tf.constant(window), FILES, 32)
    cut = picture[:, 16:]
    expected = cut.reshape(32, times, 32, times, 3).mean(axis=(1, 3))
    assert levels_apart(found, np.round(expected)).max() <= 6


def windows(draw, shape, count, *arguments):
    """Draws many windows: int array, shape (count, 4)."""
    return traced(draw, *arguments)(tf.constant(shape), seeds(count)).numpy()


@functools.cache
def traced(draw, *arguments):
    @tf.function(input_signature=[tf.TensorSpec([2], tf.int32), tf.TensorSpec([None, 2], tf.int32)])
    def draw_all(shape, seeds):
        return tf.map_fn(
            lambda seed: draw(shape, seed, *arguments), seeds, fn_output_signature=tf.int32
        )

    return draw_all


def assert_inside(found, shape):
    top, left, height, width = found.T
    assert top.min() >= 0
    assert left.min() >= 0
    assert min(height.min(), width.min()) >= 1
    assert (top + height).max() <= shape[0]
    assert (left + width).max() <= shape[1]


def test_area_and_aspect_are_uniform_in_their_ranges():
    shape = (4000, 4000)
    found = windows(area_window, shape, 1500, (0.1, 0.5))
    assert_inside(found, shape)
    areas = found[:, 2] * found[:, 3] / 16e6
    assert 0.0999 < areas.min() < 0.105
    assert 0.495 < areas.max() < 0.5001
    assert abs(areas.mean() - 0.3) < 0.01
    logarithms = np.log(found[:, 3] / found[:, 2])
    bound = np.log(4 / 3)
    assert abs(logarithms).max() < bound + 1e-3
    assert abs(logarithms.mean()) < 0.02
    assert abs(logarithms.std() - 2 * bound / np.sqrt(12)) < 0.01
    assert abs(np.corrcoef(areas, logarithms)[0, 1]) < 0.1


def test_every_place_is_as_likely():
    found = windows(area_window, (100, 200), 1000, (0.1, 0.5))
    assert_inside(found, (100, 200))
    parts = found[:, :2] / np.maximum([100, 200] - found[:, 2:], 1)
    np.testing.assert_allclose(parts.mean(axis=0), 0.5, atol=0.05)


@pytest.mark.parametrize(
    ("shape", "window"), [((10, 1000), (0, 493, 10, 13)), ((1000, 12), (492, 0, 16, 12))]
)
def test_where_nothing_fits_the_largest_central_window_is_taken(shape, window):
    found = windows(area_window, shape, 3, (0.9, 1.0))
    assert (found == window).all()


def test_tiny_images_have_windows_too():
    for shape in ((1, 1), (1, 5), (3, 2)):
        assert_inside(windows(area_window, shape, 20, (0.1, 0.5)), shape)
        assert_inside(windows(area_window, shape, 20, (0.9, 1.0)), shape)


def test_the_shorter_side_is_uniform_between_its_bounds():
    shape = (4800, 9600)
    found = windows(scale_window, shape, 1500, (256, 480), 224)
    assert_inside(found, shape)
    assert (found[:, 2] == found[:, 3]).all()
    sides = np.rint(224 * 4800 / found[:, 2])
    assert (sides.min(), sides.max()) == (256, 480)
    assert abs(sides.mean() - 368) < 6
    corners = found[:, :2] / (shape - found[:, 2:])
    np.testing.assert_allclose(corners.mean(axis=0), 0.5, atol=0.03)


def test_a_scaled_image_as_small_as_the_crop_is_taken_whole():
    found = windows(scale_window, (300, 300), 5, (224, 224), 224)
    assert (found == (0, 0, 300, 300)).all()


def seen(picture, size, **evaluation):
    preprocessing = view_preprocessing(Evaluation(**evaluation), size)
    return central_view(tf.constant(picture), IN_MEMORY, preprocessing).numpy()


def by_pillow(picture, side, size, filter):
    """Resizes and crops as torchvision does: the longer side is cut to a whole number."""
    height, width = picture.shape[:2]
    shorter = min(height, width)
    shape = (width * side // shorter, height * side // shorter)
    resized = np.asarray(Image.fromarray(picture).resize(shape, filter))
    top, left = (round((length - size) / 2) for length in resized.shape[:2])
    return resized[top : top + size, left : left + size]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(60, 91), (31, 20), (64, 64)])
@pytest.mark.parametrize(("size", "ratio", "side"), [(32, 1.0, 32), (56, 0.875, 64)])
def test_a_view_is_pillows(shape, interpolation, size, ratio, side):
    picture = smooth_picture(*shape)
    found = seen(picture, size, crop_ratio=ratio, interpolation=interpolation)
    filter = Image.Resampling[interpolation.upper()]
    expected = by_pillow(picture, side, size, filter)
    # Pillow rounds to whole grey levels after each direction, and here once.
    assert np.abs(found.astype(int) - expected).max() <= (1 if interpolation == "bilinear" else 2)


@pytest.mark.parametrize(
    ("name", "resize", "crop", "interpolation"),
    [
        ("imagenet_a2", 235, 224, "bicubic"),  # timm: floor(224 / 0.95) = floor(235.79)
        ("imagenet_a3", 235, 224, "bicubic"),
        ("imagenet_bag_of_tricks", 256, 224, "bilinear"),
        ("imagenet_resnet_rs", 192, 160, "bicubic"),  # 32 pixels more
        ("imagenet_torchvision_v1", 256, 224, "bilinear"),
        ("imagenet_torchvision_v2", 232, 224, "bilinear"),
    ],
)
def test_recipes_are_measured_as_their_sources_measure_them(name, resize, crop, interpolation):
    recipe = load_recipe(name)
    preprocessing = view_preprocessing(recipe.evaluation, recipe.test_image_size)
    assert (preprocessing.resize, preprocessing.crop) == (resize, crop)
    assert (preprocessing.interpolation, preprocessing.antialias) == (interpolation, True)
    picture = smooth_picture(300, 407)
    found = central_view(tf.constant(picture), IN_MEMORY, preprocessing).numpy().astype(int)
    filter = Image.Resampling[interpolation.upper()]
    expected = by_pillow(picture, resize, crop, filter)
    assert np.abs(found - expected).max() <= (1 if interpolation == "bilinear" else 2)


def test_an_older_recipe_is_measured_as_then():
    older = recipe_from_toml("[evaluation]\ncrop_ratio = 0.95").evaluation
    preprocessing = view_preprocessing(older, 224)
    assert (preprocessing.resize, preprocessing.interpolation) == (236, "bilinear")


def test_an_evaluation_sees_the_pixels_that_an_exported_model_sees(tmp_path):
    root = write_folder(tmp_path, {"test": {"a": 3}}, height=70, width=93)
    source = FolderSource(root, "test")
    data = Data(image_size=32, mean=(0.0,), std=(1.0,))
    evaluation = Evaluation(batch=3, crop_ratio=0.8, size_rule="floor", interpolation="bicubic")
    (batch,) = evaluation_batches(source, Recipe(data=data, evaluation=evaluation))
    exported = view_preprocessing(evaluation, 32).as_layer("channels_last")
    for path, image in zip(source.paths, batch["image"].numpy(), strict=True):
        pixels = tf.function(decode_image_file)(tf.constant(path.read_bytes()), 3)
        expected = exported(pixels[tf.newaxis])[0]
        np.testing.assert_array_equal(np.round(image * 255), expected)


def test_an_image_of_the_right_size_is_left_as_it_is(rng):
    image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(seen(image, 32), image)


def test_ten_views_are_corners_centre_and_their_mirror_images(rng):
    image = rng.integers(0, 256, (40, 52, 3), dtype=np.uint8)
    preprocessing = view_preprocessing(Evaluation(crop_ratio=0.8), 32)
    views = ten_views(tf.constant(image), IN_MEMORY, preprocessing).numpy()
    assert views.shape == (10, 32, 32, 3)
    places = [(0, 0), (0, 20), (8, 0), (8, 20), (4, 10)]
    for view, mirror, (top, left) in zip(views[:5], views[5:], places, strict=True):
        expected = image[top : top + 32, left : left + 32]
        np.testing.assert_array_equal(view, expected)
        np.testing.assert_array_equal(mirror, expected[:, ::-1])
    np.testing.assert_array_equal(views[4], seen(image, 32, crop_ratio=0.8))

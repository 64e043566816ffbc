"""Central views and ten crops, against Pillow, and against what an exported model computes."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnets.export.served_model import decode_image_file
from tests.training.data.pictures import array_source, smooth_picture, write_folder
from training.data.batches import evaluation_batches
from training.data.decoding import central_view, ten_views, view_preprocessing
from training.data.folder import FolderSource
from training.recipe.files import load_recipe, recipe_from_toml
from training.recipe.recipe import Data, Evaluation, Recipe

SOURCE = array_source()


def seen(picture, size, **evaluation):
    preprocessing = view_preprocessing(Evaluation(**evaluation), size)
    return central_view(tf.constant(picture), SOURCE, preprocessing).numpy()


def by_pillow(picture, side, size, filter):
    """Resizes and crops as torchvision does: the longer side is cut to a whole number."""
    height, width = picture.shape[:2]
    shorter = min(height, width)
    shape = (width * side // shorter, height * side // shorter)
    resized = np.asarray(Image.fromarray(picture).resize(shape, filter))
    top, left = (round((length - size) / 2) for length in resized.shape[:2])
    return resized[top : top + size, left : left + size]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(60, 91), (91, 60), (20, 31), (64, 64)])
@pytest.mark.parametrize(("size", "ratio", "side"), [(32, 1.0, 32), (56, 0.875, 64)])
def test_a_view_is_pillows(shape, interpolation, size, ratio, side):
    picture = smooth_picture(*shape)
    found = seen(picture, size, crop_ratio=ratio, interpolation=interpolation)
    filter = Image.Resampling[interpolation.upper()]
    expected = by_pillow(picture, side, size, filter)
    # Pillow rounds to whole grey levels after each direction, and here once.
    assert np.abs(found.astype(int) - expected).max() <= (1 if interpolation == "bilinear" else 2)


@pytest.mark.parametrize("name", ["imagenet_a2", "imagenet_a3"])
def test_a2_and_a3_are_measured_as_timm_measures_them(name):
    # floor(224 / 0.95) = floor(235.79), and bicubic.
    recipe = load_recipe(name)
    preprocessing = view_preprocessing(recipe.evaluation, recipe.test_image_size)
    assert (preprocessing.resize, preprocessing.crop) == (235, 224)
    assert (preprocessing.interpolation, preprocessing.antialias) == ("bicubic", True)
    picture = smooth_picture(300, 407)
    found = central_view(tf.constant(picture), SOURCE, preprocessing).numpy().astype(int)
    expected = by_pillow(picture, 235, 224, Image.Resampling.BICUBIC)
    assert np.abs(found - expected).max() <= 2


def test_the_other_recipes_round_to_their_sources_side():
    # torchvision: 256 and 232, bilinear.
    for name, side in [("imagenet_torchvision_v1", 256), ("imagenet_torchvision_v2", 232)]:
        recipe = load_recipe(name)
        preprocessing = view_preprocessing(recipe.evaluation, recipe.test_image_size)
        assert (preprocessing.resize, preprocessing.interpolation) == (side, "bilinear")


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


@pytest.mark.parametrize(
    ("shape", "size", "ratio", "top", "left"),
    [((256, 341), 224, 0.875, 16, 58), ((341, 256), 224, 0.875, 58, 16), ((32, 33), 32, 1.0, 0, 0)],
)
def test_the_central_view_is_torchvisions(rng, shape, size, ratio, top, left):
    # The offsets are int(round(margin / 2)), with halves rounded to even.
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    view = seen(image, size, crop_ratio=ratio)
    np.testing.assert_array_equal(view, image[top : top + size, left : left + size])


def test_ten_views_are_corners_centre_and_their_mirror_images(rng):
    image = rng.integers(0, 256, (40, 52, 3), dtype=np.uint8)
    preprocessing = view_preprocessing(Evaluation(crop_ratio=0.8), 32)
    views = ten_views(tf.constant(image), SOURCE, preprocessing).numpy()
    assert views.shape == (10, 32, 32, 3)
    places = [(0, 0), (0, 20), (8, 0), (8, 20), (4, 10)]
    for view, mirror, (top, left) in zip(views[:5], views[5:], places, strict=True):
        expected = image[top : top + 32, left : left + 32]
        np.testing.assert_array_equal(view, expected)
        np.testing.assert_array_equal(mirror, expected[:, ::-1])
    np.testing.assert_array_equal(views[4], seen(image, 32, crop_ratio=0.8))

"""Central views and ten crops, against Pillow."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.training.data.pictures import array_source, smooth_picture
from training.data.views import central_view, shorter_side_resized, ten_views

SOURCE = array_source()


def by_pillow(picture, side):
    """Resizes as torchvision does: the longer side is cut to a whole number."""
    height, width = picture.shape[:2]
    shorter = min(height, width)
    size = (width * side // shorter, height * side // shorter)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


@pytest.mark.parametrize("shape", [(60, 91), (91, 60), (20, 31), (64, 64)])
@pytest.mark.parametrize("side", [32, 64])
def test_resizing_is_pillows(shape, side):
    picture = smooth_picture(*shape)
    found = shorter_side_resized(tf.constant(picture), SOURCE, side)
    expected = by_pillow(picture, side)
    assert found.shape == expected.shape
    assert np.abs(found.numpy().astype(int) - expected).max() <= 1


def test_an_image_of_the_right_size_is_left_as_it_is(rng):
    image = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
    np.testing.assert_array_equal(shorter_side_resized(tf.constant(image), SOURCE, 32), image)


@pytest.mark.parametrize(
    ("shape", "size", "ratio", "top", "left"),
    [((256, 341), 224, 0.875, 16, 58), ((341, 256), 224, 0.875, 58, 16), ((32, 33), 32, 1.0, 0, 0)],
)
def test_the_central_view_is_torchvisions(rng, shape, size, ratio, top, left):
    # The offsets are int(round(margin / 2)), with halves rounded to even.
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    view = central_view(tf.constant(image), SOURCE, size, ratio)
    np.testing.assert_array_equal(view, image[top : top + size, left : left + size])


def test_ten_views_are_corners_centre_and_their_mirror_images(rng):
    image = rng.integers(0, 256, (40, 52, 3), dtype=np.uint8)
    views = ten_views(tf.constant(image), SOURCE, 32, 0.8).numpy()
    assert views.shape == (10, 32, 32, 3)
    places = [(0, 0), (0, 20), (8, 0), (8, 20), (4, 10)]
    for view, mirror, (top, left) in zip(views[:5], views[5:], places, strict=True):
        expected = image[top : top + 32, left : left + 32]
        np.testing.assert_array_equal(view, expected)
        np.testing.assert_array_equal(mirror, expected[:, ::-1])
    centre = central_view(tf.constant(image), SOURCE, 32, 0.8)
    np.testing.assert_array_equal(views[4], centre)

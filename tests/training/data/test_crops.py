"""Windows of random crops: where they lie, and how they are distributed."""

import numpy as np
import pytest
import tensorflow as tf

from training.data.decoding import area_window, scale_window
from training.data.order import example_seed


def windows(draw, shape, count, *arguments):
    """Draws many windows: int array, shape (count, 4)."""
    seeds = example_seed(0, tf.constant(0, tf.int64), tf.range(count, dtype=tf.int64))
    function = tf.function(lambda seed: draw(tf.constant(shape), seed, *arguments))
    return np.array([function(seed).numpy() for seed in seeds])


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
    found = windows(area_window, (100, 200), 1000, (0.2, 0.2))
    assert_inside(found, (100, 200))
    parts = found[:, :2] / np.maximum([100, 200] - found[:, 2:], 1)
    np.testing.assert_allclose(parts.mean(axis=0), 0.5, atol=0.05)


def test_the_whole_of_a_square_can_be_asked_for():
    found = windows(area_window, (50, 50), 3, (1.0, 1.0))
    assert (found[:, 2:] >= 43).all()  # aspect ratios other than 1 do not fit with the whole area


@pytest.mark.parametrize(
    ("shape", "window"),
    [((10, 1000), (0, 493, 10, 13)), ((1000, 12), (492, 0, 16, 12))],
)
def test_where_nothing_fits_the_largest_central_window_is_taken(shape, window):
    found = windows(area_window, shape, 3, (0.9, 1.0))
    assert (found == window).all()


def test_tiny_images_have_windows_too():
    for shape in ((1, 1), (1, 5), (3, 2)):
        assert_inside(windows(area_window, shape, 20, (0.08, 1.0)), shape)


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

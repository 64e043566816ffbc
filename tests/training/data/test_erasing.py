"""Random erasing."""

import numpy as np
import tensorflow as tf

from training.data.mixing import erased
from training.data.order import example_seed


def seeds(count):
    return example_seed(0, tf.constant(0, tf.int64), tf.range(count, dtype=tf.int64))


def holes(count, probability, height=60, width=80):
    """Returns where images of ones were erased: bool, shape (count, height, width)."""
    images = tf.ones((count, height, width, 2))
    erased_images = erased(images, seeds(count), probability).numpy()
    assert (erased_images[..., 0] == erased_images[..., 1]).all()
    return erased_images[..., 0] == 0


def test_a_hole_is_one_rectangle_with_area_and_aspect_in_range():
    found = holes(800, 1.0)
    areas, logarithms = [], []
    for hole in found:
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert hole.sum() == height * width
        areas.append(height * width / hole.size)
        logarithms.append(np.log(width / height))
    assert 0.017 < min(areas) < 0.03
    assert 0.31 < max(areas) < 0.345
    assert abs(np.mean(areas) - 0.175) < 0.02
    assert np.abs(logarithms).max() < np.log(3.3) + 0.12
    # The left and the right, the upper and the lower half lose as much.
    lost = found.mean(axis=0)
    assert abs(lost[:30].sum() / lost.sum() - 0.5) < 0.03
    assert abs(lost[:, :40].sum() / lost.sum() - 0.5) < 0.03


def test_the_probability_is_that_of_a_hole():
    assert abs(holes(2000, 0.25).any(axis=(1, 2)).mean() - 0.25) < 0.04
    assert not holes(50, 0.0).any()


def test_what_is_not_erased_stays_and_a_batch_of_one_gets_the_same(rng):
    images = tf.constant(rng.normal(size=(20, 9, 12, 3)), tf.float32)
    together = erased(images, seeds(20), 0.7).numpy()
    assert ((together == images.numpy()) | (together == 0)).all()
    for number in range(20):
        alone = erased(images[number, None], seeds(20)[number, None], 0.7)[0]
        np.testing.assert_array_equal(alone, together[number])

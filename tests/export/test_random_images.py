"""The images that an export is compared on by default."""

import numpy as np

from keras_resnets.export.parity import random_images


def test_they_have_surfaces_edges_and_no_clipped_values():
    images = random_images(8, 96, 112, 3)
    assert images.shape == (8, 96, 112, 3)
    assert images.dtype == np.uint8
    assert 0 < images.min() < 60
    assert 200 < images.max() < 255
    steps = np.abs(np.diff(images.astype("float64"), axis=2))
    assert np.mean(steps.max(axis=3) == 0) > 0.9  # of uniform noise 1 / 256³
    assert np.mean(steps.max(axis=3) > 20) > 0.01
    # Of photographs and of discs the channels are alike, of uniform noise they are not.
    red, green, _ = images.reshape(-1, 3).T
    assert np.corrcoef(red, green)[0, 1] > 0.8


def test_they_are_the_same_ones_every_time_and_differ_among_themselves():
    images = random_images(4, 20, 30, 1)
    np.testing.assert_array_equal(images, random_images(4, 20, 30, 1))
    assert len(np.unique(images, axis=0)) == 4

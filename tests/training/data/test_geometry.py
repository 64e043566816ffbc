"""Padding, cropping and mirroring whole batches."""

import numpy as np
import pytest
import tensorflow as tf

from training.data.augment import mirrored, moved
from training.data.order import example_seed, integers


def seeds(count):
    return example_seed(0, tf.constant(0, tf.int64), tf.range(count, dtype=tf.int64))


def moved_by_numpy(image, top, left, flip, padding):
    height, width, _ = image.shape
    padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)])
    crop = padded[top : top + height, left : left + width]
    return crop[:, ::-1] if flip else crop


@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (1, np.uint8), (3, np.float32)])
def test_images_move_as_numpy_moves_them(rng, channels, dtype):
    images = rng.integers(0, 256, (50, 10, 14, channels)).astype(dtype)
    found = moved(tf.constant(images), seeds(50), padding=3, flip=True)
    offsets = integers(seeds(50), "pad crop", (7, 7)).numpy()
    flips = mirrored(seeds(50)).numpy()
    assert found.dtype == images.dtype
    for image, result, (top, left), flip in zip(images, found, offsets, flips, strict=True):
        np.testing.assert_array_equal(result, moved_by_numpy(image, top, left, flip, 3))


def test_an_image_moves_alone_as_in_a_batch(rng):
    images = tf.constant(rng.integers(0, 256, (9, 8, 8, 3), dtype=np.uint8))
    together = moved(images, seeds(9), padding=2, flip=True)
    for number in range(9):
        alone = moved(images[number, None], seeds(9)[number, None], padding=2, flip=True)
        np.testing.assert_array_equal(alone[0], together[number])


def test_one_image_can_move_in_many_ways(rng):
    image = tf.constant(rng.random((1, 8, 8, 3)), tf.float32)
    many = moved(image, seeds(9), padding=2, flip=True)
    same = moved(tf.repeat(image, 9, axis=0), seeds(9), padding=2, flip=True)
    np.testing.assert_array_equal(many, same)


def test_nothing_moves_without_padding_and_flip(rng):
    images = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(moved(tf.constant(images), seeds(5), 0, False), images)


def test_half_are_mirrored_and_every_offset_is_drawn_equally_often():
    flips = mirrored(seeds(20_000)).numpy()
    assert abs(flips.mean() - 0.5) < 0.02
    offsets = integers(seeds(20_000), "pad crop", (9, 9)).numpy()
    counts = np.histogram2d(*offsets.T, bins=9)[0]
    np.testing.assert_allclose(counts, 20_000 / 81, rtol=0.35)

"""Means, standard deviations, and the mean image."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data.pictures import array_source, write_folder
from training.data.folder import FolderSource
from training.data.normalization import mean_image, moved_mean, normalization, normalized
from training.data.order import example_seed
from training.recipe.recipe import Augmentation, Data, Recipe


def test_pixels_are_scaled_shifted_and_divided(rng):
    images = rng.integers(0, 256, (4, 6, 7, 3), dtype=np.uint8)
    mean, std = np.float32([0.4, 0.5, 0.6]), np.float32([0.1, 0.2, 0.3])
    found = normalized(tf.constant(images), tf.constant(mean), tf.constant(std))
    assert found.dtype == tf.float32
    expected = (images / 255 - np.float64(mean)) / std
    np.testing.assert_allclose(found, expected, atol=3e-6)
    whole = np.broadcast_to(mean, images.shape)
    np.testing.assert_allclose(
        normalized(tf.constant(images), tf.constant(whole), tf.constant(std)), expected, atol=3e-6
    )


def test_a_recipe_gives_one_value_or_one_a_channel():
    recipe = Recipe(data=Data(mean=(0.5,), std=(0.25,)))
    mean, std = normalization(array_source(channels=3), recipe)
    assert mean.tolist() == [0.5, 0.5, 0.5]
    assert std.tolist() == [0.25, 0.25, 0.25]
    with pytest.raises(ValueError, match=r"1 channels .* Received: data.mean=\(0.1, 0.2, 0.3\)"):
        normalization(
            array_source(channels=1), Recipe(data=Data(mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0)))
        )


def per_pixel(image_size):
    return Recipe(data=Data(per_pixel_mean=True, image_size=image_size))


def test_the_mean_image_is_numpys():
    source = array_source(size=30, side=8)
    mean, _ = normalization(source, per_pixel(8))
    expected = source.images.astype(np.float64).mean(axis=0) / 255
    np.testing.assert_allclose(mean, expected, atol=1e-7)
    assert mean.dtype == np.float32


def test_the_mean_image_of_files_is_that_of_their_central_views(tmp_path):
    source = FolderSource(write_folder(tmp_path, {"train": {"a": 3, "b": 2}}), "train")
    mean = mean_image(source, per_pixel(16).data)
    assert mean.shape == (16, 16, 3)
    np.testing.assert_array_equal(mean, mean_image(source, per_pixel(16).data))
    assert 0.2 < mean.mean() < 0.8


def test_the_mean_image_moves_with_the_padded_crop(rng):
    mean = tf.constant(rng.random((8, 8, 3)), tf.float32)
    seeds = example_seed(0, tf.constant(0, tf.int64), tf.range(5, dtype=tf.int64))
    augmentation = Augmentation(crop="pad", padding=2)
    assert moved_mean(mean, seeds, augmentation).shape == (5, 8, 8, 3)
    still = dataclasses.replace(augmentation, crop="resized", padding=4)
    assert moved_mean(mean, seeds, still) is mean
    assert moved_mean(mean[0, 0], seeds, augmentation).shape == (3,)

"""Colour jitter and the noise along principal components."""

import numpy as np
import tensorflow as tf
from PIL import Image, ImageEnhance

from tests.training.data.pictures import smooth_picture
from training.data.colors import EIGENVALUES, EIGENVECTORS, jittered, with_pca_noise
from training.data.order import example_seed, uniform


def seeds(count):
    return example_seed(0, tf.constant(0, tf.int64), tf.range(count, dtype=tf.int64))


def test_jitter_is_pillows_brightness_contrast_and_saturation():
    picture = smooth_picture(30, 40)
    for seed in seeds(5):
        factors = 1 + 0.4 * (2 * uniform(seed, "colour jitter", 3).numpy() - 1)
        assert (np.abs(factors - 1) <= 0.4).all()
        expected = Image.fromarray(picture)
        enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
        for enhancer, factor in zip(enhancers, factors, strict=True):
            expected = enhancer(expected).enhance(float(factor))
        found = jittered(tf.constant(picture), seed, 0.4).numpy()
        assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 2


def test_jitter_keeps_grey_images_grey():
    image = tf.constant(smooth_picture(10, 10, channels=1))
    assert jittered(image, seeds(1)[0], 0.4).shape == (10, 10, 1)


def test_the_eigenvectors_are_orthonormal():
    vectors = np.array(EIGENVECTORS)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=2e-3)


def test_pca_noise_shifts_a_whole_image_by_one_colour_of_the_right_covariance():
    image = tf.fill([4, 5, 3], tf.constant(128, tf.uint8))
    noisy = tf.function(with_pca_noise)
    shifts = []
    for seed in seeds(1500):
        shift = noisy(image, seed, 0.5).numpy().astype(int) - 128
        assert (shift == shift[0, 0]).all()
        shifts.append(shift[0, 0] / 255)
    scaled = np.array(EIGENVECTORS) * np.array(EIGENVALUES) * 0.5
    expected = scaled @ scaled.T
    np.testing.assert_allclose(np.cov(np.array(shifts).T), expected, rtol=0.15, atol=2e-4)
    np.testing.assert_allclose(np.mean(shifts, axis=0), 0, atol=6e-3)

"""RandAugment and TrivialAugment as wholes, and what is drawn for them."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data.pictures import smooth_picture
from training.data import policies
from training.data.order import example_seed
from training.data.policies import RAND_AUGMENT, TRIVIAL_AUGMENT, rand_augment, trivial_augment
from training.recipe.recipe import Augmentation

PICTURE = tf.constant(smooth_picture(24, 20))
RAND = Augmentation(policy="randaugment", magnitude=7.0, magnitude_std=0.5)


def seeds(count):
    return example_seed(0, tf.constant(0, tf.int64), tf.range(count, dtype=tf.int64))


@pytest.fixture
def drawn(monkeypatch):
    """Replaces every operation by one that notes its name, strength and sign."""
    notes = []

    def noting(name):
        def operation(image, strength, sign, fill):
            tf.numpy_function(
                lambda strength, sign: notes.append((name, float(strength), float(sign))),
                [strength, sign],
                [],
            )
            return image

        return operation

    for table in ("RAND_AUGMENT", "TRIVIAL_AUGMENT"):
        named = {name: noting(name) for name in getattr(policies, table)}
        monkeypatch.setattr(policies, table, named)
    return notes


@pytest.mark.parametrize("operations", [RAND_AUGMENT, TRIVIAL_AUGMENT], ids=["rand", "trivial"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_works_at_every_strength(operations, channels):
    image = PICTURE[..., :channels]
    fill = tf.fill([channels], 100.0)
    for operation in operations.values():
        for strength in (0.0, 0.4, 1.0):
            for sign in (-1.0, 1.0):
                found = operation(image, tf.constant(strength), tf.constant(sign), fill)
                assert found.dtype == tf.uint8
                assert found.shape == image.shape


def test_the_tables_are_timms_and_torchvisions():
    assert len(RAND_AUGMENT) == 15
    assert len(TRIVIAL_AUGMENT) == 14
    both = {"autocontrast", "equalize", "rotate", "posterize", "solarize", "saturation"}
    both |= {"contrast", "brightness", "sharpness", "shear_x", "shear_y"}
    both |= {"translate_x", "translate_y"}
    assert set(RAND_AUGMENT) == both | {"invert", "solarize_add"}
    assert set(TRIVIAL_AUGMENT) == both | {"identity"}


@pytest.mark.parametrize("name", sorted(set(TRIVIAL_AUGMENT) - {"autocontrast", "equalize"}))
def test_without_strength_trivial_operations_leave_the_image(name):
    found = TRIVIAL_AUGMENT[name](PICTURE, tf.constant(0.0), tf.constant(1.0), tf.zeros(3))
    expected = PICTURE.numpy()
    if name == "solarize":  # torchvision's thresholds go from 255 to 0
        expected = np.where(expected == 255, 0, expected)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("level", "pixels"), [(1, 1), (2, 2), (7, 7), (14, 14), (15, 16), (29, 30), (30, 32)]
)
def test_trivial_augment_translates_by_whole_pixels(rng, level, pixels):
    # 32 · level / 30, cut: 1.07, 2.13, 7.47, 14.93, 16, 30.93 and 32.
    image = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    strength = tf.constant(level, tf.float32) / 30
    for name, axis in (("translate_x", 1), ("translate_y", 0)):
        for sign in (1, -1):
            found = TRIVIAL_AUGMENT[name](image, strength, tf.constant(float(sign)), tf.zeros(3))
            moved = np.roll(image, -sign * pixels, axis)
            come_in = slice(-pixels, None) if sign == 1 else slice(0, pixels)
            moved[(slice(None),) * axis + (come_in,)] = 0
            np.testing.assert_array_equal(found, moved)


def test_rand_augment_translates_by_parts_of_the_image(rng):
    # timm: 0.45 of the width at most; 0.5 · 0.45 · 40 = 9, and 0.1 · 0.45 · 40 = 1.8.
    image = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole, part = (
        RAND_AUGMENT["translate_x"](image, tf.constant(strength), tf.constant(1.0), tf.zeros(3))
        for strength in (0.5, 0.1)
    )
    np.testing.assert_array_equal(whole[:, :31], image[:, 9:])
    between = 0.2 * image[:, 1:38] + 0.8 * image[:, 2:39]
    assert np.abs(part[:, :37].numpy() - between).max() <= 0.51


def test_strengths_of_rand_augment_are_normal_around_the_magnitude(drawn):
    augment = tf.function(lambda seed: rand_augment(PICTURE, seed, RAND, fill=[0.0]))
    for seed in seeds(400):
        augment(seed)
    assert len(drawn) == 800
    strengths = np.array([strength for _, strength, _ in drawn])
    assert abs(strengths.mean() - 0.7) < 0.01
    assert abs(strengths.std() - 0.05) < 0.01
    assert min(Counter(name for name, _, _ in drawn).values()) > 25  # 53 are expected of each
    assert len({name for name, _, _ in drawn}) == 15
    assert abs(np.mean([sign for _, _, sign in drawn])) < 0.15


def test_strengths_are_cut_to_their_range(drawn):
    wild = dataclasses.replace(RAND, magnitude=9.0, magnitude_std=8.0)
    augment = tf.function(lambda seed: rand_augment(PICTURE, seed, wild, fill=[0.0]))
    for seed in seeds(60):
        augment(seed)
    strengths = [strength for _, strength, _ in drawn]
    assert (min(strengths), max(strengths)) == (0.0, 1.0)


def test_operations_are_left_out_with_the_complement_of_their_probability(drawn):
    half = dataclasses.replace(RAND, policy_probability=0.5, operations=4)
    augment = tf.function(lambda seed: rand_augment(PICTURE, seed, half, fill=[0.0]))
    for seed in seeds(100):
        augment(seed)
    assert 160 < len(drawn) < 240


def test_trivial_augment_draws_one_operation_and_one_of_31_strengths(drawn):
    augment = tf.function(lambda seed: trivial_augment(PICTURE, seed, fill=[0.0]))
    for seed in seeds(600):
        augment(seed)
    assert len(drawn) == 600
    assert len({name for name, _, _ in drawn}) == 14
    levels = Counter(round(strength * 30, 3) for _, strength, _ in drawn)
    assert sorted(levels) == list(range(31))


@pytest.mark.parametrize("policy", ["rand", "trivial"])
def test_a_seed_gives_the_same_image_each_time_and_another_another(policy):
    def augment(seed):
        if policy == "rand":
            return rand_augment(PICTURE, seed, RAND, fill=[100.0])
        return trivial_augment(PICTURE, seed, fill=[0.0])

    graph = tf.function(augment)
    results = [graph(seed).numpy() for seed in seeds(30)]
    for result, seed in zip(results, seeds(30), strict=True):
        np.testing.assert_array_equal(graph(seed), result)
    assert len({result.tobytes() for result in results}) > 20

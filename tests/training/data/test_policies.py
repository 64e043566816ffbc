"""RandAugment, TrivialAugment, colour jitter and their operations, against Pillow."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from tests.training.data.pictures import seeds, smooth_picture
from training.data import policies
from training.data.order import uniform
from training.data.policies import (
    COLOUR_OPERATIONS,
    EIGENVALUES,
    EIGENVECTORS,
    RAND_AUGMENT,
    TRIVIAL_AUGMENT,
    jittered,
    rand_augment,
    transformed,
    trivial_augment,
    warped,
    with_pca_noise,
)
from training.recipe.recipe import Augmentation

PICTURE = tf.constant(smooth_picture(24, 20))
RAND = Augmentation(policy="randaugment", magnitude=7.0, magnitude_std=0.5)


def noise(channels=3):
    generator = np.random.default_rng(3)
    return generator.integers(20, 231, (23, 31, channels), dtype=np.uint8)


PICTURES = {
    "noise": noise(),
    "smooth": smooth_picture(40, 30),
    "grey": noise(1),
    "flat": np.full((9, 12, 3), 77, np.uint8),
    "two levels": np.where(noise() > 120, np.uint8(255), np.uint8(0)),
}
pictures = pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)


def pillow(image):
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def levels_apart(found, expected):
    expected = np.asarray(expected, int).reshape(found.shape)
    return np.abs(np.asarray(found, int) - expected)


def enhanced(kind):
    return lambda image, factor: kind(image).enhance(factor)


FACTORS = (0.0, 0.1, 0.55, 1.0, 1.37, 1.9)


@pictures
@pytest.mark.parametrize(
    ("name", "amounts", "expected"),
    [
        ("brightness", FACTORS, enhanced(ImageEnhance.Brightness)),
        ("contrast", FACTORS, enhanced(ImageEnhance.Contrast)),
        ("saturation", FACTORS, enhanced(ImageEnhance.Color)),
        ("sharpness", FACTORS, enhanced(ImageEnhance.Sharpness)),
        ("invert", (), ImageOps.invert),
        ("autocontrast", (), ImageOps.autocontrast),
        ("equalize", (), ImageOps.equalize),
        ("posterize", (1, 3, 4, 7, 8), ImageOps.posterize),
        ("solarize", (0, 1, 100, 255, 256), ImageOps.solarize),
    ],
)
def test_levels_are_mapped_as_by_pillow(picture, name, amounts, expected):
    for arguments in [(amount,) for amount in amounts] or [()]:
        found = COLOUR_OPERATIONS[name](tf.constant(picture), *map(tf.constant, arguments))
        assert found.dtype == tf.uint8
        apart = levels_apart(found, expected(pillow(picture), *arguments))
        assert apart.max() <= (amounts is FACTORS)  # products of floating-point numbers


def test_grey_is_pillows_luma():
    colours = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        policies.grey(tf.constant(colours))[..., 0], np.asarray(pillow(colours).convert("L"))
    )


def test_without_bits_nothing_is_left():
    # Pillow refuses it; timm's magnitude 10 asks for it.
    assert not policies.posterize(tf.constant(noise()), tf.constant(0)).numpy().any()


@pytest.mark.parametrize("amount", [0, 30, 110, 200])
def test_solarize_add_is_timms(amount):
    table = [min(255, level + amount) if level < 128 else level for level in range(256)]
    found = policies.solarize_add(tf.constant(noise()), tf.constant(amount))
    assert levels_apart(found, pillow(noise()).point(table * 3)).max() == 0


@pytest.mark.parametrize(
    ("name", "amount", "matrix"),
    [
        ("rotate", 20.0, None),
        ("rotate", -135.0, None),
        ("shear_x", 0.3, (1, 0.3, 0, 0, 1, 0)),
        ("shear_y", -0.9, (1, 0, 0, -0.9, 1, 0)),
        ("translate_x", 7.4, (1, 0, 7.4, 0, 1, 0)),
        ("translate_y", -11.0, (1, 0, 0, 0, 1, -11)),
    ],
)
def test_warping_is_pillows_inside_the_border(name, amount, matrix):
    picture, colour = smooth_picture(60, 50), (10, 200, 90)
    options = {"resample": Image.Resampling.BILINEAR, "fillcolor": colour}
    if name == "rotate":
        expected = pillow(picture).rotate(amount, **options)
    else:
        expected = pillow(picture).transform((50, 60), Image.Transform.AFFINE, matrix, **options)
    found = warped(name, amount, tf.constant(picture), tf.constant(colour, tf.float32))
    apart = levels_apart(found, expected).max(axis=-1)
    # Pillow cuts the border off sharply; here it fades over a pixel.
    assert np.mean(apart > 1) < 0.06
    assert np.mean(apart) < 4


def test_what_comes_in_from_outside_has_the_fill_colour():
    found = warped("translate_x", 31.0, tf.constant(noise()), tf.constant([10.0, 20.0, 30.0]))
    assert (found.numpy() == (10, 20, 30)).all()


def applied(amounts, name, image, strength, sign=1.0):
    fill = tf.fill([image.shape[-1]], 0.0)
    return transformed(amounts, name, image, tf.constant(strength), tf.constant(sign), fill)


@pytest.mark.parametrize("amounts", [RAND_AUGMENT, TRIVIAL_AUGMENT], ids=["rand", "trivial"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_works_at_every_strength(amounts, channels):
    image = PICTURE[..., :channels]
    for name in amounts:
        for strength in (0.0, 0.4, 1.0):
            for sign in (-1.0, 1.0):
                found = applied(amounts, name, image, strength, sign)
                assert found.dtype == tf.uint8
                assert found.shape == image.shape


@pytest.mark.parametrize("name", sorted(set(TRIVIAL_AUGMENT) - {"autocontrast", "equalize"}))
def test_without_strength_trivial_operations_leave_the_image(name):
    expected = PICTURE.numpy()
    if name == "solarize":  # torchvision's thresholds go from 255 to 0
        expected = np.where(expected == 255, 0, expected)
    np.testing.assert_array_equal(applied(TRIVIAL_AUGMENT, name, PICTURE, 0.0), expected)


@pytest.mark.parametrize(
    ("level", "pixels"), [(1, 1), (2, 2), (7, 7), (14, 14), (15, 16), (29, 30), (30, 32)]
)
def test_trivial_augment_translates_by_whole_pixels(rng, level, pixels):
    # 32 · level / 30, cut: 1.07, 2.13, 7.47, 14.93, 16, 30.93 and 32.
    image = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    strength = np.float32(level) / np.float32(30)
    for name, axis in (("translate_x", 1), ("translate_y", 0)):
        for sign in (1, -1):
            found = applied(TRIVIAL_AUGMENT, name, image, strength, float(sign))
            moved = np.roll(image, -sign * pixels, axis)
            come_in = slice(-pixels, None) if sign == 1 else slice(0, pixels)
            moved[(slice(None),) * axis + (come_in,)] = 0
            np.testing.assert_array_equal(found, moved)


def test_rand_augment_translates_by_parts_of_the_image(rng):
    # timm: 0.45 of the width at most; 0.5 · 0.45 · 40 = 9, and 0.1 · 0.45 · 40 = 1.8.
    image = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole, part = (applied(RAND_AUGMENT, "translate_x", image, strength) for strength in (0.5, 0.1))
    np.testing.assert_array_equal(whole[:, :31], image[:, 9:])
    between = 0.2 * image[:, 1:38] + 0.8 * image[:, 2:39]
    assert np.abs(part[:, :37].numpy() - between).max() <= 0.51


@pytest.fixture
def drawn(monkeypatch):
    """Notes the name, strength and sign of each operation instead of applying it."""
    notes = []

    def note(amounts, name, image, strength, sign, fill):
        append = lambda *values: notes.append((name, *map(float, values)))  # noqa: E731
        tf.numpy_function(append, [strength, sign], [])
        return image

    monkeypatch.setattr(policies, "transformed", note)
    return notes


def graph_of(augmentation=None):
    """Returns RandAugment, or TrivialAugment, as a function of the seed."""
    if augmentation is None:
        return tf.function(lambda seed: trivial_augment(PICTURE, seed, fill=[0.0]))
    return tf.function(lambda seed: rand_augment(PICTURE, seed, augmentation, fill=[100.0]))


def draw(count, augmentation=None):
    """Applies a policy with many seeds."""
    augment = graph_of(augmentation)
    for seed in seeds(count):
        augment(seed)


def test_strengths_of_rand_augment_are_normal_around_the_magnitude(drawn):
    draw(200, RAND)
    assert len(drawn) == 400
    strengths = np.array([strength for _, strength, _ in drawn])
    assert abs(strengths.mean() - 0.7) < 0.01
    assert abs(strengths.std() - 0.05) < 0.01
    counts = Counter(name for name, _, _ in drawn)
    assert len(counts) == 15
    assert min(counts.values()) > 10  # 27 are expected of each
    assert abs(np.mean([sign for _, _, sign in drawn])) < 0.15


def test_strengths_are_cut_and_operations_left_out_with_their_probability(drawn):
    wild = {"magnitude": 9.0, "magnitude_std": 8.0, "policy_probability": 0.5, "operations": 4}
    draw(100, dataclasses.replace(RAND, **wild))
    assert 160 < len(drawn) < 240
    strengths = [strength for _, strength, _ in drawn]
    assert (min(strengths), max(strengths)) == (0.0, 1.0)


def test_trivial_augment_draws_one_operation_and_one_of_31_strengths(drawn):
    draw(600)
    assert len(drawn) == 600
    assert len({name for name, _, _ in drawn}) == 14
    levels = Counter(round(strength * 30, 3) for _, strength, _ in drawn)
    assert sorted(levels) == list(range(31))


@pytest.mark.parametrize("policy", [dataclasses.replace(RAND, operations=1), None], ids=str)
def test_a_seed_determines_the_image(policy):
    graph = graph_of(policy)
    results = [graph(seed).numpy() for seed in seeds(30)]
    for result, seed in zip(results, seeds(30), strict=True):
        np.testing.assert_array_equal(graph(seed), result)
    assert len({result.tobytes() for result in results}) > 20


def test_jitter_is_pillows_brightness_contrast_and_saturation():
    picture = smooth_picture(30, 40)
    for seed in seeds(5):
        factors = 1 + 0.4 * (2 * uniform(seed, "colour jitter", 3).numpy() - 1)
        assert (np.abs(factors - 1) <= 0.4).all()
        expected = Image.fromarray(picture)
        enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
        for enhancer, factor in zip(enhancers, factors, strict=True):
            expected = enhancer(expected).enhance(float(factor))
        assert levels_apart(jittered(tf.constant(picture), seed, 0.4), expected).max() <= 2
    grey = tf.constant(picture[..., :1])
    assert jittered(grey, seeds(1)[0], 0.4).shape == (30, 40, 1)


def test_pca_noise_shifts_a_whole_image_by_one_colour_of_the_right_covariance():
    vectors = np.array(EIGENVECTORS)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=2e-3)
    image = tf.fill([4, 5, 3], tf.constant(128, tf.uint8))
    noisy = tf.function(
        lambda seeds: tf.map_fn(
            lambda seed: with_pca_noise(image, seed, 0.5), seeds, fn_output_signature=tf.uint8
        )
    )
    shifts = noisy(seeds(1500)).numpy().astype(int) - 128
    assert (shifts == shifts[:, :1, :1]).all()
    shifts = shifts[:, 0, 0] / 255
    scaled = vectors * np.array(EIGENVALUES) * 0.5
    np.testing.assert_allclose(np.cov(shifts.T), scaled @ scaled.T, rtol=0.15, atol=2e-4)
    np.testing.assert_allclose(np.mean(shifts, axis=0), 0, atol=6e-3)


def test_the_tables_are_timms_and_torchvisions():
    both = {"autocontrast", "equalize", "rotate", "posterize", "solarize", "saturation"}
    both |= {"contrast", "brightness", "sharpness", "shear_x", "shear_y"}
    both |= {"translate_x", "translate_y"}
    assert set(RAND_AUGMENT) == both | {"invert", "solarize_add"}
    assert set(TRIVIAL_AUGMENT) == both | {"identity"}

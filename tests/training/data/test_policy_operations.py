"""The operations of RandAugment and TrivialAugment, against Pillow."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from tests.training.data.pictures import smooth_picture
from training.data import colors, policies

FACTORS = (0.0, 0.1, 0.55, 1.0, 1.37, 1.9)


def noise(channels=3):
    generator = np.random.default_rng(3)
    return generator.integers(20, 231, (23, 31, channels), dtype=np.uint8)


def flat(channels=3):
    return np.full((9, 12, channels), 77, np.uint8)


def pillow(image):
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def levels_apart(found, expected):
    expected = np.asarray(expected, int).reshape(found.shape)
    return np.abs(np.asarray(found, int) - expected)


PICTURES = {
    "noise": noise(),
    "smooth": smooth_picture(40, 30),
    "grey": noise(1),
    "flat": flat(),
    "two levels": np.where(noise() > 120, np.uint8(255), np.uint8(0)),
}
pictures = pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)


@pictures
@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (colors.brightness, ImageEnhance.Brightness),
        (colors.contrast, ImageEnhance.Contrast),
        (colors.saturation, ImageEnhance.Color),
        (colors.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_enhancing(picture, factor, ours, theirs):
    found = ours(tf.constant(picture), factor)
    assert found.dtype == tf.uint8
    assert levels_apart(found, theirs(pillow(picture)).enhance(factor)).max() <= 1


def test_grey_is_pillows_luma():
    colours = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        colors.grey(tf.constant(colours))[..., 0], np.asarray(pillow(colours).convert("L"))
    )


@pictures
def test_invert_autocontrast_and_equalize(picture):
    image = tf.constant(picture)
    assert levels_apart(colors.invert(image), ImageOps.invert(pillow(picture))).max() == 0
    assert (
        levels_apart(colors.autocontrast(image), ImageOps.autocontrast(pillow(picture))).max() == 0
    )
    assert levels_apart(colors.equalize(image), ImageOps.equalize(pillow(picture))).max() == 0


@pictures
@pytest.mark.parametrize("bits", [1, 3, 4, 7, 8])
def test_posterize(picture, bits):
    found = colors.posterize(tf.constant(picture), tf.constant(bits))
    expected = ImageOps.posterize(pillow(picture), bits)
    assert levels_apart(found, expected).max() == 0


def test_without_bits_nothing_is_left():
    # Pillow refuses it; timm's magnitude 10 asks for it.
    assert not colors.posterize(tf.constant(noise()), tf.constant(0)).numpy().any()


@pictures
@pytest.mark.parametrize("threshold", [0, 1, 100, 255, 256])
def test_solarize(picture, threshold):
    found = colors.solarize(tf.constant(picture), tf.constant(threshold))
    assert levels_apart(found, ImageOps.solarize(pillow(picture), threshold)).max() == 0


@pytest.mark.parametrize("amount", [0, 30, 110, 200])
def test_solarize_add_is_timms(amount):
    picture = noise()
    table = [min(255, level + amount) if level < 128 else level for level in range(256)]
    expected = pillow(picture).point(table * 3)
    found = colors.solarize_add(tf.constant(picture), tf.constant(amount))
    assert levels_apart(found, expected).max() == 0


def test_warping_is_pillows_inside_the_border():
    picture = smooth_picture(60, 50)
    fill = tf.constant([10.0, 200.0, 90.0])
    colour = (10, 200, 90)
    size, affine = (50, 60), Image.Transform.AFFINE
    bilinear = Image.Resampling.BILINEAR

    def transformed(matrix, source=picture):
        return Image.fromarray(source).transform(
            size, affine, matrix, resample=bilinear, fillcolor=colour
        )

    def rotated(degrees, source=picture):
        return Image.fromarray(source).rotate(degrees, resample=bilinear, fillcolor=colour)

    cases = [
        (policies.rotate(tf.constant(picture), 20.0, fill), rotated(20)),
        (policies.rotate(tf.constant(picture), -135.0, fill), rotated(-135)),
        (policies.shear_x(tf.constant(picture), 0.3, fill), transformed((1, 0.3, 0, 0, 1, 0))),
        (policies.shear_y(tf.constant(picture), -0.9, fill), transformed((1, 0, 0, -0.9, 1, 0))),
        (policies.translate_x(tf.constant(picture), 7.4, fill), transformed((1, 0, 7.4, 0, 1, 0))),
        (
            policies.translate_y(tf.constant(picture), -11.0, fill),
            transformed((1, 0, 0, 0, 1, -11)),
        ),
    ]
    for number, (found, expected) in enumerate(cases):
        apart = levels_apart(found, expected).max(axis=-1)
        # Pillow cuts the border off sharply; here it fades over a pixel.
        assert np.mean(apart > 1) < 0.06, number
        assert np.mean(apart) < 4, number


def test_warping_by_nothing_changes_nothing():
    picture = tf.constant(noise())
    fill = tf.constant([0.0, 0.0, 0.0])
    for warped in (
        policies.rotate,
        policies.shear_x,
        policies.shear_y,
        policies.translate_x,
        policies.translate_y,
    ):
        np.testing.assert_array_equal(warped(picture, 0.0, fill), picture)


def test_what_comes_in_from_outside_has_the_fill_colour():
    warped = policies.translate_x(tf.constant(noise()), 31.0, tf.constant([10.0, 20.0, 30.0]))
    assert (warped.numpy() == (10, 20, 30)).all()

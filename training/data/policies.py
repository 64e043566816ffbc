"""RandAugment and TrivialAugment: their operations, tables, and draws."""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from training.data import colors
from training.data.decoding import to_uint8
from training.data.order import integers, normal, uniform
from training.recipe.recipe import Augmentation


def rotate(image: tf.Tensor, degrees: tf.Tensor | float, fill: tf.Tensor) -> tf.Tensor:
    """Rotates about the centre, counterclockwise."""
    radians = -degrees * (math.pi / 180)
    cosine, sine = tf.cos(radians), tf.sin(radians)
    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    x, y = width / 2, height / 2
    return _warped(
        image,
        (cosine, sine, x - cosine * x - sine * y),
        (-sine, cosine, y + sine * x - cosine * y),
        fill,
    )


def shear_x(image: tf.Tensor, factor: tf.Tensor | float, fill: tf.Tensor) -> tf.Tensor:
    """Takes each pixel from factor · row further right; the other arguments are `rotate`'s."""
    return _warped(image, (1.0, factor, 0.0), (0.0, 1.0, 0.0), fill)


def shear_y(image: tf.Tensor, factor: tf.Tensor | float, fill: tf.Tensor) -> tf.Tensor:
    """Takes each pixel from factor · column further down; the other arguments are `rotate`'s."""
    return _warped(image, (1.0, 0.0, 0.0), (factor, 1.0, 0.0), fill)


def translate_x(image: tf.Tensor, pixels: tf.Tensor | float, fill: tf.Tensor) -> tf.Tensor:
    """Takes each pixel from `pixels` further right; the other arguments are `rotate`'s."""
    return _warped(image, (1.0, 0.0, pixels), (0.0, 1.0, 0.0), fill)


def translate_y(image: tf.Tensor, pixels: tf.Tensor | float, fill: tf.Tensor) -> tf.Tensor:
    """Takes each pixel from `pixels` further down; the other arguments are `rotate`'s."""
    return _warped(image, (1.0, 0.0, 0.0), (0.0, 1.0, pixels), fill)


def _warped(image, x_row, y_row, fill):
    """Takes the pixel at (x, y) from where the two rows of the affine matrix say."""

    def between_centres(a, b, c):
        # Pillow's coordinates begin at a pixel's corner, the operation's at its centre.
        return a, b, c + 0.5 * (a + b) - 0.5

    matrix = (*between_centres(*x_row), *between_centres(*y_row), 0.0, 0.0)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=(tf.cast(image, tf.float32) - fill)[tf.newaxis],
        transforms=tf.stack([tf.cast(entry, tf.float32) for entry in matrix])[tf.newaxis],
        output_shape=tf.shape(image)[:2],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(to_uint8(warped[0] + fill), image.shape)


Operation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""A function of an image, a strength in [0, 1], a sign (−1 or 1) and a fill colour."""

STRENGTHS = 31  # TrivialAugment's grid


def rand_augment(
    image: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation, fill: Sequence[float]
) -> tf.Tensor:
    """Applies RandAugment (Cubuk et al., 2020) with the operations that timm calls increasing.

    Each of `augmentation.operations` is drawn from 15, with replacement, and is then left out with
    probability 1 − `policy_probability`. Its strength is normal around `magnitude`, cut to [0, 10].
    """
    count = augmentation.operations
    chosen = integers(seed, "policy operation", (len(RAND_AUGMENT),) * count)
    applied = uniform(seed, "policy applied", count) < augmentation.policy_probability
    signs = _signs(seed, count)
    spread = augmentation.magnitude_std * normal(seed, "policy strength", count)
    strengths = tf.clip_by_value(augmentation.magnitude + spread, 0.0, 10.0) / 10
    for turn in range(count):
        image = tf.cond(
            applied[turn],
            lambda image=image, turn=turn: _one_of(
                RAND_AUGMENT, chosen[turn], image, strengths[turn], signs[turn], fill
            ),
            lambda image=image: image,
        )
    return image


def trivial_augment(image: tf.Tensor, seed: tf.Tensor, fill: Sequence[float]) -> tf.Tensor:
    """Applies one of 14 operations with one of 31 strengths (Müller and Hutter, 2021: "wide")."""
    chosen, level = tf.unstack(integers(seed, "policy", (len(TRIVIAL_AUGMENT), STRENGTHS)))
    strength = tf.cast(level, tf.float32) / (STRENGTHS - 1)
    return _one_of(TRIVIAL_AUGMENT, chosen, image, strength, _signs(seed, 1)[0], fill)


def _one_of(operations, chosen, image, strength, sign, fill):
    colour = tf.broadcast_to(tf.constant(fill, tf.float32), (image.shape[-1],))
    branches = [
        lambda operation=operation: operation(image, strength, sign, colour)
        for operation in operations.values()
    ]
    return tf.ensure_shape(tf.switch_case(chosen, branches), image.shape)


def _signs(seed, count):
    return tf.where(uniform(seed, "policy sign", count) < 0.5, -1.0, 1.0)


def _whole(value):
    return tf.cast(value, tf.int32)


def _width(image):
    return tf.cast(tf.shape(image)[1], tf.float32)


def _height(image):
    return tf.cast(tf.shape(image)[0], tf.float32)


RAND_AUGMENT: dict[str, Operation] = {
    "autocontrast": lambda image, strength, sign, fill: colors.autocontrast(image),
    "equalize": lambda image, strength, sign, fill: colors.equalize(image),
    "invert": lambda image, strength, sign, fill: colors.invert(image),
    "rotate": lambda image, strength, sign, fill: rotate(image, sign * strength * 30, fill),
    "posterize": lambda image, strength, sign, fill: colors.posterize(
        image, 4 - _whole(strength * 4)
    ),
    "solarize": lambda image, strength, sign, fill: colors.solarize(
        image, 256 - _whole(strength * 256)
    ),
    "solarize_add": lambda image, strength, sign, fill: colors.solarize_add(
        image, _whole(strength * 110)
    ),
    "saturation": lambda image, strength, sign, fill: colors.saturation(
        image, 1 + sign * strength * 0.9
    ),
    "contrast": lambda image, strength, sign, fill: colors.contrast(
        image, 1 + sign * strength * 0.9
    ),
    "brightness": lambda image, strength, sign, fill: colors.brightness(
        image, 1 + sign * strength * 0.9
    ),
    "sharpness": lambda image, strength, sign, fill: colors.sharpness(
        image, 1 + sign * strength * 0.9
    ),
    "shear_x": lambda image, strength, sign, fill: shear_x(image, sign * strength * 0.3, fill),
    "shear_y": lambda image, strength, sign, fill: shear_y(image, sign * strength * 0.3, fill),
    "translate_x": lambda image, strength, sign, fill: translate_x(
        image, sign * strength * 0.45 * _width(image), fill
    ),
    "translate_y": lambda image, strength, sign, fill: translate_y(
        image, sign * strength * 0.45 * _height(image), fill
    ),
}

# torchvision translates by whole pixels, cut towards zero; timm, above, by parts of them.
TRIVIAL_AUGMENT: dict[str, Operation] = {
    "identity": lambda image, strength, sign, fill: image,
    "shear_x": lambda image, strength, sign, fill: shear_x(image, sign * strength * 0.99, fill),
    "shear_y": lambda image, strength, sign, fill: shear_y(image, sign * strength * 0.99, fill),
    "translate_x": lambda image, strength, sign, fill: translate_x(
        image, sign * tf.floor(strength * 32), fill
    ),
    "translate_y": lambda image, strength, sign, fill: translate_y(
        image, sign * tf.floor(strength * 32), fill
    ),
    "rotate": lambda image, strength, sign, fill: rotate(image, sign * strength * 135, fill),
    "brightness": lambda image, strength, sign, fill: colors.brightness(
        image, 1 + sign * strength * 0.99
    ),
    "saturation": lambda image, strength, sign, fill: colors.saturation(
        image, 1 + sign * strength * 0.99
    ),
    "contrast": lambda image, strength, sign, fill: colors.contrast(
        image, 1 + sign * strength * 0.99
    ),
    "sharpness": lambda image, strength, sign, fill: colors.sharpness(
        image, 1 + sign * strength * 0.99
    ),
    "posterize": lambda image, strength, sign, fill: colors.posterize(
        image, 8 - _whole(tf.round(strength * 6))
    ),
    "solarize": lambda image, strength, sign, fill: colors.solarize(
        image, _whole(tf.math.ceil(255 - strength * 255))
    ),
    "autocontrast": lambda image, strength, sign, fill: colors.autocontrast(image),
    "equalize": lambda image, strength, sign, fill: colors.equalize(image),
}

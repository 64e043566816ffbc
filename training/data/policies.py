"""Operations of colour and geometry, and the policies RandAugment and TrivialAugment.

Images are uint8 of shape `(height, width, channels)`. The operations are Pillow's.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from training.data.decoding import to_uint8
from training.data.order import integers, normal, uniform
from training.recipe.recipe import Augmentation


def brightness(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends an image with black: 0 gives black, 1 the image."""
    return _blended(0.0, image, factor)


def contrast(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends an image with its mean grey."""
    mean = tf.reduce_mean(tf.cast(grey(image), tf.float64))  # float32 cannot hold the sum
    return _blended(tf.cast(tf.floor(mean + 0.5), tf.float32), image, factor)


def saturation(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends an image with its grey version."""
    return image if image.shape[-1] == 1 else _blended(grey(image), image, factor)


def sharpness(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends an image with a smoothed one: more than 1 sharpens."""
    pixels = tf.cast(image, tf.float32)
    rows = pixels[:-2] + pixels[1:-1] + pixels[2:]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * pixels[1:-1, 1:-1]
    smooth = tf.floor(sums / 13 + 0.5)
    # The border has too few neighbours and stays.
    framed = tf.pad(smooth - pixels[1:-1, 1:-1], [[1, 1], [1, 1], [0, 0]]) + pixels
    return _blended(framed, image, factor)


def grey(image: tf.Tensor) -> tf.Tensor:
    """Returns the luma (ITU-R 601-2) of an image as Pillow rounds it: float32, one channel."""
    values = tf.cast(image, tf.float32)
    if image.shape[-1] == 1:
        return values
    # Whole numbers below 2²⁴, which float32 represents exactly.
    weights = tf.constant([[19595.0], [38470.0], [7471.0]])
    return tf.floor((tf.tensordot(values, weights, 1) + 0x8000) / 0x10000)


def _blended(degenerate, image, factor):
    mixed = degenerate + factor * (tf.cast(image, tf.float32) - degenerate)
    return tf.cast(tf.clip_by_value(mixed, 0.0, 255.0), tf.uint8)  # truncated, as in Pillow


def posterize(image: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keeps the highest `bits` bits, 0 to 8, of each value."""
    mask = 256 - tf.bitwise.left_shift(1, 8 - bits)
    return tf.bitwise.bitwise_and(image, tf.cast(mask, tf.uint8))


def solarize(image: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Inverts the values from `threshold` on."""
    return tf.where(tf.cast(image, tf.int32) < threshold, image, 255 - image)


def solarize_add(image: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """Adds `amount` to the values below 128 (timm's complement to `solarize`)."""
    brighter = tf.cast(tf.minimum(tf.cast(image, tf.int32) + amount, 255), tf.uint8)
    return tf.where(image < 128, brighter, image)


def autocontrast(image: tf.Tensor) -> tf.Tensor:
    """Stretches each channel so that its least value becomes 0 and its greatest 255."""

    def channel_table(counts):
        present = tf.where(counts > 0)[:, 0]
        least, greatest = present[0], present[-1]
        levels = tf.range(256, dtype=tf.float64)
        scale = 255 / tf.cast(tf.maximum(greatest - least, 1), tf.float64)
        stretched = tf.cast(levels * scale - tf.cast(least, tf.float64) * scale, tf.int32)
        return tf.where(greatest > least, stretched, tf.range(256))

    return _mapped_by_channel(image, channel_table)


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Maps each channel's values so that they become about equally frequent."""

    def channel_table(counts):
        last = counts[tf.where(counts > 0)[-1, 0]]
        step = (tf.reduce_sum(counts) - last) // 255
        spread = (step // 2 + tf.cumsum(counts, exclusive=True)) // tf.maximum(step, 1)
        return tf.where(step > 0, spread, tf.range(256))

    return _mapped_by_channel(image, channel_table)


def _mapped_by_channel(image, channel_table):
    """Maps each channel's values by the table that `channel_table` makes of their counts."""
    mapped = []
    for channel in tf.unstack(tf.cast(image, tf.int32), axis=-1):
        table = channel_table(tf.math.bincount(channel, minlength=256, maxlength=256))
        mapped.append(tf.gather(tf.cast(tf.clip_by_value(table, 0, 255), tf.uint8), channel))
    return tf.stack(mapped, axis=-1)


COLOUR_OPERATIONS: dict[str, Callable[..., tf.Tensor]] = {
    "identity": lambda image: image,
    "autocontrast": autocontrast,
    "equalize": equalize,
    "invert": lambda image: 255 - image,
    "posterize": posterize,
    "solarize": solarize,
    "solarize_add": solarize_add,
    "saturation": saturation,
    "contrast": contrast,
    "brightness": brightness,
    "sharpness": sharpness,
}

# The rows of an affine matrix that maps a pixel of the result to the place it is taken from.
WARPS: dict[str, Callable[..., tuple]] = {
    "shear_x": lambda factor, image: ((1.0, factor, 0.0), (0.0, 1.0, 0.0)),
    "shear_y": lambda factor, image: ((1.0, 0.0, 0.0), (factor, 1.0, 0.0)),
    "translate_x": lambda pixels, image: ((1.0, 0.0, pixels), (0.0, 1.0, 0.0)),
    "translate_y": lambda pixels, image: ((1.0, 0.0, 0.0), (0.0, 1.0, pixels)),
    "rotate": lambda degrees, image: _rotation(degrees, image),
}


def _rotation(degrees, image):
    """Returns the matrix of a counterclockwise rotation about the centre."""
    radians = -degrees * (math.pi / 180)
    cosine, sine = tf.cos(radians), tf.sin(radians)
    x, y = _length(image, 1) / 2, _length(image, 0) / 2
    return (cosine, sine, x - cosine * x - sine * y), (-sine, cosine, y + sine * x - cosine * y)


def warped(name: str, amount: tf.Tensor | float, image: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Warps an image with bilinear interpolation; `fill` is the colour of what comes in."""

    def between_centres(a, b, c):
        # Pillow's coordinates begin at a pixel's corner, the operation's at its centre.
        return a, b, c + 0.5 * (a + b) - 0.5

    x_row, y_row = WARPS[name](amount, image)
    matrix = (*between_centres(*x_row), *between_centres(*y_row), 0.0, 0.0)
    found = tf.raw_ops.ImageProjectiveTransformV3(
        images=(tf.cast(image, tf.float32) - fill)[tf.newaxis],
        transforms=tf.stack([tf.cast(entry, tf.float32) for entry in matrix])[tf.newaxis],
        output_shape=tf.shape(image)[:2],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(to_uint8(found[0] + fill), image.shape)


def _length(image, axis):
    return tf.cast(tf.shape(image)[axis], tf.float32)


def _whole(value):
    return tf.cast(value, tf.int32)


def _to(most):
    return lambda strength, sign, image: sign * strength * most


def _around_one(most):
    return lambda strength, sign, image: 1 + sign * strength * most


Amounts = Mapping[str, Callable[..., tf.Tensor] | None]
"""Operations, and how much of each a strength in [0, 1], a sign (−1 or 1) and an image give."""

# The operations that timm calls increasing, in its order.
RAND_AUGMENT: Amounts = {
    **dict.fromkeys(("autocontrast", "equalize", "invert")),
    "rotate": _to(30),
    "posterize": lambda strength, sign, image: 4 - _whole(strength * 4),
    "solarize": lambda strength, sign, image: 256 - _whole(strength * 256),
    "solarize_add": lambda strength, sign, image: _whole(strength * 110),
    **dict.fromkeys(("saturation", "contrast", "brightness", "sharpness"), _around_one(0.9)),
    **dict.fromkeys(("shear_x", "shear_y"), _to(0.3)),
    "translate_x": lambda strength, sign, image: sign * strength * 0.45 * _length(image, 1),
    "translate_y": lambda strength, sign, image: sign * strength * 0.45 * _length(image, 0),
}

# torchvision translates by whole pixels, cut towards zero; timm, above, by parts of them.
TRIVIAL_AUGMENT: Amounts = {
    "identity": None,
    **dict.fromkeys(("shear_x", "shear_y"), _to(0.99)),
    **dict.fromkeys(
        ("translate_x", "translate_y"),
        lambda strength, sign, image: sign * tf.floor(strength * 32),
    ),
    "rotate": _to(135),
    **dict.fromkeys(("brightness", "saturation", "contrast", "sharpness"), _around_one(0.99)),
    "posterize": lambda strength, sign, image: 8 - _whole(tf.round(strength * 6)),
    "solarize": lambda strength, sign, image: _whole(tf.math.ceil(255 - strength * 255)),
    **dict.fromkeys(("autocontrast", "equalize")),
}
STRENGTHS = 31  # TrivialAugment's grid


def transformed(
    amounts: Amounts,
    name: str,
    image: tf.Tensor,
    strength: tf.Tensor,
    sign: tf.Tensor,
    fill: tf.Tensor,
) -> tf.Tensor:
    """Applies one operation of a policy."""
    amount = amounts[name]
    if amount is None:
        return COLOUR_OPERATIONS[name](image)
    if name in WARPS:
        return warped(name, amount(strength, sign, image), image, fill)
    return COLOUR_OPERATIONS[name](image, amount(strength, sign, image))


def rand_augment(
    image: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation, fill: Sequence[float]
) -> tf.Tensor:
    """Applies RandAugment (Cubuk et al., 2020), with strengths that are normal as in timm."""
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


def _one_of(amounts, chosen, image, strength, sign, fill):
    colour = tf.broadcast_to(tf.constant(fill, tf.float32), (image.shape[-1],))
    branches = [
        lambda name=name: transformed(amounts, name, image, strength, sign, colour)
        for name in amounts
    ]
    return tf.ensure_shape(tf.switch_case(chosen, branches), image.shape)


def _signs(seed, count):
    return tf.where(uniform(seed, "policy sign", count) < 0.5, -1.0, 1.0)


# Principal components of ImageNet's colours, with values in [0, 1]; from fb.resnet.torch.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


def jittered(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Changes brightness, then contrast, then saturation, each by its own factor."""
    factors = tf.unstack(1 + strength * (2 * uniform(seed, "colour jitter", 3) - 1))
    for enhanced, factor in zip((brightness, contrast, saturation), factors, strict=True):
        image = enhanced(image, factor)
    return image


def with_pca_noise(image: tf.Tensor, seed: tf.Tensor, std: float) -> tf.Tensor:
    """Adds one random colour to a whole image (Krizhevsky et al., 2012, §4.1)."""
    factors = std * normal(seed, "pca noise", 3) * tf.constant(EIGENVALUES)
    shift = 255 * tf.linalg.matvec(tf.constant(EIGENVECTORS), factors)
    return to_uint8(tf.cast(image, tf.float32) + shift)

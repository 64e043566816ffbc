"""Changes of colour and tone."""

import tensorflow as tf

from training.data.decoding import to_uint8
from training.data.order import normal, uniform


def brightness(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends an image with black."""
    return _blended(0.0, image, factor)


def contrast(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends an image with its mean grey: as `brightness`, 0 gives the grey."""
    mean = tf.reduce_mean(tf.cast(grey(image), tf.float64))  # whose sum float32 cannot hold
    return _blended(tf.cast(tf.floor(mean + 0.5), tf.float32), image, factor)


def saturation(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends an image with its grey version: as `brightness`, 0 gives the grey version."""
    if image.shape[-1] == 1:
        return image
    return _blended(grey(image), image, factor)


def sharpness(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends an image with a smoothed one: 0 gives the smooth one, more than 1 sharpens."""
    pixels = tf.cast(image, tf.float32)
    rows = pixels[:-2] + pixels[1:-1] + pixels[2:]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * pixels[1:-1, 1:-1]
    smooth = tf.floor(sums / 13 + 0.5)
    # The border, which lacks neighbours, stays.
    framed = tf.pad(smooth - pixels[1:-1, 1:-1], [[1, 1], [1, 1], [0, 0]]) + pixels
    return _blended(framed, image, factor)


def grey(image: tf.Tensor) -> tf.Tensor:
    """Returns the luma (ITU-R 601-2) of an image as Pillow rounds it: float32, one channel."""
    values = tf.cast(image, tf.float32)
    if image.shape[-1] == 1:
        return values
    # Whole numbers below 2²⁴, on which float32 makes no error.
    weights = tf.constant([[19595.0], [38470.0], [7471.0]])
    return tf.floor((tf.tensordot(values, weights, 1) + 0x8000) / 0x10000)


def _blended(degenerate, image, factor):
    mixed = degenerate + factor * (tf.cast(image, tf.float32) - degenerate)
    return tf.cast(tf.clip_by_value(mixed, 0.0, 255.0), tf.uint8)  # cut off, as Pillow does


def invert(image: tf.Tensor) -> tf.Tensor:
    """Turns each value v of an image, uint8 `(height, width, channels)`, into 255 − v."""
    return 255 - image


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


def _mapped(image, table):
    return tf.gather(tf.cast(tf.clip_by_value(table, 0, 255), tf.uint8), tf.cast(image, tf.int32))


def _mapped_by_channel(image, channel_table):
    channels = tf.unstack(image, axis=-1)
    tables = [
        channel_table(tf.math.bincount(tf.cast(values, tf.int32), minlength=256, maxlength=256))
        for values in channels
    ]
    mapped = [_mapped(values, table) for values, table in zip(channels, tables, strict=True)]
    return tf.stack(mapped, axis=-1)


# Of the colours of ImageNet's training images, with values in [0, 1]; from fb.resnet.torch.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


def jittered(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Changes brightness, then contrast, then saturation, each by its own factor."""
    factors = 1 + strength * (2 * uniform(seed, "colour jitter", 3) - 1)
    for enhanced, factor in zip(
        (brightness, contrast, saturation), tf.unstack(factors), strict=True
    ):
        image = enhanced(image, factor)
    return image


def with_pca_noise(image: tf.Tensor, seed: tf.Tensor, std: float) -> tf.Tensor:
    """Adds one random colour to a whole image (Krizhevsky et al., 2012, §4.1)."""
    factors = std * normal(seed, "pca noise", 3) * tf.constant(EIGENVALUES)
    shift = 255 * tf.linalg.matvec(tf.constant(EIGENVECTORS), factors)
    return to_uint8(tf.cast(image, tf.float32) + shift)

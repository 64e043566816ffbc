"""New values for grey levels, as `PIL.ImageOps` defines them."""

import tensorflow as tf


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

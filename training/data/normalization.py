"""From pixels to what a network eats."""

import numpy as np
import tensorflow as tf

from training.data.augment import moved
from training.data.decoding import central_view, whole_view
from training.data.source import ArraySource, Source
from training.recipe.recipe import Augmentation, Data, Recipe


def normalization(source: Source, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Returns what is subtracted from values in [0, 1], and what they are then divided by."""
    data = recipe.data
    for name in ("mean", "std"):
        values = getattr(data, name)
        if len(values) not in (1, source.channels):
            raise ValueError(
                f"`data.{name}` must have one value, or one for each of the {source.channels} "
                f"channels of {data.source!r}. Received: data.{name}={values}"
            )
    std = np.broadcast_to(np.array(data.std, np.float32), (source.channels,)).copy()
    if data.per_pixel_mean:
        return mean_image(source, data), std
    return np.broadcast_to(np.array(data.mean, np.float32), (source.channels,)).copy(), std


def normalized(images: tf.Tensor, mean: tf.Tensor, std: tf.Tensor) -> tf.Tensor:
    """Scales pixels to [0, 1], subtracts the mean and divides by the standard deviation."""
    factor, offset = 1 / 255 / std, mean / std
    if offset.shape.rank == 1:
        # Broadcasting over whole rows is four times as fast as over single pixels.
        width, channels = images.shape[-2:]
        rows = tf.reshape(images, (-1, width * channels))
        factor, offset = (tf.tile(values, [width]) for values in (factor, offset))
        return tf.reshape(tf.cast(rows, tf.float32) * factor - offset, images.shape)
    return tf.cast(images, tf.float32) * factor - offset


def moved_mean(mean: tf.Tensor, seeds: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Returns what is subtracted from each image of a batch.

    He et al. (2015) subtract the mean image first, then pad and crop: it goes where the image
    goes, and the zeros beyond the border stay zeros. The other crops choose another part of a
    picture each time; there the mean image is that of the cropped pictures, and stays.
    """
    if mean.shape.rank == 1 or augmentation.crop != "pad":
        return mean
    return moved(mean[tf.newaxis], seeds, augmentation.padding, augmentation.flip)


def resized_mean(mean: np.ndarray, image_size: int) -> np.ndarray:
    """Returns what is subtracted from images of a size; a mean image of another is resized."""
    if mean.ndim == 1 or mean.shape[0] == image_size:
        return mean
    return tf.image.resize(mean, (image_size, image_size)).numpy()


def mean_image(source: Source, data: Data) -> np.ndarray:
    """Averages the images of a source, pixel by pixel.

    The sum is one of integers, so that no order of summation changes its bits.
    """
    shape = (data.image_size, data.image_size, source.channels)
    total = np.zeros(shape, np.int64)
    if isinstance(source, ArraySource) and source.images.shape[1:] == shape:
        for start in range(0, source.size, 10_000):
            total += source.images[start : start + 10_000].sum(axis=0, dtype=np.int64)
    else:
        view = whole_view(data.image_size)
        views = tf.data.Dataset.range(source.size).map(
            lambda index: central_view(source.load(index)[0], source, view),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        for batch in views.batch(64).as_numpy_iterator():
            total += batch.sum(axis=0, dtype=np.int64)
    return (total / (255 * source.size)).astype(np.float32)

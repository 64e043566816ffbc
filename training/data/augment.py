"""From an image as it is loaded to what the network is trained on: augment, normalize, mix."""

import math

import numpy as np
import tensorflow as tf

from training.data.decoding import (
    area_window,
    central_view,
    crop_resized,
    image_shape,
    scale_window,
    whole_view,
)
from training.data.order import between, integers, step_seed, uniform
from training.data.policies import jittered, rand_augment, trivial_augment, with_pca_noise
from training.data.source import ArraySource, Source
from training.recipe.recipe import Augmentation, Data, Recipe

MeanAndStd = tuple[np.ndarray, np.ndarray]


def augmented(image: tf.Tensor, seed: tf.Tensor, source: Source, recipe: Recipe) -> tf.Tensor:
    """Augments one image, except for what is done to whole batches."""
    augmentation = recipe.augmentation
    pixels = _cropped(image, seed, source, recipe)
    if augmentation.policy == "randaugment":
        mean = recipe.data.mean
        if len(mean) > source.channels:  # that of colours, beside the mean image of grey ones
            mean = (sum(mean) / len(mean),)
        pixels = rand_augment(pixels, seed, augmentation, fill=[255 * value for value in mean])
    elif augmentation.policy == "trivialaugment":
        pixels = trivial_augment(pixels, seed, fill=[0.0])
    if augmentation.color_jitter:
        pixels = jittered(pixels, seed, augmentation.color_jitter)
    if augmentation.pca_noise:
        pixels = with_pca_noise(pixels, seed, augmentation.pca_noise)
    return pixels


def is_batchwise(source: Source, recipe: Recipe) -> bool:
    """Returns whether whole batches can be augmented at once: images in memory, only moved."""
    size, augmentation = recipe.data.image_size, recipe.augmentation
    return (
        isinstance(source, ArraySource)
        and source.image_shape == (size, size)
        and augmentation.crop in ("none", "pad")
        and augmentation.policy == "none"
        and not augmentation.color_jitter
        and not augmentation.pca_noise
    )


def _cropped(image, seed, source, recipe):
    """Crops, resizes and mirrors."""
    augmentation, image_size = recipe.augmentation, recipe.data.image_size
    if augmentation.crop in ("none", "pad"):
        view = central_view(image, source, whole_view(image_size))
        return moved(view[tf.newaxis], seed[tf.newaxis], augmentation)[0]
    shape = image_shape(image, source)
    if augmentation.crop == "resized":
        window = area_window(shape, seed, augmentation.area)
    else:
        window = scale_window(shape, seed, augmentation.scale_sides, image_size)
    pixels = crop_resized(image, window, source, image_size)
    if augmentation.flip:
        pixels = tf.cond(mirrored(seed), lambda: tf.reverse(pixels, [1]), lambda: pixels)
    return pixels


def moved(images: tf.Tensor, seeds: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Pads images with zeros, takes random crops of the old size, and mirrors half of them."""
    padding = augmentation.padding if augmentation.crop == "pad" else 0
    count = tf.shape(seeds)[0]
    height, width, channels = images.shape[1:]
    columns = tf.broadcast_to(tf.range(width), (count, width))
    if augmentation.flip:
        columns = tf.where(mirrored(seeds)[:, None], columns[:, ::-1], columns)
    rows = tf.broadcast_to(tf.range(height), (count, height))
    if padding:
        offsets = integers(seeds, "pad crop", (2 * padding + 1, 2 * padding + 1))
        rows += offsets[:, :1]
        columns += offsets[:, 1:]
        images = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    padded_height, padded_width = height + 2 * padding, width + 2 * padding
    which = tf.range(count) if images.shape[0] != 1 else tf.zeros_like(seeds[:, 0])
    pixels = (which[:, None] * padded_height + rows)[:, :, None] * padded_width + columns[:, None]
    return tf.gather(tf.reshape(images, (-1, channels)), pixels)


def mirrored(seeds: tf.Tensor) -> tf.Tensor:
    """Returns which images are mirrored: bool, shape `seeds.shape[:-1]`."""
    return uniform(seeds, "flip", 1)[..., 0] < 0.5


def finished(
    examples: dict[str, tf.Tensor],
    step: tf.Tensor,
    recipe: Recipe,
    classes: int,
    mean_and_std: MeanAndStd,
    partners: np.ndarray,
) -> dict[str, tf.Tensor]:
    """Normalizes a batch of augmented images, erases, and mixes each image with its partner."""
    augmentation, seeds = recipe.augmentation, examples["seed"]
    mean, std = (tf.constant(values) for values in mean_and_std)
    images = normalized(examples["image"], moved_mean(mean, seeds, augmentation), std)
    if augmentation.random_erasing:
        images = erased(images, seeds, augmentation.random_erasing)
    targets = tf.one_hot(examples["label"], classes)
    count = len(partners)
    if mixes(augmentation):
        images, targets = mixed(
            images[:count],
            targets[:count],
            tf.gather(images, partners),
            tf.gather(targets, partners),
            step,
            recipe,
        )
    kept = [key for key in ("label", "index", "skipped") if key in examples]
    return {"image": images, "target": targets} | {key: examples[key][:count] for key in kept}


def normalization(source: Source, recipe: Recipe) -> MeanAndStd:
    """Returns what is subtracted from values in [0, 1], and what they are then divided by."""
    data, channels = recipe.data, source.channels

    def of_channels(name):
        values = getattr(data, name)
        if len(values) not in (1, channels):
            raise ValueError(
                f"`data.{name}` must have one value, or one for each of the {channels} "
                f"channels of {data.source!r}. Received: data.{name}={values}"
            )
        return np.full(channels, values, np.float32)

    mean = mean_image(source, data) if data.per_pixel_mean else of_channels("mean")
    return mean, of_channels("std")


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
    """Returns what is subtracted from each image of a batch."""
    # He et al. (2015) subtract the mean image first, then pad and crop: it moves with the image.
    # For the other crops, it is the mean of cropped images and does not move.
    if mean.shape.rank == 1 or augmentation.crop != "pad":
        return mean
    return moved(mean[tf.newaxis], seeds, augmentation)


def resized_mean(mean: np.ndarray, image_size: int) -> np.ndarray:
    """Resizes a mean image to the images it is subtracted from; means of channels stay."""
    if mean.ndim == 1 or mean.shape[0] == image_size:
        return mean
    return tf.image.resize(mean, (image_size, image_size)).numpy()


def mean_image(source: Source, data: Data) -> np.ndarray:
    """Averages the images of a source, pixel by pixel; as integers, so that no order matters."""
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


ERASING_ATTEMPTS = 10
ERASED_AREA = (0.02, 0.33)  # of the image, as in torchvision
ERASED_ASPECT = (0.3, 3.3)


def erased(images: tf.Tensor, seeds: tf.Tensor, probability: float) -> tf.Tensor:
    """Sets a rectangle of some images to zero, which after normalization is the mean colour."""
    height, width = images.shape[1:3]
    area = between(uniform(seeds, "erasing area", ERASING_ATTEMPTS), *ERASED_AREA)
    area *= height * width
    aspect = uniform(seeds, "erasing aspect", ERASING_ATTEMPTS)
    logarithm = between(aspect, *map(math.log, ERASED_ASPECT))
    # In float64, for the reason that `order.normal` gives.
    ratio = tf.cast(tf.exp(tf.cast(logarithm, tf.float64)), tf.float32)
    heights, widths = tf.round(tf.sqrt(area / ratio)), tf.round(tf.sqrt(area * ratio))
    fits = (heights < height) & (widths < width)
    first = tf.argmax(fits, axis=1)
    place = uniform(seeds, "erasing place", 2)
    chosen = (uniform(seeds, "erasing", 1)[:, 0] < probability) & tf.reduce_any(fits, axis=1)

    def covered(lengths, total, part):
        length = tf.gather(lengths, first, batch_dims=1)
        start = tf.floor(part * (total - length + 1))
        numbers = tf.range(total, dtype=tf.float32)
        return (numbers >= start[:, None]) & (numbers < (start + length)[:, None])

    rows = covered(heights, height, place[:, 0]) & chosen[:, None]
    columns = covered(widths, width, place[:, 1])
    rectangle = (rows[:, :, None] & columns[:, None])[..., None]
    return tf.where(rectangle, 0.0, images)


def mixes(augmentation: Augmentation) -> bool:
    """Returns whether images are mixed at all."""
    return bool(augmentation.mixup or augmentation.cutmix)


def with_partners(places: np.ndarray, batch: int, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the places of a batch to read for a part of it, and the partners' indices in them.

    An example is mixed with the one `distance` places before it, around the end of the batch.
    """
    wanted = (places - distance) % batch
    read = np.concatenate([places, wanted[~np.isin(wanted, places)]])
    index = np.empty(batch, np.int64)
    index[read] = np.arange(len(read))
    return read, index[wanted]


def mixed(
    images: tf.Tensor,
    targets: tf.Tensor,
    partners: tf.Tensor,
    partner_targets: tf.Tensor,
    step: tf.Tensor,
    recipe: Recipe,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes images and their targets with those of their partners, by mixup or CutMix."""
    mixup, cutmix = recipe.augmentation.mixup, recipe.augmentation.cutmix
    seed = step_seed(recipe.seed, step)
    height, width = images.shape[1:3]

    def by_mixup():
        share = beta(seed, mixup)
        return share * images + (1 - share) * partners, share

    def by_cutmix():
        rectangle, share = _rectangle(seed, cutmix, height, width)
        return tf.where(rectangle[..., None], partners, images), share

    if mixup and cutmix:
        is_mixup = uniform(seed, "mixup or cutmix", 1)[0] < 0.5
        images, share = tf.cond(is_mixup, by_mixup, by_cutmix)
    else:
        images, share = by_mixup() if mixup else by_cutmix()
    return images, share * targets + (1 - share) * partner_targets


def beta(seed: tf.Tensor, concentration: float) -> tf.Tensor:
    """Draws from Beta(α, α): a float32 scalar in [0, 1]."""
    # In float64: gamma variates of a small α are often below the least float32.
    pair = tf.random.stateless_gamma([2], seed, alpha=concentration, dtype=tf.float64)
    return tf.cast(pair[0] / tf.reduce_sum(pair), tf.float32)


def _rectangle(seed, concentration, height, width):
    """Returns where the partner shows through, and the part of the image that stays."""
    side = tf.sqrt(1 - beta(seed, concentration))
    centre = uniform(seed, "cutmix centre", 2)

    def covered(length, part):
        middle = tf.floor(part * length)
        half = tf.floor(side * length / 2)
        numbers = tf.range(length, dtype=tf.float32)
        return (numbers >= middle - half) & (numbers < middle + half)

    rectangle = covered(height, centre[0])[:, None] & covered(width, centre[1])
    return rectangle, 1 - tf.reduce_mean(tf.cast(rectangle, tf.float32))

"""Batches of training and evaluation in a known order."""

import numpy as np
import tensorflow as tf

from training.data.augment import augmented, augmented_batch, is_batchwise
from training.data.bad_images import skipping_bad
from training.data.decoding import central_view, ten_views, view_preprocessing
from training.data.mixing import finished, mixes, with_partners
from training.data.normalization import normalization, normalized, resized_mean
from training.data.order import batch_order, example_at, example_seed
from training.data.pipeline import mapped, parallel, prefetched, share_of
from training.data.source import ArraySource, Source
from training.recipe.recipe import Recipe

MeanAndStd = tuple[np.ndarray, np.ndarray]


def training_batches(
    source: Source,
    recipe: Recipe,
    start_step: int = 0,
    worker: int = 0,
    workers: int = 1,
    mean_and_std: MeanAndStd | None = None,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Makes the batches of a run, from a step on, without end.

    Batch k holds the positions k·batch to (k + 1)·batch − 1 of the run, across the borders of
    epochs, so that no example is dropped; of what came before, nothing is read or drawn.
    """
    batch, augmentation = recipe.batch, recipe.augmentation
    share = share_of(batch, worker, workers)
    mean_and_std = mean_and_std or normalization(source, recipe)
    classes = len(source.class_names)
    # An image is mixed with that which stands `repeats` places before it, around the batch's end.
    # A worker with a part of the batch reads those that its own are mixed with as well.
    distance = augmentation.repeats if mixes(augmentation) else 0
    if distance >= batch:
        raise ValueError(
            "`batch` must be greater than `augmentation.repeats` for mixup and CutMix. "
            f"Received: batch={batch}, augmentation.repeats={augmentation.repeats}"
        )
    order = batch_order(batch, augmentation.repeats, max(replicas, workers))
    part = order[worker * share : (worker + 1) * share]
    offsets, partners = with_partners(part, batch, distance)

    def places(step):
        positions = step * batch + offsets
        index, epoch, repetition = example_at(
            positions, source.size, recipe.seed, augmentation.repeats
        )
        seed = example_seed(recipe.seed, epoch, index, repetition)
        return {"position": positions, "index": index, "seed": seed}

    def one(place):
        image, label = source.load(place["index"])
        return place | {"image": augmented(image, place["seed"], source, recipe), "label": label}

    def many(places):
        images, labels = source.load(places["index"])
        return places | {
            "image": augmented_batch(images, places["seed"], augmentation),
            "label": labels,
        }

    def finish(examples):
        step = examples["position"][0] // batch
        return finished(examples, step, recipe, classes, mean_and_std, partners)

    steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max // batch)
    if is_batchwise(source, recipe):
        batches = parallel(steps, lambda step: finish(many(places(step))))
    else:
        examples = mapped(steps, places).unbatch()
        if recipe.data.on_bad_image == "skip" and source.encoded:
            examples = skipping_bad(examples, source, one)
        else:
            examples = parallel(examples, one)
        batches = parallel(examples.batch(len(offsets), drop_remainder=True), finish)
    return prefetched(batches)


def indices_of_steps(source: Source, recipe: Recipe, start_step: int, steps: int) -> np.ndarray:
    """Returns the indices of the examples of some batches, as for `bad_images_named`."""
    begin, end = start_step * recipe.batch, (start_step + steps) * recipe.batch
    positions = tf.range(begin, end, dtype=tf.int64)
    index, _, _ = example_at(positions, source.size, recipe.seed, recipe.augmentation.repeats)
    return index.numpy()


def evaluation_batches(
    source: Source,
    recipe: Recipe,
    worker: int = 0,
    workers: int = 1,
    ten_crop: bool = False,
    mean_and_std: MeanAndStd | None = None,
) -> tf.data.Dataset:
    """Makes the batches of an evaluation: every example once, in the source's order.

    An image that cannot be read is always an error here. Both pipelines stop with TensorFlow's own,
    which does not name it: see `bad_images.bad_images_named`.
    """
    batch = recipe.evaluation.batch
    share = share_of(batch, worker, workers)
    if recipe.data.per_pixel_mean and mean_and_std is None:
        raise ValueError(
            "`mean_and_std` must be the training split's where `data.per_pixel_mean` is set. "
            "Received: mean_and_std=None"
        )
    mean, std = mean_and_std or normalization(source, recipe)
    image_size = recipe.test_image_size
    preprocessing = view_preprocessing(recipe.evaluation, image_size)
    mean = resized_mean(mean, image_size)

    def view(image):
        viewed = ten_views if ten_crop else central_view
        return viewed(image, source, preprocessing)

    def places(number):
        return number * batch + worker * share + tf.range(share, dtype=tf.int64)

    def clipped(position):
        return tf.minimum(position, source.size - 1)

    def one(position):
        image, label = source.load(clipped(position))
        return view(image), label, position

    def finish(images, labels, positions):
        is_real = positions < source.size
        return {
            "image": normalized(images, tf.constant(mean), tf.constant(std)),
            "label": labels,
            "index": tf.where(is_real, positions, -1),
            "weight": tf.cast(is_real, tf.float32),
        }

    count = -(-source.size // batch)
    as_they_are = isinstance(source, ArraySource) and source.image_shape == (image_size, image_size)
    if as_they_are and recipe.evaluation.crop_ratio == 1 and not ten_crop:
        positions = mapped(tf.data.Dataset.range(count), places)
        batches = parallel(positions, lambda p: finish(*source.load(clipped(p)), p))
    else:
        examples = parallel(mapped(tf.data.Dataset.range(count), places).unbatch(), one)
        batches = parallel(examples.batch(share, drop_remainder=True), finish)
    return prefetched(batches)

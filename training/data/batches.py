"""Batches of training and evaluation in a known order, and what happens to unreadable images."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from keras_resnets.preprocessing import Preprocessing
from training.data.augment import (
    MeanAndStd,
    augmented,
    finished,
    is_batchwise,
    mixes,
    moved,
    normalization,
    normalized,
    resized_mean,
    with_partners,
)
from training.data.decoding import (
    STRIP,
    central_view,
    decoded,
    is_strip,
    ten_views,
    view_preprocessing,
    what_is_wrong,
)
from training.data.order import batch_order, example_at, example_seed
from training.data.source import ArraySource, Source, why_not_loaded
from training.recipe.recipe import Recipe


def training_batches(
    source: Source,
    recipe: Recipe,
    start_step: int = 0,
    worker: int = 0,
    workers: int = 1,
    mean_and_std: MeanAndStd | None = None,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Returns the endless batches of a run, from a step on.

    Batch k holds the positions k·batch to (k + 1)·batch − 1 of the run, across epochs. Nothing
    before `start_step` is read or drawn.
    """
    batch, augmentation = recipe.batch, recipe.augmentation
    share = _share_of(batch, worker, workers)
    mean_and_std = mean_and_std or normalization(source, recipe)
    classes = len(source.class_names)
    # An image is mixed with the one `repeats` places before it, around the batch's end. A worker
    # with a part of the batch also reads the images that its own are mixed with.
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
        return places | {"image": moved(images, places["seed"], augmentation), "label": labels}

    def finish(examples):
        step = examples["position"][0] // batch
        return finished(examples, step, recipe, classes, mean_and_std, partners)

    steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max // batch)
    if is_batchwise(source, recipe):
        batches = _parallel(steps, lambda step: finish(many(places(step))))
    else:
        examples = _mapped(steps, places).unbatch()
        if recipe.data.on_bad_image == "skip" and source.encoded:
            examples = skipping_bad(examples, source, one)
        else:
            examples = _parallel(examples, one)
        batches = _parallel(examples.batch(len(offsets), drop_remainder=True), finish)
    return batches.prefetch(tf.data.AUTOTUNE)


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
    view: Preprocessing | None = None,
) -> tf.data.Dataset:
    """Returns the batches of an evaluation: every example once, in the source's order.

    `view` says how images are resized and cropped, in place of the recipe. An image that cannot be
    read is always an error here.
    """
    batch = recipe.evaluation.batch
    share = _share_of(batch, worker, workers)
    if recipe.data.per_pixel_mean and mean_and_std is None:
        raise ValueError(
            "`mean_and_std` must be the training split's where `data.per_pixel_mean` is set. "
            "Received: mean_and_std=None"
        )
    mean, std = mean_and_std or normalization(source, recipe)
    image_size = recipe.test_image_size
    preprocessing = view or view_preprocessing(recipe.evaluation, image_size)
    mean = resized_mean(mean, image_size)
    viewed = ten_views if ten_crop else central_view

    def places(number):
        return number * batch + worker * share + tf.range(share, dtype=tf.int64)

    def clipped(position):
        return tf.minimum(position, source.size - 1)

    def one(position):
        image, label = source.load(clipped(position))
        return viewed(image, source, preprocessing), label, position

    def finish(images, labels, positions):
        is_real = positions < source.size
        return {
            "image": normalized(images, tf.constant(mean), tf.constant(std)),
            "label": labels,
            "index": tf.where(is_real, positions, -1),
            "weight": tf.cast(is_real, tf.float32),
        }

    positions = _mapped(tf.data.Dataset.range(-(-source.size // batch)), places)
    whole = preprocessing.resize == preprocessing.crop == image_size
    as_they_are = isinstance(source, ArraySource) and source.image_shape == (image_size, image_size)
    if as_they_are and whole and not ten_crop:
        batches = _parallel(positions, lambda p: finish(*source.load(clipped(p)), p))
    else:
        examples = _parallel(positions.unbatch(), one)
        batches = _parallel(examples.batch(share, drop_remainder=True), finish)
    return batches.prefetch(tf.data.AUTOTUNE)


def _share_of(batch, worker, workers):
    """Returns how many examples of each batch one worker reads."""
    if not 0 <= worker < workers:
        raise ValueError(
            f"`worker` must be in [0, workers). Received: worker={worker}, workers={workers}"
        )
    if batch % workers:
        raise ValueError(
            "The batch must be a multiple of the number of workers. "
            f"Received: batch={batch}, workers={workers}"
        )
    return batch // workers


def _mapped(dataset, function):
    return dataset.map(tf.autograph.experimental.do_not_convert(function))


def _parallel(dataset, function):
    """Maps a function over a dataset on several threads, in order."""
    return dataset.map(
        tf.autograph.experimental.do_not_convert(function),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


ATTEMPTS = 100  # images in a row that are tried when bad ones are skipped
CYCLE = 16  # images that are then read at the same time


class BadImage(OSError):
    """An image that cannot be read. The message names it and says why."""


@contextlib.contextmanager
def bad_images_named(
    source: Source, indices: Callable[[], Iterable[int]], can_skip: bool = False
) -> Iterator[None]:
    """Raises `BadImage` if an image stops the pipeline that is read within this context."""
    # TensorFlow's error does not say which file could not be decoded: those at `indices` are read
    # again.
    try:
        yield
    except tf.errors.OpError as error:
        for index in indices():
            problem = why_unreadable(source, index)
            if problem is not None:
                skip = ", or skip such images by --data.on-bad-image skip in a new run"
                raise BadImage(
                    f"{problem.removesuffix('.')}. Mend or remove it{skip if can_skip else ''}; "
                    "`python -m training validate` finds all that cannot be read."
                ) from error
        raise


def why_unreadable(source: Source, index: int) -> str | None:
    """Reads one image; returns its name and what is wrong with it, or `None`."""
    number = tf.constant(index, tf.int64)
    name = source.name_of(number).numpy().decode()
    try:
        image, _ = source.load(number)
    except (OSError, ValueError, tf.errors.OpError) as error:
        return f"{name} cannot be read: {why_not_loaded(error)}"
    try:
        shape = decoded(image, source).shape
    except tf.errors.OpError:
        return f"{name} cannot be read: {what_is_wrong(image.numpy())}."
    return f"{name} cannot be resized: {STRIP}." if is_strip(shape) else None


def skipping_bad(
    places: tf.data.Dataset, source: Source, read: Callable[..., object]
) -> tf.data.Dataset:
    """Reads images in order, and replaces one that cannot be read by the next one that can."""

    def first_good(place):
        def attempt(further):
            index = (place["index"] + further) % source.size
            return read(place | {"index": index, "skipped": further > 0})

        attempts = _mapped(tf.data.Dataset.range(min(ATTEMPTS, source.size)), attempt)
        failure = _mapped(tf.data.Dataset.range(1), attempt)
        return attempts.ignore_errors().concatenate(failure).take(1)

    # In a `map`, a nested dataset would make the pipeline sequential under
    # `tf.config.experimental.enable_op_determinism`.
    return places.interleave(
        tf.autograph.experimental.do_not_convert(first_good),
        cycle_length=CYCLE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )

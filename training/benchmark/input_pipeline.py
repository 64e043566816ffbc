"""Batches for training: the trainer's, those of a plain `tf.data` pipeline, and decoding alone."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from training.benchmark.contenders import Setting
from training.benchmark.steps import backend_versions
from training.benchmark.worker import Job
from training.data.batches import training_batches
from training.data.decoding import ACCURATE
from training.data.source import ArraySource, Source, synthetic
from training.recipe.files import load_recipe

BATCH = 32
WARM_UP = 2  # batches
SIDE = 224  # of a photo
RECIPES = {"photos": "imagenet_goyal", "memory": "cifar10_fast"}


class PhotoSource(Source):
    """The JPEG files of a folder and the folders in it, without classes."""

    channels = 3
    encoded = True
    class_names = ("photo",)

    def __init__(self, folder: Path):
        suffixes = (".jpg", ".jpeg")
        self.paths = sorted(
            str(path)
            for path in folder.rglob("*")
            if path.suffix.lower() in suffixes and path.is_file()
        )
        if not self.paths:
            raise ValueError(
                f"`photos` must be a folder with JPEG files. Received: photos={str(folder)!r}"
            )
        self.size = len(self.paths)
        self.identifier = hashlib.sha256("\n".join(self.paths).encode()).hexdigest()

    def load(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.io.read_file(self.name_of(index)), tf.constant(0, tf.int64)

    def name_of(self, index: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.constant(self.paths), index)


def make_job(setting: Setting) -> Job:
    """Returns the making of batches.

    Options: `images`, `"photos"` (JPEG files, at 224 pixels) or `"memory"` (of CIFAR's size);
    `pipeline`, `"ours"`, `"plain"` or, for photos, `"decode"`, with `dct`, the transform.

    Each turn has a pipeline of its own, which is timed once it runs and ends with the turn: what
    it fetches ahead is neither given to a turn nor computed beside another contender's.
    """
    images, pipeline = setting.options["images"], setting.options["pipeline"]
    source: PhotoSource | ArraySource
    source = PhotoSource(Path(setting.photos)) if images == "photos" else synthetic("train", 32)
    if pipeline == "ours":
        tf.config.experimental.enable_op_determinism()
        recipe = dataclasses.replace(load_recipe(RECIPES[images]), batch=BATCH)
        dataset = training_batches(source, recipe).map(lambda example: example["image"])
    elif pipeline == "decode":
        dataset = _decoding(source, setting.options.get("dct", ACCURATE))
    else:
        dataset = _plain_photos(source) if images == "photos" else _plain_arrays(source)
    iterator = iter(())

    def before():
        nonlocal iterator
        iterator = iter(dataset)
        for _ in range(WARM_UP):
            next(iterator)

    def take(batches):
        for _ in range(batches):
            batch = next(iterator)
        return float(tf.reduce_mean(batch))

    def after():
        nonlocal iterator
        iterator = iter(())

    facts = {"images": BATCH, "device": "CPU", "versions": backend_versions()}
    return Job(take, facts, before, after)


def _plain_photos(source):
    """As tutorials have it: decode all, crop by area and aspect ratio, resize, flip, normalize."""

    def load(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        top_left, size, _ = _distorted_box(tf.shape(image))
        image = tf.slice(image, top_left, size)
        image = tf.image.resize(image, (SIDE, SIDE))
        image = tf.image.random_flip_left_right(image) / 255.0
        return (image - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]

    return _batches(source.paths, load)


def _plain_arrays(source):
    """As tutorials have it: pad, crop, flip and normalize, image by image."""

    def load(image):
        image = tf.image.resize_with_crop_or_pad(image, 40, 40)
        image = tf.image.random_crop(image, (32, 32, 3))
        image = tf.image.random_flip_left_right(image)
        return (tf.cast(image, tf.float32) / 255.0 - [0.49, 0.48, 0.45]) / [0.25, 0.24, 0.26]

    return _batches(source.images, load)


def _decoding(source, dct_method):
    """Nothing but reading, and decoding the window that a crop would need, at full size."""

    def load(path):
        contents = tf.io.read_file(path)
        top_left, size, _ = _distorted_box(tf.io.extract_jpeg_shape(contents))
        window = tf.concat([top_left[:2], size[:2]], axis=0)
        pixels = tf.image.decode_and_crop_jpeg(contents, window, channels=3, dct_method=dct_method)
        return tf.cast(pixels[0, 0, 0], tf.float32)

    return _batches(source.paths, load)


def _distorted_box(shape):
    return tf.image.sample_distorted_bounding_box(
        shape,
        bounding_boxes=tf.zeros((1, 0, 4)),
        area_range=(0.08, 1.0),
        aspect_ratio_range=(3 / 4, 4 / 3),
        min_object_covered=0.0,
        use_image_if_no_bounding_boxes=True,
    )


def _batches(values, load):
    dataset = tf.data.Dataset.from_tensor_slices(np.asarray(values))
    dataset = dataset.shuffle(len(values)).repeat()
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(BATCH).prefetch(tf.data.AUTOTUNE)

"""Sources by name, and data sets of tensorflow-datasets (TFDS)."""

import concurrent.futures
import hashlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from training.data.decoding import decoded_file
from training.data.folder import FolderSource
from training.data.prepared import (
    BUNDLED,
    folder_of,
    folder_splits,
    is_flat,
    prepared_folder,
    tfds_folder,
)
from training.data.source import ArraySource, Source, digits, synthetic
from training.recipe.recipe import Data

IN_MEMORY_BYTES = 2**30


def open_source(
    data: Data,
    split: str,
    data_dir: Path | None = None,
    download: bool = False,
    must_be_sound: bool = True,
) -> Source:
    """Opens one split of the images that a recipe names."""
    if data.source == "digits":
        return digits(split)
    if data.source == "synthetic":
        return synthetic(split, data.image_size)
    if data.source.startswith("folder:"):
        return FolderSource(folder_of(data.source), split, must_be_sound, data.test_share)
    return tfds_source(data.source, split, data_dir, download)


def list_splits(
    source: str, data_dir: Path | None = None, download: bool = False
) -> tuple[str, ...]:
    """Returns the names of all splits of a source."""
    if source in BUNDLED:
        return "train", "test"
    if source.startswith("folder:"):
        return folder_splits(folder_of(source))
    return tuple(_builder(source, data_dir, download).info.splits)


def is_flat_folder(source: str) -> bool:
    """Whether a source is a folder of class folders, without folders for the splits."""
    return source.startswith("folder:") and is_flat(folder_of(source))


def tfds_source(name: str, split: str, data_dir: Path | None, download: bool) -> Source:
    """Opens a split of a TFDS data set: in memory if its images have one size and are few."""
    builder = _builder(name, data_dir, download)
    features = builder.info.features
    image_key, label_key = _keys(name, features)
    try:
        chosen = builder.info.splits[split]
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{name!r} has the splits {', '.join(builder.info.splits)}. Received: split={split!r}"
        ) from error
    shape, class_names = features[image_key].shape, tuple(features[label_key].names)
    title = f"{builder.info.full_name} {split}"
    if None not in shape and chosen.num_examples * int(np.prod(shape)) <= IN_MEMORY_BYTES:
        images, labels = _decoded(builder, split, chosen.num_examples, image_key, label_key)
        return ArraySource(title, images, labels, class_names)
    return RecordSource(
        title, chosen.file_instructions, image_key, label_key, class_names, shape[-1] or 3
    )


HEADER = struct.Struct("<QI")  # a record's length, and a checksum of it
FOOTER_BYTES = 4  # a checksum of the record


class RecordSource(Source):
    """Encoded images in TFRecord files of `tf.train.Example`s, read by their place in the files.

    `shards` are TFDS's file instructions: `take` records (−1: all the others) of `filename` after
    the first `skip`.
    """

    encoded = True

    def __init__(
        self,
        name: str,
        shards: Sequence[Any],
        image_key: str,
        label_key: str,
        class_names: tuple[str, ...],
        channels: int,
    ):
        self.class_names, self.channels = class_names, channels
        self._image_key, self._label_key = image_key, label_key
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            indices = list(threads.map(_index, shards))
        digest = hashlib.sha256(repr((name, class_names)).encode())
        rows = []  # per example: its file, its number in it, where it begins, its length
        for file, (shard, index) in enumerate(zip(shards, indices, strict=True)):
            digest.update(f"{Path(shard.filename).name} {shard.skip}".encode())
            digest.update(index.tobytes())
            numbers = shard.skip + np.arange(len(index))
            rows.append(np.column_stack([np.full_like(numbers, file), numbers, index]))
        self.identifier = digest.hexdigest()
        self.size = sum(map(len, rows))
        self._files = [str(shard.filename) for shard in shards]
        with tf.device("CPU"):
            self._paths = tf.constant(self._files)
            self._rows = tf.constant(np.concatenate(rows).astype(np.int64))

    def load(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # A stateful function would make the map sequential under
        # `tf.config.experimental.enable_op_determinism`.
        record = tf.numpy_function(self._read, [self._rows[index]], tf.string, stateful=False)
        features = {
            self._image_key: tf.io.FixedLenFeature((), tf.string),
            self._label_key: tf.io.FixedLenFeature((), tf.int64),
        }
        example = tf.io.parse_single_example(tf.ensure_shape(record, ()), features)
        return example[self._image_key], example[self._label_key]

    def name_of(self, index: tf.Tensor) -> tf.Tensor:
        row = self._rows[index]
        number = tf.strings.as_string(row[1])
        return tf.strings.join([tf.gather(self._paths, row[0]), ", record ", number])

    def _read(self, row):
        file, number, begin, length = row.tolist()
        path = self._files[file]
        # Opened for each record, because there may be more files than a process may hold open.
        with open(path, "rb", buffering=0) as opened:
            record = os.pread(opened.fileno(), length, begin)
        if len(record) != length:
            raise ValueError(f"{path}, record {number} cannot be read: the file is shorter now.")
        return record


def _index(shard):
    """Returns where each of a shard's records begins, and its length: int64, shape (take, 2)."""
    places, begin = [], 0
    with open(shard.filename, "rb", buffering=0) as file:
        descriptor = file.fileno()
        size = os.fstat(descriptor).st_size
        if hasattr(os, "posix_fadvise"):  # otherwise the whole file is read ahead
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        while begin + HEADER.size <= size:
            length, _ = HEADER.unpack(os.pread(descriptor, HEADER.size, begin))
            places.append((begin + HEADER.size, length))
            begin += HEADER.size + length + FOOTER_BYTES
    if begin != size or len(places) != shard.examples_in_shard:
        raise ValueError(
            f"{str(shard.filename)!r} must hold {shard.examples_in_shard} whole records. "
            f"Received: {len(places)} records that end at byte {begin} of {size}"
        )
    end = shard.skip + shard.take if shard.take >= 0 else None
    return np.array(places, np.int64).reshape(-1, 2)[shard.skip : end]


def _builder(name, data_dir, download):
    folder = prepared_folder(name, data_dir, download)
    import tensorflow_datasets as tfds  # slow, and noisy on stderr

    if folder is None:
        try:
            builder = tfds.builder(name, data_dir=tfds_folder(data_dir))
        except tfds.core.DatasetNotFoundError as error:
            raise ValueError(f"TFDS has no such data set. Received: source={name!r}") from error
        builder.download_and_prepare()
        return builder
    builder = tfds.builder_from_directory(folder)
    if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
        raise ValueError(
            "The data set must be prepared as TFRecord files, TFDS's default. "
            f"Received: source={name!r}, prepared as {builder.info.file_format.value} in "
            f"{str(folder)!r}"
        )
    return builder


def _keys(name, features):
    """Returns the keys of the image and of its class."""
    import tensorflow_datasets as tfds

    def only(feature, preferred):
        keys = [key for key in features if type(features[key]) is feature]
        return [preferred] if preferred in keys else keys

    images = only(tfds.features.Image, "image")
    labels = only(tfds.features.ClassLabel, "label")
    if len(images) != 1 or len(labels) != 1:
        raise ValueError(
            "A TFDS data set must have one image and one class label an example. "
            f"Received: source={name!r}, with the features {', '.join(features)}"
        )
    return images[0], labels[0]


def _decoded(builder, split, size, image_key, label_key):
    """Returns all images and labels of a split, in the order of its files."""
    import tensorflow_datasets as tfds

    shape = builder.info.features[image_key].shape
    images = np.empty((size, *shape), np.uint8)
    labels = np.empty(size, np.int64)
    filled = 0
    # TFDS would decode JPEG files with the fast and inexact transform.
    encoded = builder.as_dataset(split=split, decoders={image_key: tfds.decode.SkipDecoding()})
    examples = encoded.map(
        lambda example: (decoded_file(example[image_key], shape[-1]), example[label_key]),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    try:
        for some_images, some_labels in examples.batch(1000).as_numpy_iterator():
            start, filled = filled, filled + len(some_labels)
            if filled > size:
                break
            images[start:filled], labels[start:filled] = some_images, some_labels
        is_whole = filled == size
    except tf.errors.FailedPreconditionError:  # TFDS has counted others
        is_whole = False
    if not is_whole:
        raise ValueError(
            f"The files of a split must hold the {size} images of its description. "
            f"Received: {split!r} with others: prepare the data set {builder.info.full_name} anew"
        )
    return images, labels

"""Random access to TFRecord files: an index of where each record begins.

The order of a run is a function of its seed and the step, so that any record may be next. Reading
in any order wants a disk without a moving head, or one whose pages fit into memory.
"""

import concurrent.futures
import dataclasses
import hashlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from training.data.source import Source

HEADER = struct.Struct("<QI")  # a record's length, and a checksum of it
FOOTER_BYTES = 4  # a checksum of the record


@dataclasses.dataclass(frozen=True)
class Shard:
    """A part of a file: `take` records after the first `skip`, of `total` in the whole file."""

    path: Path
    skip: int
    take: int
    total: int


class RecordSource(Source):
    """Encoded images in TFRecord files of `tf.train.Example`s, read by their place in the files.

    Opening it reads the length of every record, which takes about a second for 100,000 of them.

    Args:
        name: What the source is called in its identifier.
        shards: The parts of files that hold the examples, in order.
        image_key: Name of the feature that holds the encoded image.
        label_key: Name of the feature that holds the label, an integer.
        class_names: Names of the classes.
        channels: Channels of a decoded image.

    Raises:
        ValueError: If a file is damaged.
    """

    encoded = True

    def __init__(
        self,
        name: str,
        shards: Sequence[Shard],
        image_key: str,
        label_key: str,
        class_names: tuple[str, ...],
        channels: int,
    ):
        self.class_names, self.channels = class_names, channels
        self._image_key, self._label_key = image_key, label_key
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            indices = list(threads.map(_index, shards))
        places = np.concatenate(indices)
        files = np.repeat(np.arange(len(shards)), [len(index) for index in indices])
        numbers = [shard.skip + np.arange(shard.take) for shard in shards]
        self.size = len(places)
        digest = hashlib.sha256(repr((name, class_names)).encode())
        for shard, index in zip(shards, indices, strict=True):
            digest.update(f"{shard.path.name} {shard.skip}".encode())
            digest.update(index.tobytes())
        self.identifier = digest.hexdigest()
        self._shards = shards
        with tf.device("CPU"):
            self._paths = tf.constant([str(shard.path) for shard in shards])
            # A row an example: its file, its number there, where it begins, its length.
            self._rows = tf.constant(
                np.column_stack([files, np.concatenate(numbers), places]).astype(np.int64)
            )

    def load(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Declared free of state, or the map it stands in would be sequential under
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
        path = self._shards[file].path
        descriptor = os.open(path, os.O_RDONLY)  # not kept: there may be more files than allowed
        try:
            record = os.pread(descriptor, length, begin)
        finally:
            os.close(descriptor)
        if len(record) != length:
            raise ValueError(f"{path}, record {number} cannot be read: the file is shorter now.")
        return record


def _index(shard):
    """Returns where each of a shard's records begins, and its length: int64, shape (take, 2)."""
    size = shard.path.stat().st_size
    places = []
    begin = 0
    descriptor = os.open(shard.path, os.O_RDONLY)
    try:
        if hasattr(os, "posix_fadvise"):  # or the whole file is read ahead
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        while begin + HEADER.size <= size:
            length, _ = HEADER.unpack(os.pread(descriptor, HEADER.size, begin))
            places.append((begin + HEADER.size, length))
            begin += HEADER.size + length + FOOTER_BYTES
    finally:
        os.close(descriptor)
    if begin != size or len(places) != shard.total:
        raise ValueError(
            f"{str(shard.path)!r} must hold {shard.total} whole records. "
            f"Received: {len(places)} records that end at byte {begin} of {size}"
        )
    return np.array(places, np.int64).reshape(-1, 2)[shard.skip : shard.skip + shard.take]

"""A source of labelled images; images in memory; the bundled data sets."""

import abc
import hashlib

import numpy as np
import sklearn.datasets
import sklearn.model_selection
import tensorflow as tf


class Source(abc.ABC):
    """Labelled images that can be read in any order.

    If it is `encoded`, `load` returns a file (a scalar string) in one of `decoding.READ_FORMATS`
    instead of pixels.
    """

    size: int  # number of examples
    class_names: tuple[str, ...]  # a label is an index into them
    channels: int  # of a decoded image
    identifier: str  # a hash of the data, which a resumed run compares
    encoded: bool

    @abc.abstractmethod
    def load(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads an example, in TensorFlow operations."""

    @abc.abstractmethod
    def name_of(self, index: tf.Tensor) -> tf.Tensor:
        """Returns where an example comes from, for messages: a scalar string."""


def why_not_loaded(error: Exception) -> str:
    """Says in a few words why a source could not load an image."""
    # TensorFlow puts the operation and the file before the reason, and the operation after it.
    line = str(error).splitlines()[0]
    return line.partition(" [Op:")[0].rpartition("; ")[2]


class ArraySource(Source):
    """Images of one size, held in memory. `load` takes vectors of indices as well."""

    encoded = False

    def __init__(
        self, name: str, images: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]
    ):
        if labels.min() < 0 or labels.max() >= len(class_names):
            raise ValueError(
                f"`labels` must be in [0, {len(class_names)}), for {len(class_names)} classes. "
                f"Received: labels from {labels.min()} to {labels.max()}"
            )
        self.images = images
        self.labels = labels.astype(np.int64)
        self.size, height, width, self.channels = images.shape
        self.image_shape = (height, width)
        self.class_names = tuple(class_names)
        digest = hashlib.sha256(repr((name, images.shape, self.class_names)).encode())
        digest.update(np.ascontiguousarray(images).data)
        digest.update(self.labels.data)
        self.identifier = digest.hexdigest()
        self._name = name
        with tf.device("CPU"):
            self._images = tf.constant(images)
            self._labels = tf.constant(self.labels)

    def load(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(self._images, index), tf.gather(self._labels, index)

    def name_of(self, index: tf.Tensor) -> tf.Tensor:
        return tf.strings.join([f"{self._name}, example ", tf.strings.as_string(index)])


SYNTHETIC_SIZES = {"train": 2000, "test": 500}
SYNTHETIC_CLASSES = 10


def digits(split: str) -> ArraySource:
    """Returns scikit-learn's 1,797 handwritten digits, 8×8 and grey; a fifth of each are tests."""
    _check_split("digits", split, ("train", "test"))
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    images = np.round(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    parts = sklearn.model_selection.train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0
    )
    chosen = np.sort(parts[("train", "test").index(split)])
    return ArraySource(f"digits {split}", images[chosen], labels[chosen], tuple("0123456789"))


def synthetic(split: str, image_size: int) -> ArraySource:
    """Returns noisy rings around random centres: ten classes that differ in hue and ring width."""
    _check_split("synthetic", split, tuple(SYNTHETIC_SIZES))
    size = SYNTHETIC_SIZES[split]
    generator = np.random.Generator(np.random.PCG64([image_size, split == "test"]))
    labels = np.arange(size) % SYNTHETIC_CLASSES
    images = np.empty((size, image_size, image_size, 3), np.uint8)
    axis = (np.arange(image_size) + 0.5) / image_size
    for image, label in zip(images, labels, strict=True):
        row, column = generator.uniform(0.25, 0.75, size=2)
        radius = np.hypot(axis[:, None] - row, axis[None, :] - column)
        rings = np.cos(2 * np.pi * radius * (1 + label % 5))
        angles = 2 * np.pi * (label / SYNTHETIC_CLASSES + np.arange(3) / 3)
        noise = generator.normal(scale=0.15, size=image.shape)
        values = 0.5 + 0.25 * rings[..., None] * (1 + np.cos(angles)) / 2 + 0.1 * np.cos(angles)
        image[:] = np.clip(255 * (values + noise), 0, 255)
    names = tuple(f"pattern{label}" for label in range(SYNTHETIC_CLASSES))
    return ArraySource(f"synthetic {split}", images, labels, names)


def _check_split(name, split, splits):
    if split not in splits:
        raise ValueError(f"`{name}` has the splits {', '.join(splits)}. Received: split={split!r}")

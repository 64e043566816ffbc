"""What every source of images offers: its size, its classes, and any example by its index."""

import abc
import hashlib

import numpy as np
import tensorflow as tf


class Source(abc.ABC):
    """Labelled images that can be read in any order.

    Attributes:
        size: Number of examples.
        class_names: Names of the classes; a label is an index into them.
        channels: Channels of a decoded image.
        identifier: A hash of what the data are. A resumed run compares it.
        encoded: Whether `load` gives an encoded file (a scalar string) instead of pixels: one of
            `decoding.READ_FORMATS`.
    """

    size: int
    class_names: tuple[str, ...]
    channels: int
    identifier: str
    encoded: bool

    @abc.abstractmethod
    def load(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads an example, in TensorFlow operations.

        Args:
            index: int64 scalar in `[0, size)`.

        Returns:
            The image, a scalar string where `encoded`, else uint8 of shape
            `(height, width, channels)`; and the label, an int64 scalar.
        """

    @abc.abstractmethod
    def name_of(self, index: tf.Tensor) -> tf.Tensor:
        """Returns where an example comes from, for messages: a scalar string."""


class ArraySource(Source):
    """Images of one size, held in memory. `load` takes vectors of indices as well.

    Args:
        name: What the source is called in messages.
        images: uint8, shape `(size, height, width, channels)`.
        labels: Integers in `[0, len(class_names))`, shape `(size,)`.
        class_names: Names of the classes.

    Attributes:
        images: As given.
        labels: As given, int64.
        image_shape: Height and width.

    Raises:
        ValueError: If shapes, types or labels do not fit.
    """

    encoded = False

    def __init__(
        self, name: str, images: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]
    ):
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError(
                "`images` must be uint8 of shape (size, height, width, channels). "
                f"Received: images of {images.dtype} and shape {images.shape}"
            )
        if len(images) == 0 or labels.shape != (len(images),):
            raise ValueError(
                "There must be one label for each image, and at least one image. "
                f"Received: {len(images)} images and labels of shape {labels.shape}"
            )
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

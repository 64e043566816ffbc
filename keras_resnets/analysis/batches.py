"""The data of a diagnostic: arrays, or batches of any kind, as one stream of batches."""

import keras
import numpy as np

BATCH_SIZE = 128


def image_batches(data, shape=None):
    """Yields the batches of images of `data`, with or without labels, as NumPy arrays.

    Args:
        data: An array of images; a pair `(images, labels)`; or an iterable of batches, each of
            which is one or the other, such as a `tf.data.Dataset` or a list. Arrays are cut into
            batches of 128.
        shape: The shape that a batch must have, with `None` for lengths that are open; `None`
            leaves all open.

    Raises:
        TypeError: If `data` is none of these, or not of numbers.
        ValueError: If there is no image, or a batch is of another shape.
    """
    for images, _ in _pairs(data, shape):
        yield images


def labelled_batches(data, shape=None):
    """Yields `(images, labels)`, as `image_batches` does, and raises where labels are missing."""
    for images, labels in _pairs(data, shape):
        if labels is None:
            raise ValueError(
                "`data` must have labels: a pair (images, labels), or an iterable of such pairs. "
                "Received: images alone"
            )
        yield images, labels


def _pairs(data, shape):
    if isinstance(data, tuple):
        data = _cut(*_pair(data))
    elif hasattr(data, "shape"):
        data = _cut(_pair(data)[0], None)
    elif isinstance(data, (str, bytes, dict)) or not hasattr(data, "__iter__"):
        raise TypeError(
            "`data` must be an array of images, a pair (images, labels), or an iterable of "
            f"batches. Received: data={data!r}"
        )
    empty = True
    for batch in data:
        images, labels = _pair(batch)
        if len(images):
            empty = False
            _check_shape(images, shape)
            yield images, labels
    if empty:
        raise ValueError("`data` must hold at least one image. Received: none")


def _pair(batch):
    """Returns a batch as (images, labels), the labels `None` if it has none."""
    images, labels = batch, None
    if isinstance(batch, (tuple, list)):
        if len(batch) != 2:
            raise ValueError(
                "A batch must be an array of images or a pair (images, labels). "
                f"Received: a {type(batch).__name__} of {len(batch)}"
            )
        images, labels = batch
    images = _array("Images", images)
    if images.ndim != 4:
        raise ValueError(
            "Images must come as a batch of four dimensions. "
            f"Received: an array of shape {images.shape}"
        )
    if labels is not None:
        labels = _array("Labels", labels)
        count = len(labels) if labels.ndim else "no list of"
        if count != len(images):
            raise ValueError(
                f"Each image needs one label. Received: {len(images)} images and {count} labels"
            )
    return images, labels


def _array(what, values):
    """Returns an array, a tensor or a nested list of numbers as a NumPy array."""
    try:
        values = keras.ops.convert_to_numpy(values) if keras.ops.is_tensor(values) else values
        values = np.asarray(values)
    except (TypeError, ValueError) as error:  # a list of lists of several lengths
        raise TypeError(f"{what} must be arrays of numbers. Received: {values!r}") from error
    if values.dtype.kind in "USMmO":
        raise TypeError(f"{what} must be arrays of numbers. Received: values of {values.dtype}")
    return values


def _check_shape(images, shape):
    if shape is not None and not (
        len(shape) == images.ndim
        and all(wanted in (None, n) for wanted, n in zip(shape, images.shape, strict=True))
    ):
        raise ValueError(
            f"Images must be of the shape that the model takes, {tuple(shape)}. "
            f"Received: an array of shape {images.shape}"
        )


def _cut(images, labels):
    for start in range(0, len(images), BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        yield images[part] if labels is None else (images[part], labels[part])

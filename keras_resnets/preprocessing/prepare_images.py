"""What a `Preprocessing` says, done to a batch of images on any backend, eagerly or in a graph.

In a graph of TensorFlow's, as in `tf.data`, TensorFlow computes whatever the backend, as it does
for Keras's own preprocessing layers.
"""

import keras
import numpy as np

from keras_resnets.arguments import check_pair
from keras_resnets.layers.feature_map import channel_axis
from keras_resnets.preprocessing.values import is_foreign, normalize, operations

# The whole strip is resized before its centre is cut out: at 100, to 256 by 25,600 pixels.
MAX_ASPECT_RATIO = 100


def prepare_images(images, preprocessing, data_format):
    """Resizes images, cuts out their centre, and normalizes them.

    Args:
        images: A batch of values 0 to 255, of any numeric type, in the data format.
        preprocessing: A `Preprocessing`.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        A float32 tensor.

    Raises:
        ValueError: If an image is smaller than the crop, longer than 100 times its shorter side
            where that is to be resized, or has not the channels of the mean. In a graph whose
            sizes are known only when it runs, it then ends with an `InvalidArgumentError` of the
            same text.
    """
    x = operations(images).cast(images, "float32")
    x = _resize(x, preprocessing, data_format)
    x = _crop(x, preprocessing.crop, data_format)
    return normalize(x, preprocessing, channel_axis(data_format))


def prepared_size(preprocessing, height, width):
    """Returns the height and width of an image after its preprocessing; `None` if not known."""
    if preprocessing.crop is not None:
        return check_pair("crop", preprocessing.crop)
    if preprocessing.resize is not None:
        return _resized(preprocessing.resize, height, width)
    return height, width


def spatial_axes(data_format):
    """Returns the axes of a batch's height and width."""
    return (1, 2) if data_format == "channels_last" else (2, 3)


def _resize(x, preprocessing, data_format):
    if preprocessing.resize is None:
        return x
    vertical, horizontal = spatial_axes(data_format)
    shape = operations(x).shape(x)
    height, width = shape[vertical], shape[horizontal]
    if isinstance(preprocessing.resize, int):
        for short, long in ((height, width), (width, height)):
            _require(
                long <= MAX_ASPECT_RATIO * short,
                f"An image must be at most {MAX_ASPECT_RATIO} times as long as it is wide.",
                x,
            )
    size = _resized(preprocessing.resize, height, width)
    if size == (x.shape[vertical], x.shape[horizontal]):
        return x
    if is_foreign(x) or not all(isinstance(pixels, int) for pixels in size):
        x = _resize_in_graph(x, size, preprocessing, data_format)
    else:
        x = keras.ops.image.resize(
            x,
            size,
            interpolation=preprocessing.interpolation,
            antialias=preprocessing.antialias,
            data_format=data_format,
        )
    ops = operations(x)
    return ops.clip(ops.round(x), 0.0, 255.0)


def _resize_in_graph(x, size, preprocessing, data_format):
    """Resizes with TensorFlow's kernel, which Keras's operation calls too.

    It refuses a size that only the running graph knows, and a graph of another backend's.
    """
    import tensorflow as tf

    if data_format == "channels_first":
        x = tf.transpose(x, (0, 2, 3, 1))
    x = tf.image.resize(
        x,
        tf.stack(size),
        method=preprocessing.interpolation,
        antialias=preprocessing.antialias,
    )
    return tf.transpose(x, (0, 3, 1, 2)) if data_format == "channels_first" else x


def _crop(x, crop, data_format):
    if crop is None:
        return x
    shape = operations(x).shape(x)
    index = [slice(None)] * 4
    for axis, size in zip(spatial_axes(data_format), check_pair("crop", crop), strict=True):
        _require(
            shape[axis] >= size,
            f"An image must be at least as large as the crop of {size} pixels.",
            x,
        )
        start = _crop_start(shape[axis], size)
        index[axis] = slice(start, start + size)
    return x[tuple(index)]


def _resized(resize, height, width):
    """Returns the height and width after resizing; torchvision rounds the longer side down."""
    if isinstance(resize, tuple):
        return resize
    if height is None or width is None:
        return None, None
    if isinstance(height, int) and isinstance(width, int):
        if height <= width:
            return resize, resize * width // height
        return resize * height // width, resize
    short = operations(height).minimum(height, width)
    return resize * height // short, resize * width // short


def _crop_start(size, crop):
    """Returns where a crop begins; halves are rounded to even, as Python and torchvision do."""
    room = size - crop
    if isinstance(room, int):
        return int(np.round(room / 2))
    return (room + room // 2 % 2) // 2


def _require(holds, rule, x):
    """Raises if a size breaks a rule; where only the running graph knows it, when that runs."""
    if not isinstance(holds, bool):
        import tensorflow as tf

        tf.debugging.Assert(holds, [f"{rule} Received: shape=", tf.shape(x)], summarize=4)
    elif not holds:
        raise ValueError(f"{rule} Received: shape={tuple(x.shape)}")

"""A preprocessing as a Keras layer, in the graph, on any backend."""

import keras
import numpy as np

from keras_resnets.arguments import check_data_format, check_pair
from keras_resnets.layers.feature_map import channel_axis
from keras_resnets.preprocessing.preprocessing import Preprocessing
from keras_resnets.preprocessing.values import normalize


@keras.saving.register_keras_serializable(package="keras_resnets")
class ImagePreprocessing(keras.layers.Layer):
    """Does to images in the graph what a `Preprocessing` says.

    After resizing, values are rounded to whole grey levels and kept in 0 to 255, as in an image
    that Pillow has resized: that is what the published networks were trained on.

    Args:
        preprocessing: A `Preprocessing`, or the dictionary of its fields.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`: values 0 to
        255, as `uint8` or as floats.

    Output shape:
        The same with the height and width of the crop.

    Raises:
        ValueError: If an image is smaller than the crop, or the number of channels is not that of
            the mean.

    Example:

    >>> layer = keras_resnets.Preprocessing.imagenet().as_layer()
    >>> layer(np.zeros((1, 300, 400, 3), "uint8")).shape == (1, 224, 224, 3)
    True
    """

    def __init__(self, preprocessing, data_format=None, **kwargs):
        super().__init__(trainable=False, **kwargs)
        self.data_format = check_data_format("data_format", data_format)
        if isinstance(preprocessing, dict):
            preprocessing = Preprocessing.from_dict(preprocessing)
        if not isinstance(preprocessing, Preprocessing):
            raise TypeError(
                "`preprocessing` must be a Preprocessing. "
                f"Received: preprocessing={preprocessing!r}"
            )
        self.preprocessing = preprocessing
        # Pixels are not to be cast to the compute type before they are scaled.
        self.autocast = False

    def call(self, images):
        x = keras.ops.cast(images, "float32")
        x = self._resize(x)
        x = self._crop(x)
        x = normalize(x, self.preprocessing, channel_axis(self.data_format))
        return keras.ops.cast(x, self.compute_dtype)

    def compute_output_spec(self, images):
        shape = self.compute_output_shape(images.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape):
        vertical, horizontal = self._spatial_axes()
        height, width = input_shape[vertical], input_shape[horizontal]
        if self.preprocessing.resize is not None:
            height, width = _resized(self.preprocessing.resize, height, width)
        if self.preprocessing.crop is not None:
            height, width = check_pair("crop", self.preprocessing.crop)
        shape = list(input_shape)
        shape[vertical], shape[horizontal] = height, width
        return tuple(shape)

    def get_config(self):
        config = super().get_config()
        del config["trainable"]
        return {
            **config,
            "preprocessing": self.preprocessing.to_dict(),
            "data_format": self.data_format,
        }

    def _spatial_axes(self):
        return (1, 2) if self.data_format == "channels_last" else (2, 3)

    def _resize(self, x):
        if self.preprocessing.resize is None:
            return x
        vertical, horizontal = self._spatial_axes()
        shape = keras.ops.shape(x)
        size = _resized(self.preprocessing.resize, shape[vertical], shape[horizontal])
        if not all(isinstance(pixels, int) for pixels in size):
            x = self._resize_in_graph(x, size)
        elif size == (x.shape[vertical], x.shape[horizontal]):
            return x
        else:
            x = keras.ops.image.resize(
                x,
                size,
                interpolation=self.preprocessing.interpolation,
                antialias=self.preprocessing.antialias,
                data_format=self.data_format,
            )
        return keras.ops.clip(keras.ops.round(x), 0.0, 255.0)

    def _resize_in_graph(self, x, size):
        """Resizes to a size that only the running graph knows, which Keras's operation refuses.

        Only TensorFlow has such graphs; its kernel is the one that Keras's operation calls.
        """
        import tensorflow as tf

        if self.data_format == "channels_first":
            x = tf.transpose(x, (0, 2, 3, 1))
        x = tf.image.resize(
            x,
            tf.stack(size),
            method=self.preprocessing.interpolation,
            antialias=self.preprocessing.antialias,
        )
        return tf.transpose(x, (0, 3, 1, 2)) if self.data_format == "channels_first" else x

    def _crop(self, x):
        if self.preprocessing.crop is None:
            return x
        shape = keras.ops.shape(x)
        index = [slice(None)] * 4
        for axis, size in zip(
            self._spatial_axes(), check_pair("crop", self.preprocessing.crop), strict=True
        ):
            if isinstance(shape[axis], int) and shape[axis] < size:
                raise ValueError(
                    f"An image must be at least as large as the crop of {size} pixels. "
                    f"Received: shape={tuple(x.shape)}"
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
    short = keras.ops.minimum(height, width)
    return resize * height // short, resize * width // short


def _crop_start(size, crop):
    """Returns where a crop begins; halves are rounded to even, as Python and torchvision do."""
    room = size - crop
    if isinstance(room, int):
        return int(np.round(room / 2))
    return (room + room // 2 % 2) // 2

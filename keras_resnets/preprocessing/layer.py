"""A preprocessing as a Keras layer, in the graph, on any backend."""

import keras

from keras_resnets.arguments import check_data_format
from keras_resnets.preprocessing.grey_levels import check_grey_levels
from keras_resnets.preprocessing.prepare_images import prepare_images, prepared_size, spatial_axes
from keras_resnets.preprocessing.preprocessing import Preprocessing
from keras_resnets.preprocessing.values import is_foreign, operations


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
        ValueError: If an image is smaller than the crop, or longer than 100 times its shorter side
            where that is to be resized; the number of channels is not that of the mean; or values
            were scaled or normalized before. A graph whose sizes are known only when it runs then
            ends with an `InvalidArgumentError`; values within a graph are not looked at.

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

    def __call__(self, images, *args, **kwargs):
        # Keras would try to make a tensor of the backend's of it.
        return (
            self.call(images) if is_foreign(images) else super().__call__(images, *args, **kwargs)
        )

    def call(self, images):
        check_grey_levels("images", images)
        x = prepare_images(images, self.preprocessing, self.data_format)
        return operations(x).cast(x, self.compute_dtype)

    def compute_output_spec(self, images):
        shape = self.compute_output_shape(images.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape):
        vertical, horizontal = spatial_axes(self.data_format)
        shape = list(input_shape)
        shape[vertical], shape[horizontal] = prepared_size(
            self.preprocessing, shape[vertical], shape[horizontal]
        )
        return tuple(shape)

    def get_config(self):
        config = super().get_config()
        del config["trainable"]
        return {
            **config,
            "preprocessing": self.preprocessing.to_dict(),
            "data_format": self.data_format,
        }

"""From pixels to a model's input, as `keras.applications` spells it."""

import keras
import numpy as np

from keras_resnets.arguments import check_choice, check_data_format
from keras_resnets.preprocessing.grey_levels import check_grey_levels
from keras_resnets.preprocessing.model import required_preprocessing
from keras_resnets.preprocessing.preprocessing import Preprocessing
from keras_resnets.preprocessing.values import is_foreign, normalize, operations

# As `keras.applications.imagenet_utils.preprocess_input` has them; sizes are not its business.
MODES = {
    "caffe": Preprocessing.imagenet_caffe(resize=None, crop=None),
    "tf": Preprocessing(value_range=(-1.0, 1.0)),
    "torch": Preprocessing.imagenet(resize=None, crop=None),
}


def preprocess_input(x, mode=None, data_format=None):
    """Maps RGB images of values 0 to 255 to what a model reads; sizes are left as they are.

    Unlike its namesakes in `keras.applications`, it never writes into `x`, has no mode by default,
    which could be another model's, and refuses values that were scaled or normalized before. Only
    of a tensor in a graph, as within `tf.function` or `Dataset.map`, it cannot know the values.

    Args:
        x: Images of values 0 to 255: an array or tensor `(height, width, channels)` or
            `(batch, height, width, channels)`, of integers or floats; channels first if so asked.
        mode: A model of the zoo, for the preprocessing that it carries, or for none if it scales
            its images itself (see `model_preprocessing`); a `Preprocessing`; or
            `"caffe"` (BGR, less ImageNet's mean colour), `"tf"` (-1 to 1) or `"torch"` (0 to 1,
            normalized by ImageNet's mean and standard deviation).
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.

    Returns:
        A new `float32` array, or a tensor if `x` is one.

    Raises:
        ValueError: If `x` has another rank, holds values outside of 0 to 255 or only fractions
            from 0 to 1; if there is no such mode, or the model notes no preprocessing.

    Example:

    >>> image = np.full((32, 32, 3), 255, "uint8")
    >>> [float(value) for value in keras_resnets.preprocess_input(image, "tf")[0, 0]]
    [1.0, 1.0, 1.0]
    """
    preprocessing = _preprocessing(mode)
    data_format = check_data_format("data_format", data_format)
    is_tensor = keras.ops.is_tensor(x) or keras.backend.is_keras_tensor(x) or is_foreign(x)
    if not is_tensor:
        x = np.asarray(x)
    check_grey_levels("x", x)
    if len(x.shape) not in (3, 4):
        raise ValueError(
            "`x` must be an image or a batch of images, of rank 3 or 4. "
            f"Received: x.shape={tuple(x.shape)}"
        )
    x = operations(x).cast(x, "float32") if is_tensor else x.astype("float32")
    return normalize(x, preprocessing, axis=-1 if data_format == "channels_last" else -3)


def _preprocessing(mode):
    if isinstance(mode, Preprocessing):
        return mode
    if isinstance(mode, keras.Model):
        return required_preprocessing(mode)
    if mode is None:
        raise ValueError(
            "`mode` must say what the images are for: the model itself, a `Preprocessing`, or "
            f"{', '.join(map(repr, MODES))}. Received: mode=None"
        )
    return MODES[check_choice("mode", mode, MODES)]

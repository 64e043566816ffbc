"""From pixels to a model's input, as `keras.applications` spells it."""

import keras
import numpy as np

from keras_resnets.arguments import check_choice, check_data_format
from keras_resnets.preprocessing.grey_levels import check_grey_levels
from keras_resnets.preprocessing.model import model_preprocessing, preprocesses_itself
from keras_resnets.preprocessing.preprocessing import Preprocessing
from keras_resnets.preprocessing.values import normalize

# As `keras.applications.imagenet_utils.preprocess_input` has them; sizes are not its business.
MODES = {
    "caffe": Preprocessing.imagenet_caffe(resize=None, crop=None),
    "tf": Preprocessing(value_range=(-1.0, 1.0)),
    "torch": Preprocessing.imagenet(resize=None, crop=None),
}


def preprocess_input(x, mode, data_format=None):
    """Maps RGB images of values 0 to 255 to what a model reads; sizes are left as they are.

    Unlike its namesakes in `keras.applications`, it never writes into `x`, has no default that
    could be another model's, and refuses values that were scaled or normalized before. Only of a
    tensor in a graph, as within `tf.function` or `Dataset.map`, it cannot know the values.

    Args:
        x: Images of values 0 to 255: an array or tensor `(height, width, channels)` or
            `(batch, height, width, channels)`, of integers or floats; channels first if so asked.
        mode: A model of the zoo, for the preprocessing that it carries; a `Preprocessing`; or
            `"caffe"` (BGR, less ImageNet's mean colour), `"tf"` (-1 to 1) or `"torch"` (0 to 1,
            normalized by ImageNet's mean and standard deviation).
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.

    Returns:
        A new `float32` array, or a tensor if `x` is one.

    Raises:
        ValueError: If `x` has another rank, holds values outside of 0 to 255 or only fractions
            from 0 to 1; if the mode is not known, or the model says nothing or preprocesses its
            input itself.

    Example:

    >>> image = np.full((32, 32, 3), 255, "uint8")
    >>> [float(value) for value in keras_resnets.preprocess_input(image, "tf")[0, 0]]
    [1.0, 1.0, 1.0]
    """
    preprocessing = _preprocessing(mode)
    data_format = check_data_format("data_format", data_format)
    is_tensor = keras.ops.is_tensor(x) or keras.backend.is_keras_tensor(x)
    if not is_tensor:
        x = np.asarray(x)
    check_grey_levels("x", x)
    if len(x.shape) not in (3, 4):
        raise ValueError(
            "`x` must be an image or a batch of images, of rank 3 or 4. "
            f"Received: x.shape={tuple(x.shape)}"
        )
    x = keras.ops.cast(x, "float32") if is_tensor else x.astype("float32")
    return normalize(x, preprocessing, axis=-1 if data_format == "channels_last" else -3)


def _preprocessing(mode):
    if isinstance(mode, Preprocessing):
        return mode
    if not isinstance(mode, keras.Model):
        return MODES[check_choice("mode", mode, MODES)]
    if preprocesses_itself(mode):
        raise ValueError(
            "A model with a preprocessing layer takes images as they are. "
            f"Received: mode={mode.name!r}"
        )
    preprocessing = model_preprocessing(mode)
    if preprocessing is None:
        raise ValueError(
            "The model does not say what it eats: give it a preprocessing with "
            f"`set_preprocessing`, or name one here. Received: mode={mode.name!r}"
        )
    return preprocessing

"""From image files to names: the whole way."""

import os
import warnings

import keras
import numpy as np

from keras_resnets.arguments import (
    check_choice,
    check_data_format,
    check_positive_int,
    check_regular_file,
)
from keras_resnets.command_start import imports_of_the_command
from keras_resnets.layers.classifier import check_class_names
from keras_resnets.layers.feature_map import channel_axis
from keras_resnets.preprocessing.model import model_class_names, required_preprocessing
from keras_resnets.preprocessing.predictions import (
    check_outputs,
    decode_predictions,
    number_of_classes,
    score_function,
)
from keras_resnets.preprocessing.preprocessing import (
    Preprocessing,
    check_grey_levels,
    is_foreign,
    normalize,
    operations,
    prepare_images,
)

PILLOW_MODES = {1: "L", 3: "RGB"}


def decode_image(path, channels=3):
    """Reads an image's first frame as RGB or grey, upright, on white, with 8 bits a channel."""
    check_choice("channels", channels, PILLOW_MODES)
    with imports_of_the_command():
        from PIL import Image, ImageOps
    check_regular_file(path)
    with open(path, "rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(file) as image:
                    image = _of_8_bits(ImageOps.exif_transpose(image), Image)
                    image = image.convert(PILLOW_MODES[channels])
                    pixels = np.asarray(image)
        except Exception as error:  # Pillow's decoders raise without a common base
            raise ValueError(
                f"An image must be a file that Pillow can read ({error}). "
                f"Received: {os.fspath(path)!r}"
            ) from error
    return pixels.reshape(*pixels.shape[:2], channels)


def _of_8_bits(image, image_module):
    """Returns an opaque image of 8 bits a channel."""
    if image.mode.startswith("I") or image.mode == "F":  # which Pillow's conversion would clip
        levels = np.asarray(image)
        if image.mode == "F" or levels.min() < 0 or levels.max() > 65535:
            raise ValueError("its grey levels are not whole numbers of 8 or 16 bits")
        return image_module.fromarray(np.round(levels / 257.0).astype("uint8"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = image_module.new("RGBA", image.size, "white")
        return image_module.alpha_composite(white, image)
    return image


# As `keras.applications.imagenet_utils.preprocess_input` has them, which leaves sizes as they are.
MODES = {
    "caffe": Preprocessing.imagenet_caffe(resize=None, crop=None),
    "tf": Preprocessing(value_range=(-1.0, 1.0)),
    "torch": Preprocessing.imagenet(resize=None, crop=None),
}


def preprocess_input(x, mode=None, data_format=None):
    """Maps RGB images of values 0 to 255 to what a model reads; sizes are left as they are.

    Unlike its namesakes in `keras.applications`, it never writes into `x`, has no default mode, and
    refuses values that are already scaled or normalized. It cannot check a tensor in a graph, as
    within `tf.function` or `Dataset.map`.

    Args:
        x: Images of values 0 to 255: an array or tensor `(height, width, channels)` or
            `(batch, height, width, channels)`, of integers or floats; channels first if so asked.
        mode: A model of the zoo, for its preprocessing (see `model_preprocessing`); a
            `Preprocessing`; or
            `"caffe"` (BGR, less ImageNet's mean colour), `"tf"` (-1 to 1) or `"torch"` (0 to 1,
            normalized by ImageNet's mean and standard deviation).
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.

    Returns:
        A new `float32` array, or a tensor if `x` is one.

    Raises:
        ValueError: If `x` has another rank, or holds values outside of 0 to 255 or only fractions
            from 0 to 1; if the mode is not known, or the model carries no preprocessing.

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


# Within `Dataset.map`, AutoGraph has nothing to convert here, and warns of what it cannot.
preprocess_input.autograph_info__ = {}  # type: ignore[attr-defined]


def classify(model, images, top=5, class_names=None, batch_size=32, scores=None):
    """Classifies images: decodes, preprocesses, predicts, and names the classes.

    Args:
        model: A model of the zoo with its top, that carries a preprocessing (see
            `set_preprocessing`) or scales its images itself (see `model_preprocessing`).
        images: A path, an RGB array `(height, width, 3)` of values 0 to 255, or a list of
            such, of any sizes up to 100 times as long as wide; or a batch of images in one array.
            A model of one channel takes grey arrays, and files as grey.
        top: How many classes to return of each image, at most.
        class_names: Name of each class; `None` for those that the model carries (see
            `set_class_names`), or else ImageNet's 1000. For a model of one unit, which gives the
            probability of the second of two classes: both names, or the second's alone.
        batch_size: How many images to predict at once.
        scores: How logits become probabilities: `"softmax"`, where one class is right, or
            `"sigmoid"`, where several may be; by default softmax, and sigmoid for a single unit.
            `"probabilities"` takes the outputs as they are, where the last layer does not show
            that they are probabilities, as a `Lambda`.

    Returns:
        For each image a list of the `top` best `Prediction(class_id, name, score)`. The scores are
        probabilities; the outputs of a linear last layer are taken for logits.

    Raises:
        ValueError: If the model is not a classifier or does not carry a preprocessing, its outputs
            are neither probabilities nor logits, its classes have no names, a file is not an image,
            or an array does not hold grey levels 0 to 255.
        FileNotFoundError: If a file does not exist.
        TypeError: If an image is neither a path nor an array.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing.imagenet(32, 32))
    >>> image = np.zeros((48, 64, 3), "uint8")
    >>> [prediction] = keras_resnets.classify(model, image, class_names=[*"abcdefghij"], top=3)
    >>> len(prediction)
    3
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a keras.Model, such as `keras.saving.load_model` opens from a file. "
            f"Received: model={model!r}"
        )
    top = check_positive_int("top", top)
    batch_size = check_positive_int("batch_size", batch_size)
    classes = number_of_classes(model)
    score_function(model, scores)  # raises before any image is read
    if len(model.input_shape) != 4:
        raise ValueError(
            "`model` must be a classifier of images, a batch of four axes. "
            f"Received: model={model.name!r}, which takes {model.input_shape}"
        )
    preprocessing = required_preprocessing(model)
    channels_at = channel_axis(keras.config.image_data_format())
    channels = model.input_shape[channels_at]
    if class_names is not None:
        check_class_names(class_names, classes)
    else:
        class_names = model_class_names(model)
    if class_names is None and classes != 1000:
        raise ValueError(
            "`class_names` must name the classes of a model that carries no names (see "
            "`set_class_names`) and has not ImageNet's 1000 classes. "
            f"Received: class_names=None, a model with {classes} classes"
        )
    images = _as_list(images)
    rows: list = []
    batch: list = []
    for index, image in enumerate(images):
        pixels = _pixels(image, index, channels)[None]
        try:
            prepared = prepare_images(pixels, preprocessing, "channels_last")
        except ValueError as error:
            raise ValueError(f"{error} of image {index}") from error
        prepared = np.moveaxis(keras.ops.convert_to_numpy(prepared), -1, channels_at)
        if len(batch) == batch_size or (batch and batch[0].shape != prepared.shape):
            rows, batch = rows + _predict(model, batch, scores), []
        batch.append(prepared)
    rows += _predict(model, batch, scores) if batch else []
    preds = np.reshape(rows, (len(images), classes))
    return decode_predictions(preds, top=top, class_names=class_names)


def _as_list(images):
    if isinstance(images, (str, os.PathLike)):
        return [images]
    if isinstance(images, (list, tuple)):
        return images
    array = _as_array(images)
    if array is None or array.ndim not in (3, 4):
        raise TypeError(
            "`images` must be a path, an array of an image or of a batch, or a list of such. "
            f"Received: {type(images).__name__}"
            f"{'' if array is None else f' of shape {array.shape}'}"
        )
    return [array] if array.ndim == 3 else list(array)


def _as_array(value):
    """Returns numbers as an array; `None` if they are none."""
    try:
        array = np.asarray(keras.ops.convert_to_numpy(value))
    except (TypeError, ValueError):
        return None
    return array if array.dtype.kind in "iuf" else None


def _pixels(image, index, channels):
    if isinstance(image, (str, os.PathLike)):
        return decode_image(image, channels)
    array = _as_array(image)
    if array is None:
        raise TypeError(f"An image must be a path or an array of numbers. Received: image {index}")
    if array.ndim != 3 or array.shape[2] != channels or not array.size:
        raise ValueError(
            f"An image must have the shape (height, width, {channels}). "
            f"Received: image {index} of shape {array.shape}"
        )
    check_grey_levels(f"images[{index}]", array)
    return array


def _predict(model, batch, scores):
    outputs = model.predict_on_batch(np.concatenate(batch))
    check_outputs(model, outputs, scores)
    function = score_function(model, scores)
    if function is not None:
        outputs = getattr(keras.ops, function)(outputs.astype("float32"))
    return list(keras.ops.convert_to_numpy(outputs))

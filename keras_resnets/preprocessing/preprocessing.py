"""How images are prepared for a network: the value, its layer, and the function."""

import dataclasses
import math
import numbers
import sys
from types import SimpleNamespace
from typing import Any, Literal

import keras
import numpy as np

from keras_resnets.arguments import (
    check_bool,
    check_choice,
    check_data_format,
    check_pair,
    check_positive_int,
)
from keras_resnets.layers.feature_map import channel_axis


def normalize(x, preprocessing, axis):
    """Maps 0 to 255 to the value range, orders the channels, and normalizes them."""
    channels = x.shape[axis]
    axis %= len(x.shape)
    is_array = isinstance(x, np.ndarray)
    low, high = preprocessing.value_range
    x = x * ((high - low) / 255.0) + low
    if preprocessing.channel_order == "bgr":
        if channels != 3:
            raise ValueError(
                f"`channel_order='bgr'` needs images of three channels. Received: {channels}"
            )
        x = np.flip(x, axis) if is_array else operations(x).flip(x, axis)
    mean = _per_channel("mean", preprocessing.mean, channels, axis, len(x.shape))
    std = _per_channel("std", preprocessing.std, channels, axis, len(x.shape))
    if not is_array:  # a torch tensor takes no NumPy array beside it
        mean, std = map(operations(x).convert_to_tensor, (mean, std))
    return (x - mean) / std


def _per_channel(name, values, channels, axis, rank):
    if len(values) not in (1, channels):
        raise ValueError(
            f"Images must have as many channels as `{name}` has numbers, {len(values)}. "
            f"Received: {channels} channels"
        )
    shape = [1] * rank
    shape[axis] = len(values)
    return np.asarray(values, "float32").reshape(shape)


def is_foreign(x):
    """Whether `x` is of a TensorFlow graph, as in `tf.data`, while Keras has another backend."""
    if keras.backend.backend() == "tensorflow" or "tensorflow" not in sys.modules:
        return False
    import tensorflow as tf

    return tf.is_symbolic_tensor(x)


def operations(x):
    """Returns `keras.ops`; TensorFlow's operations of these names for a foreign tensor."""
    if not is_foreign(x):
        return keras.ops
    import tensorflow as tf

    return SimpleNamespace(
        cast=tf.cast,
        clip=tf.clip_by_value,
        convert_to_tensor=tf.convert_to_tensor,
        flip=lambda x, axis: tf.reverse(x, [axis]),
        minimum=tf.minimum,
        round=tf.round,
        shape=lambda x: [
            tf.shape(x)[axis] if size is None else size for axis, size in enumerate(x.shape)
        ],
    )


def check_grey_levels(name, x):
    """Raises if `x` does not hold grey levels 0 to 255, as far as it has values yet."""
    x = _values(x)
    if x is None or not x.size or x.dtype == np.uint8:
        return
    if x.dtype.kind not in "iuf":
        raise ValueError(f"`{name}` must hold numbers. Received: an array of {x.dtype}")
    low, high = x.min(), x.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"`{name}` must hold grey levels 0 to 255. Received: NaN or infinity")
    if not (low >= 0 and high <= 255):
        raise ValueError(
            f"`{name}` must hold grey levels 0 to 255; these values are already normalized. "
            f"Received: values from {low} to {high}"
        )
    if x.dtype.kind == "f" and 0 < high <= 1 and np.any(x % 1):
        raise ValueError(
            f"`{name}` must hold grey levels 0 to 255; these values are already scaled to 0 to 1. "
            f"Received: values from {low} to {high}"
        )


def _values(x):
    """Returns the values as an array that NumPy computes with; `None` if there are none yet."""
    if is_foreign(x):
        return None
    if not keras.ops.is_tensor(x):
        return None if keras.backend.is_keras_tensor(x) else np.asarray(x)
    if keras.backend.standardize_dtype(x.dtype) == "bfloat16":
        x = keras.ops.cast(x, "float32")
    try:
        return keras.ops.convert_to_numpy(x)
    except (NotImplementedError, TypeError):  # TensorFlow's and JAX's, within a function's graph
        return None


# The whole strip is resized before its centre is cut out: at 100, to 256 by 25,600 pixels.
MAX_ASPECT_RATIO = 100


def prepare_images(images, preprocessing, data_format):
    """Resizes images, cuts out their centre, and normalizes them."""
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
            rule = f"An image must be at most {MAX_ASPECT_RATIO} times as long as it is wide."
            _require(long <= MAX_ASPECT_RATIO * short, rule, x)
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
    """Resizes to a size that only the running graph knows, which Keras's operation refuses."""
    import tensorflow as tf

    if data_format == "channels_first":
        x = tf.transpose(x, (0, 2, 3, 1))
    method, antialias = preprocessing.interpolation, preprocessing.antialias
    x = tf.image.resize(x, tf.stack(size), method=method, antialias=antialias)
    return tf.transpose(x, (0, 3, 1, 2)) if data_format == "channels_first" else x


def _crop(x, crop, data_format):
    if crop is None:
        return x
    shape = operations(x).shape(x)
    index = [slice(None)] * 4
    for axis, size in zip(spatial_axes(data_format), check_pair("crop", crop), strict=True):
        room = shape[axis] - size
        _require(room >= 0, f"An image must be at least as large as the crop of {size} pixels.", x)
        start = (room + room // 2 % 2) // 2  # halves to even, as Python and torchvision round
        index[axis] = slice(start, start + size)
    return x[tuple(index)]


def _resized(resize, height, width):
    """Returns the height and width after resizing; torchvision rounds the longer side down."""
    if isinstance(resize, tuple):
        return resize
    if height is None or width is None:
        return None, None
    are_known = isinstance(height, int) and isinstance(width, int)
    short = min(height, width) if are_known else operations(height).minimum(height, width)
    return resize * height // short, resize * width // short


def _require(holds, rule, x):
    """Raises if a size breaks a rule; where only the running graph knows it, when that runs."""
    if not isinstance(holds, bool):
        import tensorflow as tf

        tf.debugging.Assert(holds, [f"{rule} Received: shape=", tf.shape(x)], summarize=4)
    elif not holds:
        raise ValueError(f"{rule} Received: shape={tuple(x.shape)}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What is done to an image before a model sees it.

    In this order: the image is resized, its centre is cropped, its values 0 to 255 are mapped to
    `value_range`, its channels are put in order, and each channel is normalized. An instance is
    immutable and compares by value.

    Args:
        resize: Size in pixels: an integer for the shorter side, where the longer one follows,
            rounded down; a pair for (height, width); `None` for no resizing.
        crop: Size of the central crop in pixels: an integer or a pair; `None` for no crop.
        interpolation: How to resize: `"nearest"`, `"bilinear"` or `"bicubic"`.
        antialias: Whether the filter widens where the image shrinks, as Pillow's always does.
        value_range: What 0 and 255 become, before the normalization.
        mean: Mean of each channel, in the units of `value_range` and in `channel_order`; a single
            number holds for every channel.
        std: Standard deviation of each channel, as `mean`.
        channel_order: `"rgb"`, or `"bgr"` where the model's first channel is blue.

    Raises:
        ValueError: If a value is not allowed or contradicts another.
        TypeError: If a value is of another type.

    Example:

    >>> preprocessing = keras_resnets.Preprocessing.imagenet()
    >>> preprocessing.resize, preprocessing.crop, preprocessing.mean
    (256, 224, (0.485, 0.456, 0.406))
    """

    resize: int | tuple[int, int] | None = None
    crop: int | tuple[int, int] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    antialias: bool = True
    value_range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channel_order: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self):
        for check, names in (
            (_size, ("resize", "crop")),
            (_numbers, ("value_range", "mean", "std")),
        ):
            for name in names:
                object.__setattr__(self, name, check(name, getattr(self, name)))
        check_choice("interpolation", self.interpolation, ("nearest", "bilinear", "bicubic"))
        check_bool("antialias", self.antialias)
        check_choice("channel_order", self.channel_order, ("rgb", "bgr"))
        low, *high = self.value_range
        if len(high) != 1 or low >= high[0]:
            raise ValueError(
                "`value_range` must be a pair, the lower number first. "
                f"Received: value_range={self.value_range}"
            )
        if min(self.std) <= 0:
            raise ValueError(f"`std` must be positive. Received: std={self.std}")
        if len({1, len(self.mean), len(self.std)}) > 2:
            raise ValueError(
                "`mean` and `std` must have one number a channel. "
                f"Received: mean={self.mean}, std={self.std}"
            )
        if self.resize is not None and self.crop is not None:
            cropped = check_pair("crop", self.crop)
            resized = check_pair("resize", self.resize)  # of an integer, the least
            if resized[0] < cropped[0] or resized[1] < cropped[1]:
                raise ValueError(
                    "`crop` must fit into what `resize` leaves. "
                    f"Received: resize={self.resize}, crop={self.crop}"
                )

    @classmethod
    def imagenet(cls, resize=256, crop=224, interpolation="bilinear") -> "Preprocessing":
        """Returns torchvision's: RGB from 0 to 1, normalized by ImageNet's mean and deviation."""
        return cls(
            resize=resize,
            crop=crop,
            interpolation=interpolation,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        )

    @classmethod
    def imagenet_caffe(cls, resize=256, crop=224, interpolation="bilinear") -> "Preprocessing":
        """Returns the original networks': BGR from 0 to 255, less ImageNet's mean colour."""
        return cls(
            resize=resize,
            crop=crop,
            interpolation=interpolation,
            value_range=(0.0, 255.0),
            mean=(103.939, 116.779, 123.68),
            channel_order="bgr",
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocessing":
        """Returns what `to_dict` wrote; an unknown field is an error."""
        if not isinstance(values, dict):
            raise TypeError(
                f"`values` must be a dictionary, as `to_dict` returns. Received: values={values!r}"
            )
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(
                    f"A preprocessing has the fields {', '.join(known)}. Received: {name!r}"
                )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as values that JSON knows."""
        fields = dataclasses.asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in fields.items()
        }

    def as_layer(self, data_format=None, name=None):
        """Returns a Keras layer that preprocesses images 0 to 255, on any backend.

        It takes `uint8` or float batches `(batch, height, width, channels)` of any size and
        returns floats, so that a model with it in front takes decoded images.

        Args:
            data_format: `"channels_last"` or `"channels_first"`; `None` takes
                `keras.config.image_data_format()`.
            name: Name of the layer.
        """
        return ImagePreprocessing(self.to_dict(), data_format=data_format, name=name)


def _size(name, value):
    if value is None:
        return None
    if isinstance(value, (tuple, list)):
        return check_pair(name, value)
    return check_positive_int(name, value)


def _numbers(name, value):
    values = (value,) if isinstance(value, numbers.Real) else value
    is_sequence = isinstance(values, (tuple, list)) and values
    if not is_sequence or not all(map(_is_number, values)):
        raise TypeError(f"`{name}` must be numbers, in a tuple. Received: {name}={value!r}")
    if not all(map(math.isfinite, values)):
        raise ValueError(f"`{name}` must be finite. Received: {name}={value!r}")
    return tuple(map(float, values))


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


@keras.saving.register_keras_serializable(package="keras_resnets")
class ImagePreprocessing(keras.layers.Layer):
    """Preprocesses images in the graph as a `Preprocessing` says.

    After resizing, values are rounded to whole grey levels and clipped to 0 to 255, as in an image
    that Pillow has resized: the published networks were trained on those.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)`: values 0 to
        255, as `uint8` or as floats.

    Output shape:
        The same with the height and width of the crop.

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
        if is_foreign(images):  # Keras would try to make a tensor of the backend's of it
            return self.call(images)
        return super().__call__(images, *args, **kwargs)

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

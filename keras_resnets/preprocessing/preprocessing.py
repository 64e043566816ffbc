"""What is done to an image before a model sees it, as data."""

import dataclasses
import math
import numbers
from typing import Any, Literal

from keras_resnets.arguments import check_bool, check_choice, check_pair, check_positive_int

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
CHANNEL_ORDERS = ("rgb", "bgr")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What is done to an image before a model sees it.

    In this order: the image is resized, its centre is cut out, its values 0 to 255 are mapped to
    `value_range`, its channels are put in order, and each channel has its mean subtracted and is
    divided by its standard deviation. An instance is immutable and compares by value;
    `dataclasses.replace` varies it.

    Args:
        resize: What the image is resized to, in pixels: an integer for its shorter side, where the
            longer one follows, rounded down; a pair for (height, width); `None` to leave it.
        crop: What is then cut out of the centre, in pixels: an integer or a pair; `None` for all.
        interpolation: How to resize: `"nearest"`, `"bilinear"` or `"bicubic"`.
        antialias: Whether the filter widens where the image shrinks, as Pillow's always does.
        value_range: What 0 and 255 become, before the normalization.
        mean: Mean of each channel, in the units of `value_range` and in `channel_order`; none
            or a single number holds for every channel.
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
        self._set("resize", _size("resize", self.resize))
        self._set("crop", _size("crop", self.crop))
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        check_bool("antialias", self.antialias)
        self._set("value_range", _numbers("value_range", self.value_range))
        self._set("mean", _numbers("mean", self.mean))
        self._set("std", _numbers("std", self.std))
        check_choice("channel_order", self.channel_order, CHANNEL_ORDERS)
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
            # Of an integer both sides are at least as long.
            present = check_pair("resize", self.resize)
            if present[0] < cropped[0] or present[1] < cropped[1]:
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
        """Returns a Keras layer that does all this to images 0 to 255, on any backend.

        It takes `uint8` or float batches `(batch, height, width, channels)` of any size and puts
        out floats, so that a model with it in front eats what a decoder puts out.

        Args:
            data_format: `"channels_last"` or `"channels_first"`; `None` takes
                `keras.config.image_data_format()`.
            name: Name of the layer.
        """
        from keras_resnets.preprocessing.layer import ImagePreprocessing

        return ImagePreprocessing(self.to_dict(), data_format=data_format, name=name)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def _size(name, value):
    if value is None:
        return None
    if isinstance(value, (tuple, list)):
        return check_pair(name, value)
    return check_positive_int(name, value)


def _numbers(name, value):
    values = (value,) if isinstance(value, numbers.Real) else value
    if not isinstance(values, (tuple, list)) or not values:
        raise TypeError(f"`{name}` must be numbers, in a tuple. Received: {name}={value!r}")
    for number in values:
        if isinstance(number, bool) or not isinstance(number, numbers.Real):
            raise TypeError(f"`{name}` must be numbers, in a tuple. Received: {name}={value!r}")
        if not math.isfinite(number):
            raise ValueError(f"`{name}` must be finite. Received: {name}={value!r}")
    return tuple(float(number) for number in values)

"""From a spec to a functional model with new weights: input, stem, stages, head."""

import re

import keras
import numpy as np

from keras_resnets.architecture.plan import BLOCKS, make_plan, stem_layer
from keras_resnets.architecture.spec import STEMS, ResNetSpec
from keras_resnets.arguments import (
    check_activation,
    check_bool,
    check_choice,
    check_name,
    check_positive_int,
)
from keras_resnets.layers import (
    AveragePooling2D,
    BlurPooling2D,
    Classifier,
    ConvNorm,
    SymmetricMaxPooling2D,
)
from keras_resnets.layers.conv_norm import network_norm
from keras_resnets.layers.feature_map import channel_axis, in_order

NETWORK_NAMES = (
    r"stem_(conv|activation)\d*|stem_(pool|blur)|stage\d+_block\d+|post_(norm|activation)|"
    r"(avg|max)_pool|predictions"
)


def build_network(spec, *arguments, **options):
    """Builds a model with new weights; the arguments are those of `prepare_network`."""
    return prepare_network(spec, *arguments, **options)(spec)


def prepare_network(
    spec,
    include_top=True,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name=None,
):
    """Checks the arguments of `build_model`; returns what builds a model of the spec.

    A weights file may change options of the spec, and the default of `classes`, in between.
    """
    if not isinstance(spec, ResNetSpec):
        raise TypeError(f"`spec` must be a ResNetSpec. Received: spec={spec!r}")
    check_bool("include_top", include_top)
    check_name("name", name)
    check_choice("pooling", pooling, (None, "avg", "max"))
    _check_head(include_top, pooling, classes, classifier_activation)
    if classes is not None:
        classes = check_positive_int("classes", classes)
    image, inputs = _model_inputs(spec, input_tensor, input_shape, include_top)

    def build(spec, default_classes=None):
        x = _stem(image, spec)
        for block in make_plan(spec).blocks():
            x = BLOCKS[spec.block](**block.arguments, name=block.name)(x)
        if spec.pre_activation:
            x = network_norm("post_norm")(x)
            x = keras.layers.Activation(spec.activation, name="post_activation")(x)
        units = classes or default_classes or STEMS[spec.stem].classes
        outputs = _head(x, include_top, pooling, units, classifier_activation)
        return keras.Model(inputs, outputs, name=name)

    return build


def _stem(x, spec):
    stem = STEMS[spec.stem]
    rows = zip(stem.filters(spec.stem_filters), stem.kernel_sizes, stem.strides, strict=True)
    for number, row in enumerate(rows, 1):
        is_activated = number < len(stem.strides) or not spec.pre_activation
        options = {"normalize": is_activated, "use_bias": spec.pre_activation == "keras"}
        x = ConvNorm(*row, **options, name=stem_layer("conv", number))(x)
        if is_activated:
            x = keras.layers.Activation(spec.activation, name=stem_layer("activation", number))(x)
    if stem.pool_stride == 1:
        return x
    if spec.anti_alias == "average":
        return AveragePooling2D(stem.pool_stride, name="stem_pool")(x)
    strides = 1 if spec.anti_alias == "blur" else stem.pool_stride
    pads = spec.pre_activation == "keras"
    x = SymmetricMaxPooling2D(3, strides=strides, pads_zeros=pads, name="stem_pool")(x)
    if spec.anti_alias == "blur":
        x = BlurPooling2D(stem.pool_stride, name="stem_blur")(x)
    return x


def _head(x, include_top, pooling, classes, activation):
    if include_top or pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    elif pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(name="max_pool")(x)
    if include_top:
        is_half = keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16")
        dtype = "float32" if is_half else None
        x = Classifier(classes, activation=activation, dtype=dtype, name="predictions")(x)
    return x


def _check_head(include_top, pooling, classes, classifier_activation):
    if include_top:
        if pooling is not None:
            raise ValueError(
                "`pooling` belongs to include_top=False; the top has its own average pooling. "
                f"Received: pooling={pooling!r}, include_top=True"
            )
        check_activation("classifier_activation", classifier_activation)
        return
    for name, value, default in (
        ("classes", classes, None),
        ("classifier_activation", classifier_activation, "softmax"),
    ):
        if value != default:
            raise ValueError(
                f"`{name}` belongs to include_top=True: without the top there is no classifier. "
                f"Received: {name}={value!r}, include_top=False"
            )


def _model_inputs(spec, input_tensor, input_shape, include_top):
    """Returns the image tensor that the stem reads, and the inputs of the model."""
    if input_shape is not None:
        _check_shape(input_shape)
    if input_tensor is None:
        size = STEMS[spec.stem].image_size if include_top else None
        shape = input_shape or _shape(size, size, 3)
        _check_size("input_shape", shape, spec)
        image = keras.Input(shape, name="image")
        return image, image

    if not keras.backend.is_keras_tensor(input_tensor):
        raise TypeError(
            "`input_tensor` must be a Keras tensor, such as `keras.Input(...)` or the output of a "
            f"layer. Received: input_tensor={input_tensor!r}"
        )
    if "float" not in input_tensor.dtype:
        raise ValueError(
            "`input_tensor` must hold floating-point numbers; `keras.layers.Rescaling` makes them "
            f"of integers. Received: input_tensor.dtype={input_tensor.dtype!r}"
        )
    shape = tuple(input_tensor.shape[1:])
    if len(shape) != 3 or shape[_channel_index()] is None:
        raise ValueError(
            "`input_tensor` must be a batch of images with a known number of channels. "
            f"Received: input_tensor.shape={tuple(input_tensor.shape)}"
        )
    for wanted, present in zip(input_shape or shape, shape, strict=True):
        if None not in (wanted, present) and wanted != present:
            raise ValueError(
                "`input_shape` and `input_tensor` must agree. Received: "
                f"input_shape={input_shape}, input_tensor.shape={tuple(input_tensor.shape)}"
            )
    _check_size("input_tensor.shape", shape, spec)
    sources = keras.utils.get_source_inputs(input_tensor)
    for layer in keras.Model(sources, input_tensor).layers:
        if re.fullmatch(NETWORK_NAMES, layer.name):
            raise ValueError(
                "The layers before `input_tensor` must not have names of the network's layers; "
                "a model called as a layer, `model(x)`, keeps its names to itself. "
                f"Received: input_tensor={input_tensor!r}, from a layer {layer.name!r}"
            )
    return input_tensor, sources[0] if len(sources) == 1 else sources


def _check_shape(shape):
    if not isinstance(shape, tuple) or len(shape) != 3:
        raise (ValueError if isinstance(shape, tuple) else TypeError)(
            "`input_shape` must be a tuple of three, without the batch. "
            f"Received: input_shape={shape!r}"
        )
    if shape[_channel_index()] is None:
        raise ValueError(
            f"`input_shape` must name the number of channels, in the order {_layout()}. "
            f"Received: input_shape={shape!r}"
        )
    sizes = [size for size in shape if size is not None]
    whole = all(isinstance(x, (int, np.integer)) and not isinstance(x, bool) for x in sizes)
    if not whole or min(sizes) < 1:
        raise (ValueError if whole else TypeError)(
            "`input_shape` must hold positive integers, or None for any height or width. "
            f"Received: input_shape={shape!r}"
        )


def _check_size(name, shape, spec):
    least = spec.natural_stride
    sizes = [size for axis, size in enumerate(shape) if axis != _channel_index()]
    if any(size is not None and size < least for size in sizes):
        raise ValueError(
            f"`{name}` must have a height and a width of at least {least}, the stride of this "
            f"network, in the order {_layout()}. Received: {name}={shape!r}"
        )


def _channel_index():
    return channel_axis(keras.config.image_data_format()) - 1


def _shape(height, width, channels):
    """Returns the shape of an image, or its description, in the order of the data format."""
    return in_order(keras.config.image_data_format(), None, (height, width), channels)[1:]


def _layout():
    return f"({', '.join(_shape('height', 'width', 'channels'))})"

"""From a spec to a functional model: stem, stages, head."""

import keras

from keras_resnets.arguments import (
    check_activation,
    check_bool,
    check_choice,
    check_name,
    check_positive_int,
)
from keras_resnets.layers import ConvNorm, SymmetricMaxPooling2D
from keras_resnets.models.block_arguments import block_arguments
from keras_resnets.models.inputs import model_inputs
from keras_resnets.models.spec import BLOCKS, ResNetSpec

DEFAULT_CLASSES = {"imagenet": 1000, "cifar": 10}


def build_model(
    spec,
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name=None,
):
    """Builds the functional model that a spec describes.

    The layers are flat and named for what they are: `stem_conv`, `stem_activation`, `stem_pool`,
    then `stage1_block1` and so on, then `avg_pool` and `predictions`. So
    `model.get_layer("stage3_block2").output` is that block's feature map.

    The input is a float image batch, normalized as the weights want it; no scaling is built in.
    With a 16-bit dtype policy the classifier computes, and answers, in float32.

    Args:
        spec: A `ResNetSpec`.
        include_top: Whether the model ends in pooling and classifier.
        weights: `None`; the path of a `.weights.h5` or `.keras` file of this architecture, or of
            a checkpoint of another library that `keras_resnets.convert_weights` knows; a name in
            `keras_resnets.PRESETS`, or `"imagenet"` for the best preset of this architecture,
            which are downloaded once. A `.weights.h5` file does not say which options without
            arrays (`zero_pad`, `stride_on`, `activation`, …) its network has: give them as they
            were. A `.keras` file does, and another network's is refused; the model takes over
            the preprocessing that it notes. With another number of classes the classifier begins
            anew, and to another number of channels the stem's kernel is fitted, each with a
            warning. Of another library's checkpoint the model takes the
            options that are at their default in the spec and of which the checkpoint leaves no
            choice (`shortcut`, `zero_pad`, `stride_on`), with a warning; one that was set
            otherwise is refused.
        input_tensor: A Keras tensor to use as the image; what comes before it becomes part of
            the model.
        input_shape: The image's shape without the batch, in `keras.config.image_data_format()`:
            a tuple of three. Height and width may be `None`. By default, 224×224×3 with the
            ImageNet stem and 32×32×3 with the CIFAR stem; without the top, of any size.
        pooling: Without the top: `None` for the last feature map, `"avg"` or `"max"` for its
            mean or maximum over the positions.
        classes: Number of classes. By default, 1000 with the ImageNet stem and 10 with the CIFAR
            stem. Without the top, any number is an error, where `keras.applications` ignores it.
        classifier_activation: Activation of the classifier; `None` for logits. With the top only.
        name: Name of the model.

    Returns:
        A `keras.Model` with output `(batch, classes)`; without the top, the last feature map
        `(batch, height, width, channels)`, or `(batch, channels)` with pooling.

    Raises:
        ValueError: If a value is not allowed, contradicts another or has no effect; if the
            weights do not exist or are another architecture's.
        TypeError: If a value is of another type.
        OSError: If a preset cannot be downloaded.

    Example:

    >>> spec = keras_resnets.ResNetSpec(
    ...     block="basic", repeats=(1, 1), widths=(8, 16), stem="cifar", shortcut="A"
    ... )
    >>> model = keras_resnets.build_model(spec, input_shape=(8, 8, 1), classes=10)
    >>> [layer.name for layer in model.layers][1:]
    ['stem_conv', 'stem_activation', 'stage1_block1', 'stage2_block1', 'avg_pool', 'predictions']
    """
    if not isinstance(spec, ResNetSpec):
        raise TypeError(f"`spec` must be a ResNetSpec. Received: spec={spec!r}")
    check_bool("include_top", include_top)
    check_name("name", name)
    check_choice("pooling", pooling, (None, "avg", "max"))
    _check_head(include_top, pooling, classes, classifier_activation)
    if classes is None:
        classes = DEFAULT_CLASSES[spec.stem]
    classes = check_positive_int("classes", classes)
    image, inputs = model_inputs(spec, input_tensor, input_shape, include_top)
    if weights is not None:
        # Reading files takes a third of what the package imports, and most models read none.
        from keras_resnets.models.open_weights import open_weights

        spec, load_weights = open_weights(weights, spec, name or "model")

    x = _stem(image, spec)
    x = _stages(x, spec)
    x = _head(x, include_top, pooling, classes, classifier_activation)
    model = keras.Model(inputs, x, name=name)

    if weights is not None:
        load_weights(model)
    return model


def _stem(x, spec):
    stem_is_imagenet = spec.stem == "imagenet"
    x = ConvNorm(
        spec.widths[0],
        kernel_size=7 if stem_is_imagenet else 3,
        strides=2 if stem_is_imagenet else 1,
        name="stem_conv",
    )(x)
    x = keras.layers.Activation(spec.activation, name="stem_activation")(x)
    if stem_is_imagenet:
        x = SymmetricMaxPooling2D(3, strides=2, name="stem_pool")(x)
    return x


def _stages(x, spec):
    for stage, blocks in enumerate(block_arguments(spec), 1):
        for number, arguments in enumerate(blocks, 1):
            x = BLOCKS[spec.block](**arguments, name=f"stage{stage}_block{number}")(x)
    return x


def _head(x, include_top, pooling, classes, classifier_activation):
    if include_top or pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    elif pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(name="max_pool")(x)
    if include_top:
        is_half = keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16")
        x = keras.layers.Dense(
            classes,
            activation=classifier_activation,
            dtype="float32" if is_half else None,
            name="predictions",
        )(x)
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
    if classes is not None:
        raise ValueError(
            "`classes` belongs to include_top=True: without the top there is no classifier. "
            f"Received: classes={classes!r}, include_top=False"
        )
    if classifier_activation != "softmax":
        raise ValueError(
            "`classifier_activation` belongs to include_top=True: without the top there is no "
            f"classifier. Received: classifier_activation={classifier_activation!r}, "
            "include_top=False"
        )

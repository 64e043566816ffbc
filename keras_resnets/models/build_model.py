"""A model of a spec, with weights if there are any."""

from keras_resnets.architecture.network import build_network, check_network_arguments


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
    arguments = (
        include_top,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )
    if weights is None:
        return build_network(spec, *arguments)
    check_network_arguments(spec, *arguments)  # before a file is read, or downloaded
    # Reading files takes a third of what the package imports, and most models read none.
    from keras_resnets.weights.load import open_weights

    spec, load_weights = open_weights(weights, spec, name or "model")
    model = build_network(spec, *arguments)
    load_weights(model)
    return model

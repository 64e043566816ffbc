"""The plain twins: the same networks without shortcuts."""

import dataclasses

from keras_resnets.models.builder import build_model
from keras_resnets.models.variants import VARIANTS


def PlainNet18(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="plainnet18",
    *,
    stride_on="3x3",
    stem="imagenet",
    activation="relu",
    output_stride=None,
):
    """Plain-18, the twin of ResNet-18.

    Every convolution of `ResNet18`, and nothing is added (section 3.3 of
    [He et al., 2015](https://arxiv.org/abs/1512.03385)). At 224×224×3 with 1000 classes:
    11,515,688 trainable parameters, exactly those of `ResNet18(shortcut="A")`.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.PlainNet18()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    11515688
    """
    spec = dataclasses.replace(
        VARIANTS["plainnet18"],
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        output_stride=output_stride,
    )
    return build_model(
        spec,
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )


def PlainNet34(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="plainnet34",
    *,
    stride_on="3x3",
    stem="imagenet",
    activation="relu",
    output_stride=None,
):
    """Plain-34, the twin of ResNet-34.

    Every convolution of `ResNet34`, and nothing is added (section 3.3 of
    [He et al., 2015](https://arxiv.org/abs/1512.03385)). At 224×224×3 with 1000 classes:
    21,623,848 trainable parameters, exactly those of `ResNet34(shortcut="A")`.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.PlainNet34()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    21623848
    """
    spec = dataclasses.replace(
        VARIANTS["plainnet34"],
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        output_stride=output_stride,
    )
    return build_model(
        spec,
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )


def PlainNet50(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="plainnet50",
    *,
    stride_on="3x3",
    stem="imagenet",
    activation="relu",
    output_stride=None,
):
    """Plain-50, the twin of ResNet-50.

    Every convolution of `ResNet50`, and nothing is added (section 3.3 of
    [He et al., 2015](https://arxiv.org/abs/1512.03385)). At 224×224×3 with 1000 classes:
    22,780,456 trainable parameters, exactly those of `ResNet50(shortcut="A")`.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.PlainNet50()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    22780456
    """
    spec = dataclasses.replace(
        VARIANTS["plainnet50"],
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        output_stride=output_stride,
    )
    return build_model(
        spec,
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )


def PlainNet20(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="plainnet20",
    *,
    stride_on="3x3",
    stem="cifar",
    activation="relu",
    output_stride=None,
):
    """Plain-20 for CIFAR-10, the twin of ResNet-20.

    Every convolution of `ResNet20`, and nothing is added (section 4.2 of
    [He et al., 2015](https://arxiv.org/abs/1512.03385)). At 32×32×3 with 10 classes:
    269,722 trainable parameters, exactly those of `ResNet20`.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> twins = keras_resnets.ResNet20(), keras_resnets.PlainNet20()
    >>> keras_resnets.analysis.assert_same_cost(*twins)
    """
    spec = dataclasses.replace(
        VARIANTS["plainnet20"],
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        output_stride=output_stride,
    )
    return build_model(
        spec,
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )


def PlainNet32(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="plainnet32",
    *,
    stride_on="3x3",
    stem="cifar",
    activation="relu",
    output_stride=None,
):
    """Plain-32 for CIFAR-10, the twin of ResNet-32.

    Every convolution of `ResNet32`, and nothing is added (section 4.2 of
    [He et al., 2015](https://arxiv.org/abs/1512.03385)). At 32×32×3 with 10 classes:
    464,154 trainable parameters, exactly those of `ResNet32`.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.PlainNet32()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    464154
    """
    spec = dataclasses.replace(
        VARIANTS["plainnet32"],
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        output_stride=output_stride,
    )
    return build_model(
        spec,
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )


def PlainNet44(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="plainnet44",
    *,
    stride_on="3x3",
    stem="cifar",
    activation="relu",
    output_stride=None,
):
    """Plain-44 for CIFAR-10, the twin of ResNet-44.

    Every convolution of `ResNet44`, and nothing is added (section 4.2 of
    [He et al., 2015](https://arxiv.org/abs/1512.03385)). At 32×32×3 with 10 classes:
    658,586 trainable parameters, exactly those of `ResNet44`.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.PlainNet44()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    658586
    """
    spec = dataclasses.replace(
        VARIANTS["plainnet44"],
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        output_stride=output_stride,
    )
    return build_model(
        spec,
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )


def PlainNet56(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="plainnet56",
    *,
    stride_on="3x3",
    stem="cifar",
    activation="relu",
    output_stride=None,
):
    """Plain-56 for CIFAR-10, the twin of ResNet-56.

    Every convolution of `ResNet56`, and nothing is added (section 4.2 of
    [He et al., 2015](https://arxiv.org/abs/1512.03385)). At 32×32×3 with 10 classes:
    853,018 trainable parameters, exactly those of `ResNet56`.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.PlainNet56()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    853018
    """
    spec = dataclasses.replace(
        VARIANTS["plainnet56"],
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        output_stride=output_stride,
    )
    return build_model(
        spec,
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )


def PlainNet110(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="plainnet110",
    *,
    stride_on="3x3",
    stem="cifar",
    activation="relu",
    output_stride=None,
):
    """Plain-110 for CIFAR-10, the twin of ResNet-110.

    Every convolution of `ResNet110`, and nothing is added (section 4.2 of
    [He et al., 2015](https://arxiv.org/abs/1512.03385)). At 32×32×3 with 10 classes:
    1,727,962 trainable parameters, exactly those of `ResNet110`.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.PlainNet110()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    1727962
    """
    spec = dataclasses.replace(
        VARIANTS["plainnet110"],
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        output_stride=output_stride,
    )
    return build_model(
        spec,
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
    )

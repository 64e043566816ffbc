"""ResNet-18 to ResNet-152, the ImageNet networks of He et al., 2015 (table 1)."""

import dataclasses

from keras_resnets.models.builder import build_model
from keras_resnets.models.variants import VARIANTS


def ResNet18(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="resnet18",
    *,
    shortcut="B",
    zero_pad="end",
    stride_on="3x3",
    stem="imagenet",
    activation="relu",
    zero_init_residual=False,
    drop_path_rate=0.0,
    output_stride=None,
):
    """ResNet-18.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), table 1:
    18 layers, 2, 2, 2, 2 basic blocks.
    At 224×224×3 with 1000 classes: 11,689,512 trainable parameters and 1.8141·10⁹ multiply-adds.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.ResNet18()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    11689512
    """
    spec = dataclasses.replace(
        VARIANTS["resnet18"],
        shortcut=shortcut,
        zero_pad=zero_pad,
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        zero_init_residual=zero_init_residual,
        drop_path_rate=drop_path_rate,
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


def ResNet34(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="resnet34",
    *,
    shortcut="B",
    zero_pad="end",
    stride_on="3x3",
    stem="imagenet",
    activation="relu",
    zero_init_residual=False,
    drop_path_rate=0.0,
    output_stride=None,
):
    """ResNet-34.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), table 1:
    34 layers, 3, 4, 6, 3 basic blocks.
    At 224×224×3 with 1000 classes: 21,797,672 trainable parameters and 3.6638·10⁹ multiply-adds.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.ResNet34()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    21797672
    """
    spec = dataclasses.replace(
        VARIANTS["resnet34"],
        shortcut=shortcut,
        zero_pad=zero_pad,
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        zero_init_residual=zero_init_residual,
        drop_path_rate=drop_path_rate,
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


def ResNet50(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="resnet50",
    *,
    shortcut="B",
    zero_pad="end",
    stride_on="3x3",
    stem="imagenet",
    activation="relu",
    zero_init_residual=False,
    drop_path_rate=0.0,
    output_stride=None,
):
    """ResNet-50.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), table 1:
    50 layers, 3, 4, 6, 3 bottleneck blocks.
    At 224×224×3 with 1000 classes: 25,557,032 trainable parameters and 4.0892·10⁹ multiply-adds.
    The stride stands on the 3×3 convolution ("v1.5"); `stride_on="1x1"` is the paper's network,
    with 3.8580·10⁹ multiply-adds.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.ResNet50()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    25557032
    """
    spec = dataclasses.replace(
        VARIANTS["resnet50"],
        shortcut=shortcut,
        zero_pad=zero_pad,
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        zero_init_residual=zero_init_residual,
        drop_path_rate=drop_path_rate,
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


def ResNet101(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="resnet101",
    *,
    shortcut="B",
    zero_pad="end",
    stride_on="3x3",
    stem="imagenet",
    activation="relu",
    zero_init_residual=False,
    drop_path_rate=0.0,
    output_stride=None,
):
    """ResNet-101.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), table 1:
    101 layers, 3, 4, 23, 3 bottleneck blocks.
    At 224×224×3 with 1000 classes: 44,549,160 trainable parameters.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.ResNet101(include_top=False)
    >>> tuple(model.output.shape)
    (None, None, None, 2048)
    """
    spec = dataclasses.replace(
        VARIANTS["resnet101"],
        shortcut=shortcut,
        zero_pad=zero_pad,
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        zero_init_residual=zero_init_residual,
        drop_path_rate=drop_path_rate,
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


def ResNet152(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="resnet152",
    *,
    shortcut="B",
    zero_pad="end",
    stride_on="3x3",
    stem="imagenet",
    activation="relu",
    zero_init_residual=False,
    drop_path_rate=0.0,
    output_stride=None,
):
    """ResNet-152.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), table 1:
    152 layers, 3, 8, 36, 3 bottleneck blocks.
    At 224×224×3 with 1000 classes: 60,192,808 trainable parameters.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.ResNet152(include_top=False)
    >>> tuple(model.output.shape)
    (None, None, None, 2048)
    """
    spec = dataclasses.replace(
        VARIANTS["resnet152"],
        shortcut=shortcut,
        zero_pad=zero_pad,
        stride_on=stride_on,
        stem=stem,
        activation=activation,
        zero_init_residual=zero_init_residual,
        drop_path_rate=drop_path_rate,
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

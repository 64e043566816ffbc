"""ResNet-20 to ResNet-1202, the CIFAR-10 networks of He et al., 2015 (section 4.2)."""

import dataclasses

from keras_resnets.models.builder import build_model
from keras_resnets.models.variants import VARIANTS


def ResNet20(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="resnet20",
    *,
    shortcut="A",
    zero_pad="end",
    stride_on="3x3",
    stem="cifar",
    activation="relu",
    zero_init_residual=False,
    drop_path_rate=0.0,
    output_stride=None,
):
    """ResNet-20 for CIFAR-10.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.2: a 3×3 convolution, and three
    stages of 3 basic blocks with 16, 32 and 64 filters, option A. At 32×32×3 with 10 classes:
    269,722 trainable parameters and 40.55·10⁶ multiply-adds.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    269722
    """
    spec = dataclasses.replace(
        VARIANTS["resnet20"],
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


def ResNet32(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="resnet32",
    *,
    shortcut="A",
    zero_pad="end",
    stride_on="3x3",
    stem="cifar",
    activation="relu",
    zero_init_residual=False,
    drop_path_rate=0.0,
    output_stride=None,
):
    """ResNet-32 for CIFAR-10.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.2: a 3×3 convolution, and three
    stages of 5 basic blocks with 16, 32 and 64 filters, option A. At 32×32×3 with 10 classes:
    464,154 trainable parameters and 68.86·10⁶ multiply-adds.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.ResNet32()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    464154
    """
    spec = dataclasses.replace(
        VARIANTS["resnet32"],
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


def ResNet44(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="resnet44",
    *,
    shortcut="A",
    zero_pad="end",
    stride_on="3x3",
    stem="cifar",
    activation="relu",
    zero_init_residual=False,
    drop_path_rate=0.0,
    output_stride=None,
):
    """ResNet-44 for CIFAR-10.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.2: a 3×3 convolution, and three
    stages of 7 basic blocks with 16, 32 and 64 filters, option A. At 32×32×3 with 10 classes:
    658,586 trainable parameters and 97.17·10⁶ multiply-adds.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.ResNet44()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    658586
    """
    spec = dataclasses.replace(
        VARIANTS["resnet44"],
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


def ResNet56(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="resnet56",
    *,
    shortcut="A",
    zero_pad="end",
    stride_on="3x3",
    stem="cifar",
    activation="relu",
    zero_init_residual=False,
    drop_path_rate=0.0,
    output_stride=None,
):
    """ResNet-56 for CIFAR-10.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.2: a 3×3 convolution, and three
    stages of 9 basic blocks with 16, 32 and 64 filters, option A. At 32×32×3 with 10 classes:
    853,018 trainable parameters and 125.49·10⁶ multiply-adds.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.ResNet56()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    853018
    """
    spec = dataclasses.replace(
        VARIANTS["resnet56"],
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


def ResNet110(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="resnet110",
    *,
    shortcut="A",
    zero_pad="end",
    stride_on="3x3",
    stem="cifar",
    activation="relu",
    zero_init_residual=False,
    drop_path_rate=0.0,
    output_stride=None,
):
    """ResNet-110 for CIFAR-10.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.2: a 3×3 convolution, and three
    stages of 18 basic blocks with 16, 32 and 64 filters, option A. At 32×32×3 with 10 classes:
    1,727,962 trainable parameters and 252.89·10⁶ multiply-adds.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> model = keras_resnets.ResNet110()
    >>> keras_resnets.analysis.count_parameters(model).trainable
    1727962
    """
    spec = dataclasses.replace(
        VARIANTS["resnet110"],
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


def ResNet1202(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="resnet1202",
    *,
    shortcut="A",
    zero_pad="end",
    stride_on="3x3",
    stem="cifar",
    activation="relu",
    zero_init_residual=False,
    drop_path_rate=0.0,
    output_stride=None,
):
    """ResNet-1202 for CIFAR-10.

    [He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.2: a 3×3 convolution, and three
    stages of 200 basic blocks with 16, 32 and 64 filters, option A. At 32×32×3 with 10 classes:
    19,421,274 trainable parameters and 2829.24·10⁶ multiply-adds.

    Arguments and errors: those of `keras_resnets.build_model`, in the order of
    `keras.applications.ResNet50`; the keyword-only ones are fields of
    `keras_resnets.ResNetSpec`.

    Example:

    >>> keras_resnets.models.VARIANTS["resnet1202"].depth  # building it takes half a minute
    1202
    """
    spec = dataclasses.replace(
        VARIANTS["resnet1202"],
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

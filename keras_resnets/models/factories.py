"""`build_model`, and how a stub becomes the factory of a row of the table of variants."""

import dataclasses
import functools
import inspect
import os
import re
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypedDict, Unpack

import keras

from keras_resnets.architecture.network import prepare_network
from keras_resnets.architecture.spec import (
    DEFAULTS,
    FAMILIES,
    OPTIONS,
    STEMS,
    VARIANTS,
    ResNetSpec,
    family_of,
    find_variants,
)
from keras_resnets.arguments import check_choice, nearest


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

    The layers are flat and named for their roles: `stem_conv`, `stem_activation`, `stem_pool`,
    then `stage1_block1` and so on, then `avg_pool` and `predictions`. So
    `model.get_layer("stage3_block2").output` is that block's feature map.

    The input is a batch of float images, preprocessed as the weights need it; no scaling is built
    in. With a 16-bit dtype policy, the classifier computes in float32.

    Weights for another number of classes start a new classifier, and those for another number of
    channels have their first kernel adapted, each with a warning. A `.keras` file and another
    library's checkpoint also set the preprocessing. A `.weights.h5` file does not record options
    without arrays, such as `zero_pad`: pass those of its network.

    Args:
        spec: A `ResNetSpec`. Its options at their default give way to those of a file's network.
        include_top: Whether the model ends in pooling and classifier.
        weights: `None` for new ones; the path of a file of this network, of a training run's folder
            or of what `convert_weights` reads; `"hf://owner/name"` on Hugging Face's hub; a name in
            `PRESETS`; or `"imagenet"` or `"cifar10"` for this network's best preset.
        input_tensor: A Keras tensor to use as the image; the layers before it become part of the
            model.
        input_shape: Shape of an image, a tuple of three; height and width may be `None`. By default
            224×224×3 with the ImageNet stem, 32×32×3 with CIFAR's, and any size without the top.
        pooling: Without the top: `"avg"` or `"max"` to pool the last feature map.
        classes: Number of classes, with the top only; by default that of the weights, or else 1000
            with the ImageNet stem and 10 with CIFAR's. A `.weights.h5` file does not set it.
        classifier_activation: Activation of the classifier, with the top only; `None` for logits.
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
    return _build(
        spec,
        None,
        weights,
        include_top=include_top,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name,
    )


def _build(spec, free, weights, **arguments):
    """Builds a model; options that are `free`, or at their default, give way to the weights'."""
    # Checks the arguments before a file is read, or downloaded.
    build = prepare_network(spec, **arguments)
    if weights is None:
        return build(spec)
    # Reading files takes a third of the package's import time, and most models read none.
    from keras_resnets.weights.load import open_weights

    if free is None:
        free = [option for option in OPTIONS if getattr(spec, option) == DEFAULTS[option]]
    opened = open_weights(weights, spec, arguments["name"] or "model", free)
    if opened.classes == 0 and arguments["include_top"] and arguments["classes"] is None:
        raise ValueError(
            "`weights` must have a classifier, and these have none: pass `include_top=False` for "
            "the features, or `classes` for a new classifier. "
            f"Received: weights={os.fspath(weights)!r}"
        )
    model = build(opened.spec, opened.classes)
    opened.load(model)
    return model


class PlainNetOptions(TypedDict, total=False):
    """The options of a plain network's factory: fields of `ResNetSpec`, by keyword."""

    stem: Literal["imagenet", "deep", "deep_strided", "cifar"]
    stride_on: Literal["3x3", "1x1"]
    activation: Any
    output_stride: int | None
    stem_width: int | None
    groups: int
    width_per_group: int
    pre_activation: Literal[False, True, "keras"]
    anti_alias: Literal["blur", "average"] | None
    se_ratio: float | None
    dropout_rate: float


class ResNetOptions(PlainNetOptions, total=False):
    """Those of a residual network's factory, with the options that need a shortcut."""

    shortcut: Literal["A", "B", "C", "D"]
    zero_pad: Literal["end", "both"]
    zero_init_residual: bool
    drop_path_rate: float


class ResNetFactory(Protocol):
    """The signature of a residual network's factory, for editors and type checkers."""

    def __call__(
        self,
        include_top: bool = True,
        weights: Any = None,
        input_tensor: Any = None,
        input_shape: tuple[int | None, ...] | None = None,
        pooling: Literal["avg", "max"] | None = None,
        classes: int | None = None,
        classifier_activation: Any = "softmax",
        name: str | None = ...,
        **options: Unpack[ResNetOptions],
    ) -> keras.Model: ...


class PlainNetFactory(Protocol):
    """The signature of a plain network's factory, for editors and type checkers."""

    def __call__(
        self,
        include_top: bool = True,
        weights: Any = None,
        input_tensor: Any = None,
        input_shape: tuple[int | None, ...] | None = None,
        pooling: Literal["avg", "max"] | None = None,
        classes: int | None = None,
        classifier_activation: Any = "softmax",
        name: str | None = ...,
        **options: Unpack[PlainNetOptions],
    ) -> keras.Model: ...


# What other libraries call an argument.
SYNONYMS = {
    **dict.fromkeys(("num_classes", "n_classes"), "classes"),
    **dict.fromkeys(("pretrained", "checkpoint_path"), "weights"),
    **dict.fromkeys(("in_chans", "image_shape"), "input_shape"),
    **dict.fromkeys(("drop_rate", "stochastic_depth"), "drop_path_rate"),
    "global_pool": "pooling",
}
_FACTORIES: dict[str, Any] = {}


def _factory(stub) -> Any:
    """Makes a stub the factory of the variant of its name, with a signature and a docstring."""
    key = stub.__name__.lower()
    spec = VARIANTS[key]
    options = [
        name
        for name, option in OPTIONS.items()
        if spec.shortcut is not None or not (option.needs_shortcut or name == "shortcut")
    ]
    _, *shared, name = inspect.signature(build_model).parameters.values()
    by_keyword = [
        inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=getattr(spec, option))
        for option in options
    ]
    signature = inspect.Signature([*shared, name.replace(default=key), *by_keyword])

    def factory(*args, **kwargs):
        for argument in kwargs:
            if argument not in signature.parameters:
                meant = SYNONYMS.get(argument, argument)
                raise TypeError(
                    f"{stub.__name__}() has no argument {argument!r}."
                    f"{nearest(meant, signature.parameters)} "
                    f"Its arguments are {', '.join(signature.parameters)}."
                )
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{stub.__name__}() got {error}") from None
        free = set(options) - set(bound.arguments)
        bound.apply_defaults()
        chosen = {option: bound.arguments.pop(option) for option in options}
        weights = bound.arguments.pop("weights")
        spec = dataclasses.replace(VARIANTS[key], **chosen)
        return _build(spec, free, weights, **bound.arguments)

    functools.update_wrapper(factory, stub).__doc__ = _docstring(stub, spec, signature)
    factory.__signature__ = signature  # type: ignore[attr-defined]
    del factory.__wrapped__  # type: ignore[attr-defined]
    _FACTORIES[key] = factory
    return factory


resnet: Callable[[Any], ResNetFactory] = _factory
plainnet: Callable[[Any], PlainNetFactory] = _factory


def _docstring(stub, spec, signature):
    """Returns a stub's docstring with the source, and the arguments' lines of `build_model`."""
    text, of_builder = inspect.getdoc(stub), inspect.getdoc(build_model)
    if text is None or of_builder is None:  # Python runs without docstrings
        return None
    size, classes = STEMS[spec.stem].image_size, STEMS[spec.stem].classes
    lines = _argument_lines(ResNetSpec) | _argument_lines(build_model)
    arguments = "".join(lines[name] for name in signature.parameters)
    returns = of_builder.partition("Returns:\n")[2].partition("Example:\n")[0]
    summary, heading, example = text.partition("Example:\n")
    family = FAMILIES[family_of(spec)]
    return (
        f"{summary.rstrip()}\n\n"
        f"{family.about}\n"
        f"Source: [{family.source}](https://arxiv.org/abs/{family.arxiv}).\n"
        f"The counts are for images of {size}×{size}×3 and {classes} classes.\n\n"
        f"Args:\n{arguments}\nReturns:\n{returns}{heading}{example}"
    )


def _argument_lines(documented):
    """Returns the lines of a docstring on each argument, by its name."""
    section = (inspect.getdoc(documented) or "").partition("Args:\n")[2].partition("\n\n")[0]
    _, *entries = re.split(r"^(?=    \w+: )", f"{section}\n", flags=re.MULTILINE)
    return {entry.partition(":")[0].strip(): entry for entry in entries}


def list_models(pattern: str = "*", family: str | None = None) -> list[str]:
    """Returns the names of the models that match a shell pattern, by family.

    Args:
        pattern: A pattern with `*`, `?` and `[…]`; case does not matter.
        family: Only the models of this family: `"resnet"`, `"resnet_d"`, `"v2"`
            (pre-activation), `"resnext"`, `"wide"`, `"se"` (squeeze and excitation), `"rs"`,
            `"blur"` (anti-aliased) or `"plain"` (without shortcuts); `None` for all. Each model is
            in one family: `seresnext50_32x4d` in `"se"`, `resnext50d_32x4d` in `"resnext"`.

    Returns:
        A list of names for `create_model`: in each family those for ImageNet, then those for
        CIFAR, by depth.

    Raises:
        TypeError: If `pattern` is not a string.
        ValueError: If there is no such family.

    Example:

    >>> keras_resnets.list_models("*50*", family="resnext")
    ['resnext50_32x4d', 'resnext50d_32x4d']
    """
    if not isinstance(pattern, str):
        raise TypeError(f"`pattern` must be a string. Received: pattern={pattern!r}")
    if isinstance(family, str) and family not in FAMILIES:
        raise ValueError(
            f"`family` must be None or one of {', '.join(map(repr, FAMILIES))}."
            f"{nearest(family, FAMILIES)} Received: family={family!r}"
        )
    return find_variants(pattern, check_choice("family", family, (None, *FAMILIES)))


def create_model(name, /, **arguments):
    """Builds a model by the name of its factory, for instance from a configuration file.

    Args:
        name: A name that `list_models` gives; case does not matter.
        **arguments: The arguments of the factory.

    Returns:
        The `keras.Model` that the factory returns.

    Raises:
        ValueError: If the name is unknown; the error suggests the nearest names.
        TypeError: If `name` is not a string, or the factory has no such argument.

    Example:

    >>> keras_resnets.create_model("resnet20", classes=100).output.shape
    (None, 100)
    """
    if not isinstance(name, str):
        raise TypeError(f"`name` must be a string. Received: name={name!r}")
    if name.lower() not in _FACTORIES:
        raise ValueError(
            f"`name` must be one of {', '.join(_FACTORIES)}.{nearest(name.lower(), _FACTORIES)} "
            f"Received: name={name!r}"
        )
    return _FACTORIES[name.lower()](**arguments)

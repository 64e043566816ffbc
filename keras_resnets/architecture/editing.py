"""Networks made of others: the plain twin, other blocks, normalizations folded in."""

import dataclasses
from typing import Any

import keras

from keras_resnets.architecture.backbone import unfreeze
from keras_resnets.architecture.copying import (
    clone_network,
    copy_image_statistics,
    copy_layer,
    within_another_layer,
)
from keras_resnets.architecture.spec import DEFAULTS, OPTIONS, ResNetSpec
from keras_resnets.arguments import check_functional, check_name
from keras_resnets.layers import (
    ConvNorm,
    GatedBlock,
    ProjectionShortcut,
    ResidualBlock,
    StackedBlock,
)
from keras_resnets.layers.blocks import merge_one_layer_block
from keras_resnets.layers.conv_norm import folded_weights

# What a block needs a shortcut for goes with it.
WITHOUT_SHORTCUT: dict[str, Any] = {
    "shortcut": None,
    **{name: DEFAULTS[name] for name, option in OPTIONS.items() if option.needs_shortcut},
}


def plain_twin(model_or_spec, name=None):
    """Returns the plain twin of a model or of a spec.

    The twin has the same branches, stem and head, and adds nothing to them. With option A, whose
    shortcuts have no weights, it has exactly the same cost, and
    `keras_resnets.analysis.assert_same_cost` holds; otherwise it lacks the projections, and what a
    gate has.
    What only makes sense beside a shortcut (`zero_init_residual`, `drop_path_rate`) is left off.

    The blocks keep their classes and their other options:

    - `GatedBlock` loses its gate with the shortcut that it weighs, and its F is whole again.
      The costs are equal for `"constant"` and `"dropout"`, which have no weights; the twin lacks
      the learned numbers of `"scalar"` and `"channel"`, and the 1×1 convolutions of
      `"shortcut_only"` and `"exclusive"`.
    - `OrderedBlock` keeps its order and position, and the norm and activation after a sum stand
      after its branch. A chain has no sums to come before or after, so all orders give one network
      where the ends are as `position` makes them.
    - `StackedBlock` keeps its number of layers; blocks of one are a chain of plain layers.

    Its weights are new, so none is frozen, whichever were in the model; what a
    `keras.layers.Normalization` has learnt about the images is no weight, and is carried over.

    Args:
        model_or_spec: A functional model that contains residual blocks of this package, whatever
            stands before or behind them, also within a model or a wrapper (such as
            `keras.layers.TimeDistributed`) in it; or a `ResNetSpec`.
        name: Name of the new model, not empty and without a "/"; by default `plain_` and the
            model's name.

    Returns:
        A new model with freshly initialized weights, or a `ResNetSpec`.

    Raises:
        TypeError: If it is neither a functional model nor a spec, or the name is no string.
        ValueError: If the model has no residual block, or has one within a layer where it cannot be
            replaced; if the name is not allowed, or a spec is to be named.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> twin = keras_resnets.plain_twin(model)
    >>> keras_resnets.analysis.assert_same_cost(model, twin)
    """
    if isinstance(model_or_spec, ResNetSpec):
        if name is not None:
            raise ValueError(f"A spec has no name to set. Received: name={name!r}")
        return dataclasses.replace(model_or_spec, **WITHOUT_SHORTCUT)
    if not isinstance(model_or_spec, keras.Model):
        raise TypeError(
            "`model_or_spec` must be a keras.Model or a ResNetSpec. "
            f"Received: model_or_spec={model_or_spec!r}"
        )
    check_functional("model_or_spec", model_or_spec)
    if not any(isinstance(layer, ResidualBlock) for layer in model_or_spec._flatten_layers()):
        raise ValueError(
            f"`model_or_spec` must contain residual blocks. Received: {model_or_spec.name!r} with "
            f"none among its {len(model_or_spec.layers)} layers"
        )
    check_name("name", name)
    twin = clone_network(model_or_spec, _without_shortcut, ResidualBlock)
    twin.name = f"plain_{model_or_spec.name}" if name is None else name
    copy_image_statistics(model_or_spec, twin)
    return unfreeze(twin)


def _without_shortcut(layer):
    changes: dict[str, Any] = {}
    if isinstance(layer, ResidualBlock):
        # Its projection, which has gone, may be among what is frozen.
        changes |= {**WITHOUT_SHORTCUT, "frozen": ()}
    if isinstance(layer, GatedBlock):
        changes |= {"gate": None, "gate_bias": None}
    return copy_layer(layer, **changes)


# What the place in the network decides, or `unfreeze` after the cloning.
NO_OPTIONS = ("name", "filters", "strides", "trainable", "frozen")


def with_blocks(model, block, name=None, *, first=None, last=None, **options):
    """Returns a network like `model` whose blocks are of another class.

    Each new block has the arguments of the one in whose place it stands, as far as both classes
    have them; stem and head stay, and so does what a `keras.layers.Normalization` has learnt. So a
    study varies the block and nothing else.

    Args:
        model: A functional model of this package.
        block: A class of blocks, such as `keras_resnets.layers.StackedBlock`.
        name: Name of the new model, not empty and without a "/"; by default that of `model`.
        first: A dictionary of options for the first block only.
        last: The same for the last block.
        **options: Options of all blocks.

    Returns:
        A new model with freshly initialized weights.

    Raises:
        TypeError: If `model` is not a functional model, `block` no class of blocks, `first` or
            `last` no dictionary, or there is no such option.
        ValueError: If the model has no blocks, or the new ones would have another width, stride or
            name.

    Example:

    >>> model = keras_resnets.with_blocks(
    ...     keras_resnets.ResNet20(),
    ...     keras_resnets.layers.OrderedBlock,
    ...     order="full_pre_activation",
    ...     first={"position": "first"},
    ...     last={"position": "last"},
    ... )
    >>> model.count_params() == keras_resnets.ResNet20().count_params()
    True
    """
    check_functional("model", model)
    if not isinstance(block, type) or not issubclass(block, ResidualBlock):
        raise TypeError(f"`block` must be a class of residual blocks. Received: block={block!r}")
    check_name("name", name)
    first, last = first or {}, last or {}
    for argument, value in (("first", first), ("last", last), ("options", options)):
        _check_options(argument, value)
    blocks = [layer for layer in model.layers if isinstance(layer, ResidualBlock)]
    if not blocks:
        raise ValueError(
            f"`model` must contain residual blocks. Received: {model.name!r} with none among its "
            f"{len(model.layers)} layers{within_another_layer(model, ResidualBlock)}"
        )

    def clone(layer):
        if not isinstance(layer, ResidualBlock):
            return copy_layer(layer)
        if layer.expansion != block.expansion:
            raise ValueError(
                "The new blocks must have as many output channels a filter as the old ones. "
                f"Received: block={block.__name__} in the place of a {type(layer).__name__}"
            )
        own = {**options}
        if layer is blocks[0]:
            own |= first
        if layer is blocks[-1]:
            own |= last
        shared: Any = next(kind for kind in type(layer).__mro__ if issubclass(block, kind))
        # The new blocks have other sublayers, and new weights to train.
        return block.from_config({**shared.get_config(layer), "frozen": (), **own})

    model_of_blocks = keras.models.clone_model(model, clone_function=clone)
    model_of_blocks.name = model.name if name is None else name
    copy_image_statistics(model, model_of_blocks)
    return unfreeze(model_of_blocks)


def _check_options(argument, options):
    if not isinstance(options, dict):
        raise TypeError(
            f"`{argument}` must be a dictionary of options. Received: {argument}={options!r}"
        )
    for option in options:
        if option in NO_OPTIONS:
            raise ValueError(
                f"{', '.join(NO_OPTIONS)} are no options: the new blocks have those of the old "
                f"ones, and nothing is frozen. Received: {option}={options[option]!r}"
            )


def fuse_batch_norm(model, name=None):
    """Returns a model that answers as this one does in inference, with fewer steps.

    Where a normalization follows a convolution, it multiplies the kernel and adds a bias, both
    known once training is over. The new model has kernel and bias in its convolutions, and no
    normalization there; its blocks, their names and its other layers are the same, so
    `feature_extractor`, `model_spec` and `model_preprocessing` know it. A normalization that
    follows something else, such as the sum of a block or its input (`OrderedBlock`), stays.

    A residual block of one convolution (`StackedBlock` of depth 1) becomes that convolution alone:
    its shortcut goes into the kernel (`keras_resnets.analysis.merge_one_layer_block`).

    A network within a model or within a wrapper, such as `keras.layers.TimeDistributed`, is folded
    there. What LoRA has added to a kernel becomes part of it.

    The fold is computed in 64 bits; in 32 bits, answers differ by about 1e-6 of their size. Train
    the model, not its fused copy: the copy has lost what it would train with.

    Args:
        model: A functional model of the zoo, or one built upon it.
        name: Name of the new model; by default that of `model`.

    Returns:
        A new functional model; `model` stays as it is.

    Raises:
        TypeError: If `model` is not a functional model.
        ValueError: If it has no convolution of this package, or has one within a layer of another
            kind than those, where it cannot be replaced.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> fused = keras_resnets.fuse_batch_norm(model)
    >>> x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    >>> bool(np.allclose(model(x), fused(x), atol=1e-5))
    True
    >>> len(model.weights), len(fused.weights)  # 19 times a kernel, γ, β, mean and variance
    (97, 40)
    """
    check_functional("model", model)
    if not any(isinstance(layer, ConvNorm) for layer in model._flatten_layers()):
        raise ValueError(
            "`model` must have convolutions of this package to fold a normalization into. "
            f"Received: model={model.name!r}"
        )
    fused = clone_network(model, _folded, ConvNorm)
    fused.name = name or model.name
    unfreeze(fused)
    _copy_weights(model, fused)
    return fused


def _folded(layer):
    """Returns a new layer of the same configuration, folded if it can be."""
    if isinstance(layer, ResidualBlock) and not _has_normalized_convolution(layer):
        return copy_layer(layer)
    changes: dict[str, Any] = {}
    if isinstance(layer, (ConvNorm, ProjectionShortcut, ResidualBlock)):
        # What is frozen may be the normalizations, which have gone.
        changes |= {"folded": True, "frozen": ()}
    if _has_one_convolution(layer):
        changes |= {"shortcut": None, "zero_pad": "end"}
        changes |= {"zero_init_residual": False, "drop_path_rate": 0.0}
    return copy_layer(layer, **changes)


def _has_normalized_convolution(block):
    return any(isinstance(layer, ConvNorm) for layer in block._flatten_layers())


def _has_one_convolution(layer):
    return isinstance(layer, StackedBlock) and layer.depth == 1


def _copy_weights(layer, fused):
    if _has_one_convolution(layer):
        _assign(fused.conv1, *merge_one_layer_block(layer))
        return
    if isinstance(layer, ConvNorm):
        _assign(fused, *folded_weights(layer))
        return
    own = {}
    layer.save_own_variables(own)
    fused.load_own_variables(own)
    for sublayer, copy in zip(_sublayers(layer), _sublayers(fused), strict=True):
        _copy_weights(sublayer, copy)


def _assign(conv_norm, kernel, bias):
    conv_norm.conv.kernel.assign(kernel)
    conv_norm.conv.bias.assign(bias)


def _sublayers(layer):
    if isinstance(layer, keras.Model):
        return layer.layers
    return list(layer._flatten_layers(include_self=False, recursive=False))

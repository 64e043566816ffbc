"""The same network of other blocks."""

from typing import Any

import keras

from keras_resnets.arguments import check_functional, check_name
from keras_resnets.layers import ResidualBlock
from keras_resnets.models.copy_layer import copy_layer, within_another_layer
from keras_resnets.models.fine_tuning import unfreeze
from keras_resnets.models.image_statistics import copy_image_statistics

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

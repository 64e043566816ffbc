"""The same network of other blocks."""

import keras

from keras_resnets.layers import ResidualBlock
from keras_resnets.models.fine_tuning import unfreeze


def with_blocks(model, block, name=None, *, first=None, last=None, **options):
    """Returns a network like `model` whose blocks are of another class.

    Each new block has the arguments of the one in whose place it stands, as far as they are those
    of `ResidualBlock`; stem and head stay. So a study varies the block and nothing else.

    Args:
        model: A functional model of this package.
        block: A class of blocks, such as `keras_resnets.layers.StackedBlock`.
        name: Name of the new model; by default that of `model`.
        first: A dictionary of options for the first block only.
        last: The same for the last block.
        **options: Options of all blocks.

    Returns:
        A new model with freshly initialized weights.

    Raises:
        TypeError: If `model` is not a functional model, `block` no class of blocks, or there is no
            such option.
        ValueError: If the model has no blocks, or the new ones would have another width.

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
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    if not isinstance(block, type) or not issubclass(block, ResidualBlock):
        raise TypeError(f"`block` must be a class of residual blocks. Received: block={block!r}")
    blocks = [layer for layer in model.layers if isinstance(layer, ResidualBlock)]
    if not blocks:
        raise ValueError(
            f"`model` must contain residual blocks. Received: {model.name!r} with none among its "
            f"{len(model.layers)} layers"
        )

    def clone(layer):
        if not isinstance(layer, ResidualBlock):
            return type(layer).from_config(layer.get_config())
        if layer.expansion != block.expansion:
            raise ValueError(
                "The new blocks must have as many output channels a filter as the old ones. "
                f"Received: block={block.__name__} in the place of a {type(layer).__name__}"
            )
        own = {**options}
        if layer is blocks[0]:
            own |= first or {}
        if layer is blocks[-1]:
            own |= last or {}
        # The new blocks have other sublayers, and new weights to train.
        return block.from_config({**ResidualBlock.get_config(layer), "frozen": (), **own})

    model_of_blocks = keras.models.clone_model(model, clone_function=clone)
    model_of_blocks.name = name or model.name
    return unfreeze(model_of_blocks)

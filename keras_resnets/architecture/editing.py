"""Networks made of others: plain twins, other blocks, folded normalizations, frozen backbones."""

import dataclasses
from typing import Any

import keras

from keras_resnets.architecture.copying import (
    clone_network,
    copy_image_statistics,
    copy_layer,
    within_another_layer,
)
from keras_resnets.architecture.reading import backbone_output, stage_blocks
from keras_resnets.architecture.spec import DEFAULTS, OPTIONS, ResNetSpec
from keras_resnets.arguments import check_choice, check_name, check_positive_int
from keras_resnets.layers import (
    ConvNorm,
    GatedBlock,
    ProjectionShortcut,
    ResidualBlock,
    StackedBlock,
)
from keras_resnets.layers.blocks import merge_one_layer_block
from keras_resnets.layers.composite import argument_names
from keras_resnets.layers.conv_norm import folded_weights
from keras_resnets.layers.graph import all_layers, check_functional, sublayers

# The options that need a shortcut go with it.
WITHOUT_SHORTCUT: dict[str, Any] = {
    "shortcut": None,
    **{name: DEFAULTS[name] for name, option in OPTIONS.items() if option.needs_shortcut},
}


def plain_twin(model_or_spec, name=None):
    """Returns the plain twin of a model or of a spec.

    The twin has the same stem, branches and head, without the shortcuts. With option A, whose
    shortcuts have no weights, it has exactly the same cost
    (`keras_resnets.analysis.assert_same_cost`); otherwise it lacks the projections. Options that
    need a shortcut (`zero_init_residual`, `drop_path_rate`) return to their defaults, and a
    `GatedBlock` loses its gate. In an `OrderedBlock`, what follows the sum follows the branch.

    The twin's weights are new and none is frozen. What a `keras.layers.Normalization` has learned
    about the images is carried over.

    Args:
        model_or_spec: A functional model that contains residual blocks of this package, also within
            models or wrappers (such as `keras.layers.TimeDistributed`) in it; or a `ResNetSpec`.
        name: Name of the new model; by default `plain_` and the model's name.

    Returns:
        A new model with freshly initialized weights, or a `ResNetSpec`.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If the model has no block that can be replaced, or the name is not allowed.

    Example:

    >>> model = keras_resnets.ResNet20()
    >>> twin = keras_resnets.plain_twin(model)
    >>> keras_resnets.analysis.assert_same_cost(model, twin)
    """
    if isinstance(model_or_spec, ResNetSpec):
        if name is not None:
            raise ValueError(f"A spec has no name to set. Received: name={name!r}")
        return dataclasses.replace(model_or_spec, **WITHOUT_SHORTCUT)
    check_functional("model_or_spec", model_or_spec)
    if not any(isinstance(layer, ResidualBlock) for layer in all_layers(model_or_spec)):
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
        # `frozen` may name the projection, which is gone.
        changes |= {**WITHOUT_SHORTCUT, "frozen": (), "pre_activation": bool(layer.pre_activation)}
    if isinstance(layer, GatedBlock):
        changes |= {"gate": None, "gate_bias": None}
    return copy_layer(layer, **changes)


# The place in the network decides these, or `unfreeze` after the cloning.
NO_OPTIONS = ("name", "filters", "strides", "trainable", "frozen")


def with_blocks(model, block, name=None, *, first=None, last=None, **options):
    """Returns a network like `model` whose blocks are of another class.

    Each new block has the arguments of the one that it replaces, as far as both classes have them.
    Stem and head stay, and so does what a `keras.layers.Normalization` has learned about the
    images.

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
        TypeError: If an argument is of another type, or an option is unknown.
        ValueError: If the model has no blocks, or an option is for the place in the network, such
            as `strides`.

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
        if not isinstance(value, dict):
            raise TypeError(
                f"`{argument}` must be a dictionary of options. Received: {argument}={value!r}"
            )
        for option in value:
            if option in NO_OPTIONS:
                raise ValueError(
                    f"{', '.join(NO_OPTIONS)} are no options: the new blocks keep those of the old "
                    f"ones, and nothing is frozen. Received: {option}={value[option]!r}"
                )
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
        foreign = {*argument_names(type(layer))} - {*argument_names(block)}
        config = {key: value for key, value in layer.get_config().items() if key not in foreign}
        # The new blocks have other sublayers, and new weights to train.
        config |= {"frozen": (), **options}
        if layer is blocks[0]:
            config |= first
        if layer is blocks[-1]:
            config |= last
        return block.from_config(config)

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.name = model.name if name is None else name
    copy_image_statistics(model, copy)
    return unfreeze(copy)


def fuse_batch_norm(model, name=None):
    """Returns a model with the same outputs in inference, and its normalizations folded in.

    Each normalization that follows a convolution becomes a factor of its kernel and a bias; one
    that follows something else (`OrderedBlock`) stays, and so do names and other layers. A block of
    one convolution becomes that convolution alone, with the shortcut in its kernel
    (`keras_resnets.analysis.merge_one_layer_block`). Networks within models or wrappers, such as
    `keras.layers.TimeDistributed`, are folded as well, and what LoRA has added to a kernel.

    Outputs differ by about 1e-6 of their size. Train the model, not its fused copy.

    Args:
        model: A functional model of the zoo, or one built upon it.
        name: Name of the new model; by default that of `model`.

    Returns:
        A new functional model; `model` stays as it is.

    Raises:
        TypeError: If `model` is not a functional model.
        ValueError: If it has no convolution of this package that can be replaced.

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
    if not _has_conv_norm(model):
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
    changes: dict[str, Any] = {}
    if isinstance(layer, (ConvNorm, ProjectionShortcut, ResidualBlock)) and _has_conv_norm(layer):
        # `frozen` may name normalizations, which are gone.
        changes |= {"folded": True, "frozen": ()}
    if _has_one_convolution(layer):
        changes |= WITHOUT_SHORTCUT
    return copy_layer(layer, **changes)


def _has_conv_norm(layer):
    return any(isinstance(each, ConvNorm) and each.normalize for each in all_layers(layer))


def _has_one_convolution(layer):
    if not isinstance(layer, StackedBlock) or len(layer.branch_layers()) != 1:
        return False
    return getattr(layer.shortcut_layer, "pool", None) is None


def _copy_weights(layer, fused):
    if _has_one_convolution(layer):
        fused.conv1.conv.set_weights(merge_one_layer_block(layer))
    elif isinstance(layer, ConvNorm) and layer.normalize:
        fused.conv.set_weights(folded_weights(layer))
    else:
        own = {}
        layer.save_own_variables(own)
        fused.load_own_variables(own)
        for sublayer, copy in zip(sublayers(layer), sublayers(fused), strict=True):
            _copy_weights(sublayer, copy)


def freeze_backbone(model, bn="inference"):
    """Freezes every layer on the way to the last feature map, so that only the others are trained.

    `unfreeze` undoes it. Compile the model afterwards. The freeze outlasts saving and cloning.

    Args:
        model: A functional model of the zoo, or one built upon it.
        bn: What batch normalization in the backbone does. `"inference"` freezes it, moving
            statistics included. `"train"` adapts statistics, γ and β to the new data.

    Returns:
        The model itself.

    Raises:
        ValueError, TypeError: If `bn` is neither, or `model` is not of this package.

    Example:

    >>> model = keras_resnets.freeze_backbone(keras_resnets.ResNet20())
    >>> [weight.path for weight in model.trainable_weights]
    ['predictions/kernel', 'predictions/bias']
    """
    check_choice("bn", bn, ("inference", "train"))
    end = backbone_output(model)  # raises if `model` is not of this package
    for layer in keras.Model(model.inputs, end).layers:
        if bn == "inference":
            layer.trainable = False
        else:
            _make_trainable(layer)  # an earlier call may have frozen it as a whole
            _freeze_convolutions(layer)
    return model


def unfreeze(model, from_stage=None):
    """Makes the layers of a model trainable again, the inner ones too, and returns the model.

    Compile the model afterwards.

    Args:
        model: A `keras.Model`; with `from_stage`, one of the zoo, or one built upon it.
        from_stage: The first stage to train, from 1; earlier layers stay as they are. `None` for
            all layers.

    Raises:
        ValueError: If the model has no such stage.
        TypeError: If an argument is of another type.

    Example:

    >>> model = keras_resnets.freeze_backbone(keras_resnets.ResNet20())
    >>> len(model.trainable_weights), len(keras_resnets.unfreeze(model, 3).trainable_weights)
    (2, 20)
    >>> len(keras_resnets.unfreeze(model).trainable_weights)
    59
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    if from_stage is None:
        _make_trainable(model)
        return model
    stages = stage_blocks(model)
    if check_positive_int("from_stage", from_stage) > len(stages):
        raise ValueError(
            f"`from_stage` must be at most {len(stages)}, the number of stages of {model.name!r}. "
            f"Received: from_stage={from_stage}"
        )
    earlier = keras.Model(model.inputs, stages[from_stage - 1][0].input).layers
    if not model.trainable:  # then none of its layers is trained
        model.trainable = True
        for layer in earlier:
            layer.trainable = False
    for layer in model.layers:
        if layer not in earlier:
            _make_trainable(layer)
    return model


def _make_trainable(layer):
    """Makes a layer, and all layers within it, trainable."""
    # On TensorFlow, Keras ignores an assignment that changes nothing, and a layer of which only
    # parts are frozen is trainable as a whole.
    layer.trainable = False
    layer.trainable = True


def _freeze_convolutions(layer):
    """Freezes the layers within a trainable layer, but for the normalizations."""
    inner = sublayers(layer)
    if not inner and not isinstance(layer, keras.layers.BatchNormalization):
        layer.trainable = False
    for sublayer in inner:
        _freeze_convolutions(sublayer)

"""The plain twin: the same network without its shortcuts."""

import dataclasses
from typing import Any

import keras

from keras_resnets.architecture.spec import DEFAULTS, OPTIONS, ResNetSpec
from keras_resnets.arguments import check_functional, check_name
from keras_resnets.layers import GatedBlock, ResidualBlock
from keras_resnets.models.copy_layer import clone_network, copy_layer
from keras_resnets.models.fine_tuning import unfreeze
from keras_resnets.models.image_statistics import copy_image_statistics

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

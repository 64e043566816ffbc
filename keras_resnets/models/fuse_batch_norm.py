"""The same network for inference, its normalizations within its convolutions."""

from typing import Any

import keras

from keras_resnets.arguments import check_functional
from keras_resnets.layers import ConvNorm, ProjectionShortcut, ResidualBlock, StackedBlock
from keras_resnets.layers.folded_weights import folded_weights
from keras_resnets.layers.merge_block import merge_one_layer_block
from keras_resnets.models.copy_layer import clone_network, copy_layer
from keras_resnets.models.fine_tuning import unfreeze


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

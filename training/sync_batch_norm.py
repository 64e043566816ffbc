"""Batch normalization over the whole batch, whatever part of it a replica has."""

import keras
import tensorflow as tf


def synchronize_batch_norm(model: keras.Model) -> None:
    """Makes every batch normalization of a model take its statistics over all replicas.

    To be called under the strategy's scope, before the model is trained. Where there is but one
    replica it changes nothing: the statistics are those of the whole batch anyway, and the fused
    kernel, which is faster, computes only a replica's own.

    The layer's configuration is not what decides: a model that is saved and loaded again, or built
    anew for serving, is not synchronized.

    Args:
        model: A model whose layers have not been compiled into a function yet.

    Raises:
        ValueError: If the model has no batch normalization.
    """
    layers = _batch_norms(model)
    if not layers:
        raise ValueError(f"The model must have batch normalization. Received: model={model.name!r}")
    for layer in layers:
        layer.synchronized = tf.distribute.get_strategy().num_replicas_in_sync > 1


def is_synchronized(model: keras.Model) -> bool:
    """Returns whether replicas exchange statistics during the model's forward pass."""
    return any(layer.synchronized for layer in _batch_norms(model))


def _batch_norms(model):
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]

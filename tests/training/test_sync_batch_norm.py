"""Synchronized batch normalization, as far as one device can show it."""

import types

import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from training.loop.network import (  # noqa: E402  # noqa: E402
    build_network,
    finished_model,
    is_synchronized,
    synchronize_batch_norm,
)
from training.recipe.recipe import Model, Recipe  # noqa: E402


@pytest.fixture
def two_replicas(monkeypatch):
    strategy = types.SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)


def synchronized(model):
    return [
        layer.synchronized
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def test_a_recipe_synchronizes_every_norm_that_is_trained_and_none_that_serves(two_replicas):
    recipe = Recipe(model=Model(sync_batch_norm=True))
    model = build_network(recipe, classes=10, channels=3)
    assert synchronized(model) == [True] * 19  # the stem's, and two in each of nine blocks
    assert is_synchronized(model)
    served = finished_model(recipe, model, np.zeros(3), np.ones(3), [*"abcdefghij"])
    assert synchronized(served) == [False] * 19


def test_without_the_field_nothing_is_synchronized(two_replicas):
    assert not is_synchronized(build_network(Recipe(), classes=10, channels=3))


def test_one_replica_keeps_its_fused_kernel():
    model = keras.Sequential([keras.Input((4, 4, 2)), keras.layers.BatchNormalization()])
    synchronize_batch_norm(model)
    assert not is_synchronized(model)


def test_a_model_without_norms_is_an_error():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="bare")
    with pytest.raises(ValueError, match=r"batch normalization. Received: model='bare'"):
        synchronize_batch_norm(model)

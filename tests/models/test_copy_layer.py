"""Lambda layers, whose code is in memory, in whatever is made of a model."""

import keras
import numpy as np

import keras_resnets
from keras_resnets import fuse_batch_norm, plain_twin, with_blocks
from keras_resnets.analysis import count_macs, remove_blocks, reorder_blocks
from keras_resnets.architecture.copying import copy_layer
from keras_resnets.layers import StackedBlock
from tests.layer_checks import numpy, randomize
from tests.models.once import once

pytestmark = once
FACTOR = 3.0


def tripled(x, factor):
    return factor * x


def tiny(function):
    spec = keras_resnets.ResNetSpec(block="basic", repeats=(2,), widths=(4,), stem="cifar")
    inputs = keras.Input((None, None, 3), name="images")
    layer = keras.layers.Lambda(function, name="coded")
    model = keras_resnets.build_model(spec, input_tensor=layer(inputs), classes=2, name="tiny")
    randomize(model)
    return model


def test_a_model_with_a_lambda_layer_is_copied_like_any_other(rng):
    model = tiny(lambda x: x / FACTOR)  # of this module, which code out of bytes is not
    x = rng.standard_normal((2, 6, 6, 3)).astype("float32")
    for same in (
        fuse_batch_norm(model),
        remove_blocks(model, []),
        reorder_blocks(model, ["stage1_block1", "stage1_block2"]),
    ):
        np.testing.assert_allclose(numpy(same(x)), numpy(model(x)), atol=1e-5)
    # 36 pixels; 3×3 from 3 to 4 channels, four times from 4 to 4; 4 numbers to 2 classes.
    for same_cost in (plain_twin(model), with_blocks(model, StackedBlock, depth=2)):
        assert count_macs(same_cost, (6, 6, 3)) == 36 * 9 * (3 * 4 + 4 * 4 * 4) + 4 * 2
        assert same_cost.get_layer("coded").function(FACTOR) == 1.0


def test_a_lambda_layer_keeps_all_that_it_was_given(rng):
    layer = keras.layers.Lambda(
        tripled, output_shape=(2,), arguments={"factor": 3.0}, dtype="float64", trainable=False
    )
    copy = copy_layer(layer, name="copy")
    assert copy is not layer
    assert (copy.name, copy.dtype, copy.trainable) == ("copy", "float64", False)
    assert copy.compute_output_shape((7, 2)) == (7, 2)
    x = rng.standard_normal((7, 2))
    np.testing.assert_allclose(numpy(copy(x)), 3 * x)

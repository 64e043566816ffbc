"""Residual blocks' shapes, data formats, types, graphs and exports."""

import copy
import functools

import keras
import numpy as np
import pytest

from keras_resnets.layers import BasicBlock, BottleneckBlock
from tests.backends import BACKEND, requires_channels_first, requires_tensorflow
from tests.layer_checks import numpy
from tests.layers.blocks import BLOCKS, feature_maps, make_block


@pytest.mark.parametrize("cls", BLOCKS)
def test_one_block_takes_images_of_all_sizes(cls, rng):
    block = cls(4 // cls.expansion, strides=2)
    for shape in [(2, 5, 6, 3), (1, 1, 1, 3), (3, 8, 3, 3)]:
        y = block(rng.standard_normal(shape).astype("float32"))
        assert tuple(y.shape) == block.compute_output_shape(shape)
        assert tuple(y.shape) == (shape[0], -(-shape[1] // 2), -(-shape[2] // 2), 4)


@requires_channels_first
@pytest.mark.parametrize("cls", BLOCKS)
@pytest.mark.parametrize(
    "options", [{"strides": 2}, {"shortcut": "A", "strides": 2}, {"dilation": 2}, {}], ids=str
)
def test_channels_first_equals_channels_last(cls, options, rng):
    x = feature_maps(rng)
    last = make_block(cls, x, **options)
    first = cls(4 // cls.expansion, data_format="channels_first", **options)
    first.build((2, 3, 5, 6))
    first.set_weights(last.get_weights())
    for training in (False, True):
        y = np.moveaxis(numpy(first(np.moveaxis(x, 3, 1), training=training)), 1, 3)
        np.testing.assert_allclose(y, numpy(last(x, training=training)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cls", BLOCKS)
@pytest.mark.parametrize("shortcut", ["A", "B", None])
def test_channels_first_by_default(cls, shortcut):
    keras.config.set_image_data_format("channels_first")
    block = cls(4 // cls.expansion, strides=2, shortcut=shortcut)
    assert block(keras.Input((3, 9, None))).shape == (None, 4, 5, None)
    assert block.conv1.norm.axis == 1
    keras.config.set_image_data_format("channels_last")
    assert cls.from_config(block.get_config()).data_format == "channels_first"


@pytest.mark.parametrize("cls", BLOCKS)
def test_shapes_that_are_no_feature_maps(cls):
    for shape in [(None, 3), (None, 8, 3), (None, 2, 8, 8, 3)]:
        with pytest.raises(ValueError, match=r"feature maps \(batch, height, .* Received"):
            cls(4).build(shape)
    with pytest.raises(ValueError, match=r"channels must be known.* Received"):
        cls(4).build((None, 8, 8, None))


@pytest.mark.parametrize("cls", BLOCKS)
def test_option_a_removes_no_channels(cls):
    with pytest.raises(ValueError, match=r"at least the input's 5 channels. Received: filters=4"):
        cls(4 // cls.expansion, shortcut="A").build((None, 5, 6, 5))


@pytest.mark.skipif(BACKEND == "tensorflow", reason="oneDNN gives empty batches a wrong shape")
@pytest.mark.parametrize("cls", BLOCKS)
def test_empty_batch(cls):
    y = cls(4 // cls.expansion, strides=2)(np.ones((0, 5, 6, 3), "float32"))
    assert tuple(y.shape) == (0, 3, 3, 4)


@pytest.mark.parametrize("cls", BLOCKS)
def test_the_global_policy_is_taken(cls, rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    block = cls(4)
    block.build((None, 5, 6, 3))
    keras.config.set_dtype_policy("float32")
    assert {part.dtype_policy.name for part in block._flatten_layers()} == {"mixed_bfloat16"}
    assert {weight.dtype for weight in block.weights} == {"float32"}


@requires_tensorflow
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("cls", "shortcut"), [(BasicBlock, "A"), (BottleneckBlock, "B")])
def test_function_equals_eager(cls, shortcut, jit_compile, rng):
    import tensorflow as tf

    x = feature_maps(rng)
    eager = make_block(cls, x, strides=2, shortcut=shortcut)
    compiled = copy.deepcopy(eager)
    shape = (None, 5, 6, 3) if jit_compile else (None, None, None, 3)
    for training in (False, True):
        call = tf.function(
            functools.partial(compiled, training=training),
            input_signature=[tf.TensorSpec(shape)],
            jit_compile=jit_compile,
        )
        expected = numpy(eager(x, training=training))
        np.testing.assert_allclose(numpy(call(x)), expected, rtol=1e-4, atol=1e-5)
    for one, other in zip(compiled.get_weights(), eager.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@requires_tensorflow
def test_export(tmp_path, rng):
    import tensorflow as tf

    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, BasicBlock(4, strides=2, drop_path_rate=0.2)(inputs))
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    for shape in [(1, 5, 6, 3), (4, 2, 2, 3)]:
        x = rng.standard_normal(shape).astype("float32")
        np.testing.assert_allclose(numpy(loaded.serve(x)), numpy(model(x)), rtol=1e-5, atol=1e-6)

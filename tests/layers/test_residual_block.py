"""What all residual blocks do: decide on the shortcut, add, activate, drop paths."""

import copy
import functools

import keras
import numpy as np
import pytest

from keras_resnets.layers import (
    BasicBlock,
    BottleneckBlock,
    ConvNorm,
    ResidualBlock,
)
from tests.backends import BACKEND, requires_channels_first, requires_tensorflow
from tests.layer_checks import check_layer, numpy, randomize
from tests.layers.block_reference import BLOCKS, feature_maps, make_block


@keras.saving.register_keras_serializable(package="tests")
class OneLayerBlock(ResidualBlock):
    """The paper's y = W₁x + x, on which it observed no advantage."""

    def create_branch(self):
        return [ConvNorm(self.filters, 3, strides=self.strides, dtype=self.dtype_policy, name="w1")]


@keras.saving.register_keras_serializable(package="tests")
def cubed(x):
    return x * x * x


def test_the_block_is_abstract():
    with pytest.raises(TypeError, match=r"abstract.*create_branch"):
        ResidualBlock(4)


def test_a_block_of_ones_own(tmp_path, rng):
    check_layer(
        functools.partial(OneLayerBlock, 4, strides=2),
        (2, 5, 6, 3),
        (2, 3, 3, 4),
        parameters=9 * 3 * 4 + 8 + 3 * 4 + 8,
        statistics=16,
        folder=tmp_path,
    )
    x = feature_maps(rng, 4)
    block = make_block(OneLayerBlock, x)
    y = np.maximum(numpy(block.w1(x)) + x, 0)
    np.testing.assert_allclose(numpy(block(x)), y, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        *(
            functools.partial(lambda names: [ConvNorm(4, 1, name=name) for name in names], names)
            for names in [("conv", "conv"), ("filters",), ("call",), ("drop_path",), (None,)]
        ),
        # Keras's numbers differ from one process to the next: `conv2d`, `conv2d_1`, …
        lambda: [keras.layers.Conv2D(4, 1)],
        lambda: [keras.layers.PReLU()],
    ],
)
def test_branch_layers_need_names_of_their_own(make):
    """Else one would replace another, or a saved model would not find its weights again."""

    class BadlyNamedBlock(ResidualBlock):
        def create_branch(self):
            return make()

    for _ in range(2):
        with pytest.raises(ValueError, match=r"Each layer of a branch needs a `name`.*Received: n"):
            BadlyNamedBlock(4).build((None, 5, 6, 3))


def test_a_plain_block_has_no_shortcut_path(rng):
    with pytest.raises(ValueError, match=r"Received: shortcut=None"):
        BasicBlock(4, shortcut=None).shortcut_path(feature_maps(rng, 4))


@pytest.mark.parametrize("method", ["branch", "shortcut_path"])
def test_a_block_can_be_inspected_before_its_first_call(method, rng):
    x = feature_maps(rng)
    block = BasicBlock(4, strides=2, name="block")
    assert block.branch_layers() == []
    part = numpy(getattr(block, method)(x))
    assert part.shape == (2, 3, 3, 4)
    assert all(weight.path.startswith("block/") for weight in block.weights)

    before = block.get_weights()
    block(x)
    for one, other in zip(block.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_of_the_two_terms(rng):
    x = feature_maps(rng)
    block = make_block(BasicBlock, x)
    inputs = keras.Input((5, 6, 3))
    model = keras.Model(inputs, [block.branch(inputs), block.shortcut_path(inputs)])
    for y, part in zip(model(x), (block.branch(x), block.shortcut_path(x)), strict=True):
        np.testing.assert_allclose(numpy(y), numpy(part), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shortcut", ["A", "B", "C", "D"])
@pytest.mark.parametrize("pre_activation", [True, "both"])
@pytest.mark.parametrize("strides", [1, 2])
def test_a_pre_activated_block_is_the_sum_of_its_terms(pre_activation, shortcut, strides, rng):
    x = feature_maps(rng, 4)
    options = {"shortcut": shortcut, "strides": strides}
    block = make_block(BasicBlock, x, pre_activation=pre_activation, **options)
    terms = numpy(block.branch(x)) + numpy(block.shortcut_path(x))
    np.testing.assert_allclose(numpy(block(x)), terms, rtol=1e-6, atol=1e-6)
    # An identity passes x itself, or with "both" what the branch reads.
    if strides == 1 and shortcut != "C":
        activated = numpy(block.start_activation(block.start_norm(x)))
        passed = x if pre_activation is True else activated
        np.testing.assert_array_equal(numpy(block.shortcut_path(x)), passed)


def test_the_global_policy_is_taken_by_all_parts(rng):
    policy = "mixed_bfloat16"
    keras.config.set_dtype_policy(policy)
    block = BasicBlock(4)
    block.build((None, 5, 6, 3))
    keras.config.set_dtype_policy("float32")
    assert {part.dtype_policy.name for part in block._flatten_layers()} == {policy}
    x = feature_maps(rng)
    for part in (block.branch(x), block.shortcut_path(x), block(x)):
        assert keras.backend.standardize_dtype(part.dtype) == block.compute_dtype


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        (None, lambda x: x),
        (keras.ops.sin, np.sin),
        (cubed, lambda x: x**3),
    ],
)
def test_activations_are_names_or_functions(activation, formula, tmp_path, rng):
    x = feature_maps(rng)
    block = make_block(BasicBlock, x, activation=activation)
    hidden = formula(numpy(block.conv1(x)).astype("float64"))
    y = formula(numpy(block.conv2(hidden.astype("float32"))) + numpy(block.shortcut_path(x)))
    np.testing.assert_allclose(numpy(block(x)), y, rtol=1e-3, atol=1e-4)
    if activation is keras.ops.sin:  # which no file can name
        return
    inputs = keras.Input((5, 6, 3))
    keras.Model(inputs, block(inputs)).save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(reloaded(x)), numpy(block(x)))
    assert reloaded.layers[-1].activation is block.activation


class TestDropPath:
    def test_whole_branches_are_dropped_in_training(self, rng):
        """Per example: either the shortcut alone, or it and the branch divided by 1 - rate."""
        rate, batch = 0.25, 400
        x = rng.standard_normal((batch, 2, 2, 4)).astype("float32")
        block = make_block(BasicBlock, x, drop_path_rate=rate, activation=None)
        branch = numpy(block.branch(x, training=True))
        y = numpy(block(x, training=True))
        dropped = np.all(y == x, axis=(1, 2, 3))
        np.testing.assert_allclose(
            y[~dropped], (x + branch / (1 - rate))[~dropped], rtol=1e-4, atol=1e-5
        )
        # Binomial with a standard deviation of √(400 · 1/4 · 3/4) = 8.7.
        assert abs(dropped.sum() - rate * batch) < 4 * 8.7
        again = np.all(numpy(block(x, training=True)) == x, axis=(1, 2, 3))
        assert np.any(dropped != again)

    def test_inference_drops_none(self, rng):
        x = feature_maps(rng)
        block, without = make_block(BasicBlock, x, drop_path_rate=0.5), make_block(BasicBlock, x)
        np.testing.assert_array_equal(numpy(block(x)), numpy(without(x)))
        assert without.drop_path is None

    def test_it_is_saved(self, tmp_path, rng):
        x = feature_maps(rng)
        inputs = keras.Input((None, None, 3))
        block = BottleneckBlock(2, strides=2, drop_path_rate=0.3, dtype="mixed_bfloat16")
        model = keras.Model(inputs, block(inputs))
        randomize(block)
        assert np.all(np.isfinite(numpy(model(x, training=True))))
        model.save(tmp_path / "model.keras")
        reloaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(numpy(reloaded(x)), numpy(model(x)))
        assert reloaded.layers[-1].drop_path_rate == 0.3


@pytest.mark.parametrize("options", [{}, {"pre_activation": True}])
@pytest.mark.parametrize("cls", BLOCKS)
def test_dropout_before_the_last_convolution(cls, options, tmp_path, rng):
    """In training, a value is 0 with the rate's probability, and else divided by 1 - rate."""
    rate, x = 0.25, feature_maps(rng, 4, size=(16, 16))
    block = make_block(cls, x, 64, dropout_rate=rate, **options)
    without = make_block(cls, x, 64, **options)
    np.testing.assert_array_equal(numpy(block(x)), numpy(without(x)))
    *before, dropout, last = [layer.name for layer in block.branch_layers()]
    assert [*before, last] == [layer.name for layer in without.branch_layers()]

    ones = np.ones((400, 4, 4, 1), "float32")
    dropped = numpy(getattr(block, dropout)(ones, training=True))
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / (1 - rate)], rtol=1e-6)
    # Binomial with a standard deviation of √(6400 · 1/4 · 3/4) = 34.6.
    assert abs(np.sum(dropped == 0) - rate * 6400) < 4 * 34.6
    assert not np.allclose(numpy(block(x, training=True)), numpy(without(x, training=True)))

    inputs = keras.Input(x.shape[1:])
    keras.Model(inputs, block(inputs)).save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").layers[-1].dropout_rate == rate


class TestFormats:
    @requires_channels_first
    @pytest.mark.parametrize("cls", BLOCKS)
    @pytest.mark.parametrize(
        "options",
        [
            *({"strides": 2}, {"shortcut": "A", "strides": 2}, {"dilation": 2}),
            {"strides": 2, "shortcut": "D", "anti_alias": "blur", "se_ratio": 0.5},
            {"strides": 2, "anti_alias": "average", "pre_activation": True},
        ],
        ids=str,
    )
    def test_channels_first_equals_channels_last(self, cls, options, rng):
        x = feature_maps(rng)
        last = make_block(cls, x, **options)
        first = cls(4 // cls.expansion, data_format="channels_first", **options)
        first.build((2, 3, 5, 6))
        first.set_weights(last.get_weights())
        for training in (False, True):
            y = np.moveaxis(numpy(first(np.moveaxis(x, 3, 1), training=training)), 1, 3)
            np.testing.assert_allclose(y, numpy(last(x, training=training)), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("shortcut", ["A", "B", None])
    def test_channels_first_by_default(self, shortcut):
        keras.config.set_image_data_format("channels_first")
        block = BasicBlock(4, strides=2, shortcut=shortcut)
        assert block(keras.Input((3, 9, None))).shape == (None, 4, 5, None)
        assert block.conv1.norm.axis == 1
        keras.config.set_image_data_format("channels_last")
        assert BasicBlock.from_config(block.get_config()).data_format == "channels_first"

    @pytest.mark.skipif(BACKEND == "tensorflow", reason="oneDNN gives empty batches a wrong shape")
    @pytest.mark.parametrize("cls", BLOCKS)
    def test_empty_batch(self, cls):
        y = cls(4 // cls.expansion, strides=2)(np.ones((0, 5, 6, 3), "float32"))
        assert tuple(y.shape) == (0, 3, 3, 4)

    @requires_tensorflow
    @pytest.mark.parametrize(
        ("cls", "options", "jit_compile"),
        [
            (BasicBlock, {"shortcut": "A"}, False),
            (BottleneckBlock, {}, True),
            *(
                (BottleneckBlock, {"shortcut": "D", "se_ratio": 0.5, "anti_alias": "blur"}, jit)
                for jit in (False, True)
            ),
            (BasicBlock, {"pre_activation": True, "anti_alias": "average"}, False),
        ],
    )
    def test_a_graph_equals_eager(self, cls, options, jit_compile, rng):
        import tensorflow as tf

        x = feature_maps(rng)
        eager = make_block(cls, x, strides=2, **options)
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


@pytest.mark.parametrize(
    "options", [{}, *({"pre_activation": each} for each in (True, "both")), {"shortcut": None}]
)
def test_a_subclass_s_own_paths_are_those_of_the_sum(options, rng):
    class Doubled(BasicBlock):
        def branch(self, inputs, training=None):
            return 2.0 * super().branch(inputs, training)

    block = Doubled(4, activation=None, **options)
    x = rng.normal(size=(2, 5, 5, 4)).astype("float32")
    sums = numpy(block(x)) - (0.0 if block.shortcut is None else x)
    np.testing.assert_allclose(sums, 2.0 * numpy(BasicBlock.branch(block, x)), rtol=1e-5, atol=1e-5)

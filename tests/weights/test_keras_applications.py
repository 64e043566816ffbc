"""Parity with `keras.applications`: biases folded, another ε, the paper's stride."""

import dataclasses
import subprocess

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import resnet

import keras_resnets
from keras_resnets import convert_weights
from keras_resnets.architecture.plan import make_plan
from keras_resnets.cli.open_model import open_model
from keras_resnets.weights.recognition import recognize
from keras_resnets.weights.sources import source_arrays


def small_resnet(**options):
    """Two stages by the library's own code; the stem always has 64 filters."""

    def stages(x):
        x = resnet.stack_residual_blocks_v1(x, 64, 1, stride1=1, name="conv2")
        return resnet.stack_residual_blocks_v1(x, 16, 2, name="conv3")

    return resnet.ResNet(stages, preact=False, use_bias=True, weights=None, classes=7, **options)


def small_v2(**options):
    """Three stages with pre-activation, of which two stride in their last block."""

    def stages(x):
        x = resnet.stack_residual_blocks_v2(x, 64, 2, name="conv2")
        x = resnet.stack_residual_blocks_v2(x, 16, 3, name="conv3")
        return resnet.stack_residual_blocks_v2(x, 24, 2, stride1=1, name="conv4")

    return resnet.ResNet(stages, preact=True, use_bias=True, weights=None, classes=7, **options)


@pytest.fixture(scope="module")
def original():
    return randomized(small_resnet(input_shape=(65, 64, 3), classifier_activation=None))


def randomized(model):
    """Gives a network random statistics; some of its variances are as small as ε."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            variance = 10.0 ** generator.uniform(-6, 0, layer.gamma.shape)
            mean, beta = generator.normal(0, 0.1, (2, *layer.gamma.shape))
            gamma = generator.uniform(0.3, 0.6, layer.gamma.shape) * np.sqrt(variance)
            layer.set_weights([gamma, beta, mean, variance])
        elif isinstance(layer, keras.layers.Conv2D) and layer.use_bias:
            layer.bias.assign(generator.normal(0, 0.1, layer.bias.shape))
    return model


@pytest.fixture(scope="module")
def converted(original):
    return convert_weights(original, input_shape=(65, 64, 3), classifier_activation="linear")


def test_resnet50_is_recognized_by_the_names_of_all_its_arrays():
    with keras.StatelessScope(initialize_variables=False):
        weights = keras.applications.ResNet50(weights=None).weights
    checkpoint = recognize({each.path: np.broadcast_to(0.0, each.shape) for each in weights})
    spec = keras_resnets.ResNetSpec(block="bottleneck", repeats=(3, 4, 6, 3), stride_on="1x1")
    assert checkpoint.spec == spec
    biases = {each.path for each in weights if each.path.endswith("_conv/bias")}
    assert set(checkpoint.names.values()) | biases == {each.path for each in weights}


@pytest.mark.parametrize("size", [(65, 64), (97, 128)])
@pytest.mark.parametrize("source", ["model", "v2.keras", "v2.weights.h5"])
def test_networks_with_pre_activation(size, source, rng, tmp_path):
    original = randomized(small_v2(input_shape=(*size, 3), classifier_activation=None))
    if source.endswith(".keras"):
        original.save(tmp_path / source)
    elif source.endswith(".h5"):
        original.save_weights(tmp_path / source)
    model = convert_weights(
        original if source == "model" else tmp_path / source,
        input_shape=(*size, 3),
        classifier_activation=None,
    )
    spec = keras_resnets.model_spec(model)
    assert (spec.repeats, spec.widths, spec.pre_activation) == ((2, 3, 2), (64, 16, 24), "keras")
    strides = {"stage1": 8, "stage2": 16, "stage3": 16}
    assert keras_resnets.feature_strides(model) == strides
    images = rng.normal(size=(3, *size, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(original(images))
    assert np.std(expected) > 1e-3
    logits = keras.ops.convert_to_numpy(model(images))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert keras_resnets.model_preprocessing(model).mean == (0.5,) * 3


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_v2_networks_are_recognized_by_the_names_of_all_their_arrays(depth):
    with keras.StatelessScope(initialize_variables=False):
        weights = getattr(keras.applications, f"ResNet{depth}V2")(weights=None).weights
    checkpoint = recognize({each.path: np.broadcast_to(0.0, each.shape) for each in weights})
    row = keras_resnets.VARIANTS[f"resnet{depth}v2"]
    assert checkpoint.spec == dataclasses.replace(row, pre_activation="keras")
    biases = {name for of in checkpoint.family.bias_names(checkpoint.spec).values() for name in of}
    assert set(checkpoint.names.values()) | biases == {each.path for each in weights}
    # Facts of keras.applications: parameters in all, of which the biases are folded away.
    folded = sum(each.shape[0] for each in weights if each.path in biases)
    cost = make_plan(checkpoint.spec).cost(224, 3, 1000).parameters
    assert cost + folded == {50: 25_568_360, 101: 44_577_896, 152: 60_236_904}[depth]


def test_the_logits_are_the_same(original, converted, rng):
    images = rng.normal(0, 50, size=(3, 65, 64, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(original(images))
    assert np.std(expected) > 1e-3
    logits = keras.ops.convert_to_numpy(converted(images))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_the_bias_and_epsilon_are_folded_in_double_precision(original, converted):
    theirs = {weight.path: np.asarray(weight, "float64") for weight in original.weights}
    ours = {weight.path: np.asarray(weight) for weight in converted.weights}
    np.testing.assert_array_equal(
        ours["stage2_block2/conv2/norm/moving_mean"],
        (theirs["conv3_block2_2_bn/moving_mean"] - theirs["conv3_block2_2_conv/bias"]).astype(
            "float32"
        ),
    )
    np.testing.assert_allclose(
        ours["stage1_block1/projection/conv_norm/norm/moving_variance"] + 1e-5,
        theirs["conv2_block1_0_bn/moving_variance"] + 1.001e-5,
        rtol=1e-7,
    )


def test_it_is_the_paper_s_network_and_eats_bgr(converted):
    spec = keras_resnets.model_spec(converted)
    assert spec == keras_resnets.ResNetSpec(
        block="bottleneck", repeats=(1, 2), widths=(64, 16), stride_on="1x1"
    )
    preprocessing = keras_resnets.model_preprocessing(converted)
    assert preprocessing.channel_order == "bgr"
    assert preprocessing.mean == (103.939, 116.779, 123.68)


def test_the_other_stride_is_refused(original):
    spec = keras_resnets.ResNetSpec(block="bottleneck", repeats=(1,), widths=(4,))
    model = keras_resnets.build_model(spec, classes=7)
    with pytest.raises(ValueError, match=r"stride_on='1x1'\. Received: .*'3x3'"):
        convert_weights(original, model)


def test_a_bias_that_is_missing_or_misshapen_is_listed(original, converted):
    arrays = {weight.path: np.asarray(weight) for weight in original.weights}
    del arrays["conv2_block1_1_conv/bias"]
    arrays["conv1_conv/bias"] = np.zeros(3)
    with pytest.raises(ValueError, match="folded into") as caught:
        convert_weights(arrays, converted)
    assert (
        "'conv1_conv/bias' is float64 (3,), must be float (64,), "
        "folded into 'stem_conv/norm/moving_mean'"
    ) in str(caught.value)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras"])
def test_a_file_is_read_by_its_layers_names(original, converted, tmp_path, monkeypatch, suffix):
    """By whichever way it is opened; for a conversion, in one process for HDF5."""
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *args, **kwargs: started.append(args) or popen(*args, **kwargs)
    )
    path = tmp_path / f"resnet{suffix}"
    original.save_weights(path) if suffix == ".weights.h5" else original.save(path)
    opened = [open_model(str(path))]
    assert len(started) == 1
    spec = keras_resnets.ResNetSpec(block="bottleneck", repeats=(1, 2), widths=(64, 16))
    with pytest.warns(UserWarning, match="stride_on is the file's, '1x1', not '3x3'"):
        opened.append(keras_resnets.build_model(spec, classes=7, weights=path))
    for model in opened:
        assert keras_resnets.model_spec(model) == keras_resnets.model_spec(converted)
        for ours, expected in zip(model.weights, converted.weights, strict=True):
            np.testing.assert_array_equal(ours, expected)


@pytest.fixture
def small(tmp_path):
    """A compiled model of two of the library's layers, and both files of it."""
    image = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(2, 3, name="conv1_conv")(image)
    model = keras.Model(image, keras.layers.BatchNormalization(name="conv1_bn")(features))
    model.compile("sgd")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "small.keras")
    model.save_weights(tmp_path / "small.weights.h5")
    return model


@pytest.mark.parametrize("name", ["small.keras", "small.weights.h5"])
def test_the_arrays_of_a_file_have_the_model_s_names(small, tmp_path, name):
    arrays = source_arrays(tmp_path / name)
    assert arrays.keys() == {weight.path for weight in small.weights}
    for weight in small.weights:
        np.testing.assert_array_equal(arrays[weight.path], weight)


def test_files_without_names_or_with_one_twice_are_refused(small, tmp_path):
    path = tmp_path / "small.weights.h5"
    with h5py.File(path, "r+") as file:
        layers = file["layers"]
        file.copy(layers["conv2d"], layers, "conv2d_1")
    with pytest.raises(ValueError, match=r"not 'conv1_conv/\w+' twice\. Received: path="):
        convert_weights(path)
    with h5py.File(path, "r+") as file:
        del file["layers/conv2d/vars"].attrs["name"]
    with pytest.raises(ValueError, match=r"must name its layers.*give the model\. Received: path="):
        convert_weights(path)


def test_of_a_fine_tuned_model_the_backbone_is_converted():
    """As docs/converting.md says."""
    backbone = small_resnet(include_top=False, pooling="avg", name="resnet50")
    spec = recognize(source_arrays(backbone)).spec
    image = keras.Input((64, 64, 3))
    tuned = keras.Model(image, keras.layers.Dense(3, name="head")(backbone(image)))
    assert recognize(source_arrays(tuned)).left_out == ("head/kernel", "head/bias")
    model = keras_resnets.build_model(spec, include_top=False)
    with pytest.warns(UserWarning, match="left out.*'head/kernel'"):
        converted = convert_weights(tuned, model)
    kernel = converted.get_layer("stem_conv").conv.kernel
    np.testing.assert_array_equal(kernel, backbone.get_layer("conv1_conv").kernel)

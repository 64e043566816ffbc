"""The networks against two that were written elsewhere: NumPy's, and keras.applications'.

Where a rounding error carries a value across the kink of a ReLU, the gradient jumps, by more than
1e-4 in a small network already. So gradients are compared in 32 bits where no value is near a kink
or the activation is smooth, and beyond that in 64 bits, which TensorFlow alone computes throughout.
"""

import keras
import numpy as np
import pytest

from keras_resnets import ResNet50, ResNetSpec, build_model
from tests.backends import BACKEND, requires_tensorflow
from tests.gradients import value_and_gradients
from tests.layer_checks import numpy, randomize
from tests.models.numpy_network import Network

SPECS = {
    "A": ResNetSpec(block="basic", repeats=(1, 2), widths=(3, 4), stem="cifar", shortcut="A"),
    "B": ResNetSpec(block="basic", repeats=(2, 2), widths=(3, 4)),
    "bottleneck": ResNetSpec(block="bottleneck", repeats=(2, 1), widths=(2, 3)),
    "1x1": ResNetSpec(
        block="bottleneck",
        repeats=(1, 1),
        widths=(2, 3),
        stem="cifar",
        stride_on="1x1",
        activation="silu",
    ),
    "pre": ResNetSpec(
        **{"block": "basic", "repeats": (2, 1), "widths": (3, 4), "stem": "cifar"},
        **{"pre_activation": True, "shortcut": "A", "anti_alias": "blur", "activation": "silu"},
    ),
    "D": ResNetSpec(
        **{"block": "bottleneck", "repeats": (1, 1), "widths": (2, 3), "activation": "silu"},
        **{"stem": "deep", "stem_width": 5, "shortcut": "D", "anti_alias": "average"},
        **{"groups": 2, "width_per_group": 64, "se_ratio": 0.5},
    ),
    "all": ResNetSpec(
        **{"block": "bottleneck", "repeats": (1, 1), "widths": (2, 3), "activation": "silu"},
        **{"stem": "deep_strided", "pre_activation": True, "anti_alias": "blur", "groups": 2},
        **{"shortcut": "D", "se_ratio": 0.5},
    ),
}
HEAD = {"input_shape": (None, None, 3), "classes": 7, "classifier_activation": None}
MODES = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


def images(size, batch=2):
    return np.random.default_rng(0).standard_normal((batch, *size, 3)).astype("float32")


def factors(batch=2):
    return np.random.default_rng(1).standard_normal((batch, HEAD["classes"]))


def gradients(model, x, training, variables):
    """The gradients of Σ logits · factors with respect to the images and the variables."""
    images = keras.Variable(x)

    def loss():
        logits = model(keras.ops.convert_to_tensor(images), training=training)
        return keras.ops.sum(logits * keras.ops.cast(factors(len(x)), logits.dtype))

    return value_and_gradients(loss, [images, *variables])[1]


def assert_close(actual, expected, name, tolerance):
    """The difference relative to what is expected, both measured by the 2-norm."""
    difference = np.linalg.norm(actual - expected)
    assert difference <= tolerance * np.linalg.norm(expected), name


def check_against_numpy(spec, x, training, tolerance):
    """Compares logits, moving statistics and gradients; returns how near a ReLU's kink came."""
    model = build_model(spec, **HEAD)
    randomize(model)
    weights = {weight.path: numpy(weight).astype("float64") for weight in model.weights}
    network = Network(weights, spec, training)
    expected = network.logits(x.astype("float64"))
    assert_close(numpy(model(x, training=training)), expected, "logits", tolerance)
    for weight in model.weights:
        after = network.moving.get(weight.path, weights[weight.path])
        assert_close(numpy(weight), after, weight.path, tolerance)

    # Each gradient along a direction of ones and minus ones, against NumPy's slope there.
    rng = np.random.default_rng(2)
    inputs = {"images": x.astype("float64"), **weights}
    names = ["images", *(variable.path for variable in model.trainable_variables)]
    actual = gradients(model, x, training, model.trainable_variables)
    for name, gradient in zip(names, actual, strict=True):
        direction = rng.choice([-1.0, 1.0], size=gradient.shape)
        moved = {**inputs, name: inputs[name] + 1e-30j * direction}
        logits = Network(moved, spec, training).logits(moved["images"])
        slope = np.sum(logits.imag * factors(len(x))) / 1e-30
        difference = abs(np.sum(gradient * direction) - slope)
        assert difference <= tolerance * np.linalg.norm(gradient), name
    return network.margin


@pytest.mark.parametrize("name", SPECS)
@MODES
def test_numpy_computes_the_same(name, training):
    margin = check_against_numpy(SPECS[name], images((13, 20)), training, 1e-4)
    # Of ReLUs, some ten times the rounding error.
    assert margin > 1e-5 or SPECS[name].activation == "silu"


@requires_tensorflow
@pytest.mark.parametrize("name", ["A", "bottleneck"])
@MODES
def test_numpy_computes_the_same_in_64_bits(name, training):
    keras.config.set_dtype_policy("float64")
    check_against_numpy(SPECS[name], images((33, 47)), training, 1e-6)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX compiles these gradients for a minute or more")
def test_keras_applications_computes_the_same():
    """ResNet-50 with the stride on the first 1×1 convolution, weights copied over.

    The other network has biases in its convolutions, which the following normalization by the
    batch's own mean takes out again, and ε = 1.001e-5. In 32 bits the activation is smooth, and
    positive, for their pooling pads with zeros.
    """
    activation, policy, tolerance, x = "softplus", "float32", 1e-4, images((65, 97), batch=4)
    if BACKEND == "tensorflow":
        activation, policy, tolerance, x = "relu", "float64", 1e-6, images((33, 47))
    keras.config.set_dtype_policy(policy)
    theirs = keras_applications_resnet50(activation)
    ours = ResNet50(stride_on="1x1", activation=activation, **HEAD)

    of_theirs, of_ours = [], []
    for part, conv, norm in convolutions(theirs, ours):
        kernel, bias = conv.get_weights()
        gamma, beta, mean, variance = norm.get_weights()
        part.set_weights([kernel, gamma, beta, mean - bias, variance])
        part.norm.epsilon = norm.epsilon
        of_theirs += [conv.kernel, norm.gamma, norm.beta]
        of_ours += part.trainable_variables
    classifiers = [model.get_layer("predictions") for model in (theirs, ours)]
    classifiers[1].set_weights(classifiers[0].get_weights())
    of_theirs += classifiers[0].trainable_variables
    of_ours += classifiers[1].trainable_variables
    assert len(of_ours) == len(ours.trainable_variables)

    for training in (False, True):
        assert_close(
            *(numpy(model(x, training=training)) for model in (ours, theirs)), "logits", tolerance
        )
    expected = gradients(theirs, x, True, of_theirs)
    actual = gradients(ours, x, True, of_ours)
    names = ["images", *(variable.path for variable in of_ours)]
    for name, a, b in zip(names, actual, expected, strict=True):
        assert_close(a, b, name, tolerance)


def keras_applications_resnet50(activation):
    theirs = keras.applications.ResNet50(
        weights=None, include_top=False, input_shape=HEAD["input_shape"], pooling="avg"
    )
    logits = keras.layers.Dense(HEAD["classes"], name="predictions")(theirs.output)
    theirs = keras.Model(theirs.input, logits)
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.Activation):
            layer.activation = keras.activations.get(activation)
    randomize(theirs)
    return theirs


def convolutions(theirs, ours):
    """Yields our `ConvNorm`s, with their convolution and normalization."""
    stem = ours.get_layer("stem_conv")
    yield stem, theirs.get_layer("conv1_conv"), theirs.get_layer("conv1_bn")
    for stage, repeats in enumerate((3, 4, 6, 3), 1):
        for index in range(1, repeats + 1):
            block = ours.get_layer(f"stage{stage}_block{index}")
            parts = {1: block.conv1, 2: block.conv2, 3: block.conv3}
            if index == 1:
                parts[0] = block.shortcut_layer.conv_norm
            for number, part in parts.items():
                name = f"conv{stage + 1}_block{index}_{number}"
                yield part, theirs.get_layer(f"{name}_conv"), theirs.get_layer(f"{name}_bn")

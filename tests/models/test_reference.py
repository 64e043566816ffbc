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
from tests.models.numpy_network import Network, Node, backward

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
}
HEAD = {"input_shape": (None, None, 3), "classes": 7, "classifier_activation": None}
EACH = pytest.mark.parametrize("name", SPECS)
MODES = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


def built(spec):
    model = build_model(spec, **HEAD)
    randomize(model)
    return model


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


def check_against_numpy(model, spec, x, training, tolerance):
    """Compares logits, moving statistics and gradients; returns how near a ReLU's kink came."""
    weights = {weight.path: numpy(weight) for weight in model.weights}
    network = Network(weights, spec)
    function, distances = network.activation, []

    def watched(node):
        distances.append(np.abs(node.value).min() / node.value.std())
        return function(node)

    network.activation = watched
    image_node = Node(x.astype("float64"))
    expected = network.logits(image_node, training)
    assert_close(numpy(model(x, training=training)), expected.value, "logits", tolerance)
    for weight in model.weights:
        after = network.moving.get(weight.path, weights[weight.path])
        assert_close(numpy(weight), after, weight.path, tolerance)

    backward(expected, factors(len(x)))
    of_images, *others = gradients(model, x, training, model.trainable_variables)
    assert_close(of_images, image_node.gradient, "images", tolerance)
    for variable, gradient in zip(model.trainable_variables, others, strict=True):
        expected = network.weights[variable.path].gradient
        assert_close(gradient, expected, variable.path, tolerance)
    return min(distances)


@EACH
@MODES
def test_numpy_computes_the_same(name, training):
    spec = SPECS[name]
    distance = check_against_numpy(built(spec), spec, images((13, 20)), training, 1e-4)
    assert distance > 1e-5 or name == "1x1"  # some ten times the rounding error


@requires_tensorflow
@pytest.mark.parametrize("name", ["A", "bottleneck"])
@MODES
def test_numpy_computes_the_same_in_64_bits(name, training):
    keras.config.set_dtype_policy("float64")
    check_against_numpy(built(SPECS[name]), SPECS[name], images((33, 47)), training, 1e-6)


@EACH
@MODES
def test_gradients_of_numpy_are_slopes(name, training):
    """The reference itself: against a central difference along one random direction."""
    model = built(SPECS[name])
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 9, 12, 3))
    weights = {weight.path: numpy(weight).astype("float64") for weight in model.weights}
    trainable = [weight.path for weight in model.trainable_weights]
    directions = {path: rng.standard_normal(weights[path].shape) for path in trainable}
    x_direction = rng.standard_normal(x.shape)

    def run(step):
        moved = {path: value + step * directions.get(path, 0) for path, value in weights.items()}
        network = Network(moved, SPECS[name])
        image_node = Node(x + step * x_direction)
        return network, image_node, network.logits(image_node, training)

    network, image_node, logits = run(0.0)
    backward(logits, factors())
    slope = np.sum(image_node.gradient * x_direction) + sum(
        np.sum(network.weights[path].gradient * directions[path]) for path in trainable
    )
    step = 1e-6
    above, below = (np.sum(run(sign * step)[2].value * factors()) for sign in (1, -1))
    assert slope == pytest.approx((above - below) / (2 * step), rel=1e-5)


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

"""The networks against two that were written elsewhere: NumPy's, and keras.applications'.

Where a rounding error carries a value across the kink of a ReLU, the gradient jumps, by more than
1e-4 in a small network already. So the gradients of networks with ReLU are compared in float64,
which TensorFlow alone computes throughout; in float32, on every backend, those of networks with a
smooth activation, and of ResNet-20 with ReLU at a point where no value is near a kink.
"""

import functools

import keras
import numpy as np
import pytest

import keras_resnets
from tests.backends import BACKEND, requires_tensorflow
from tests.gradients import value_and_gradients
from tests.layer_checks import numpy, randomize
from tests.models.numpy_network import Network, Node, backward, relu, silu

REPEATS = (3, 4, 6, 3)
SETTINGS = {
    "resnet20": {"repeats": (3, 3, 3), "imagenet": False, "shortcut": "A"},
    "resnet18": {"repeats": (2, 2, 2, 2), "imagenet": True, "shortcut": "B"},
    "resnet50": {"repeats": REPEATS, "imagenet": True, "shortcut": "B", "bottleneck": True},
}
MODES = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
ACTIVATIONS = {"relu": relu, "silu": silu}
HEAD = {"input_shape": (None, None, 3), "classes": 7, "classifier_activation": None}


@pytest.fixture(scope="module")
def create():
    """Builds a model with random weights once, and gives it its weights back each time."""

    @functools.cache
    def build(name, activation, policy):
        keras.config.set_dtype_policy(policy)
        options = {"activation": activation, **HEAD}
        if name == "resnet50_v1":
            name, options["stride_on"] = "resnet50", "1x1"
        model = keras_resnets.create_model(name, **options)
        randomize(model)
        return model, model.get_weights()

    def create(name, activation="relu", policy="float32"):
        model, weights = build(name, activation, policy)
        model.set_weights(weights)
        return model

    return create


def images(size, batch=4):
    return np.random.default_rng(0).standard_normal((batch, *size, 3)).astype("float32")


def factors(batch=4):
    return np.random.default_rng(1).standard_normal((batch, HEAD["classes"]))


def gradients(model, x, training, variables):
    """The gradients of Σ logits · factors with respect to the images and the variables."""
    images = keras.Variable(x)

    def loss():
        logits = model(keras.ops.convert_to_tensor(images), training=training)
        return keras.ops.sum(logits * keras.ops.cast(factors(len(x)), logits.dtype))

    return value_and_gradients(loss, [images, *variables])[1]


def assert_close(actual, expected, name, tolerance=1e-4):
    """The difference relative to what is expected, both measured by the 2-norm."""
    difference = np.linalg.norm(actual - expected)
    assert difference <= tolerance * np.linalg.norm(expected), name


def numpy_network(model, name, activation="relu"):
    weights = {weight.path: numpy(weight) for weight in model.weights}
    return Network(weights, activation=ACTIVATIONS[activation], **SETTINGS[name])


def check_outputs(model, name, x, training):
    network = numpy_network(model, name)
    actual = numpy(model(x, training=training))
    expected = network.logits(Node(x.astype("float64")), training)
    assert_close(actual, expected.value, "logits")
    for weight in model.weights:
        before = network.weights[weight.path].value
        after = network.moving.get(weight.path, before)
        assert_close(numpy(weight), after, weight.path)


def check_gradients(model, network, x, training, tolerance=1e-4):
    actual = gradients(model, x, training, model.trainable_variables)
    image_node = Node(x.astype("float64"))
    backward(network.logits(image_node, training), factors(len(x)))
    assert_close(actual[0], image_node.gradient, "images", tolerance)
    for variable, gradient in zip(model.trainable_variables, actual[1:], strict=True):
        expected = network.weights[variable.path].gradient
        assert_close(gradient, expected, variable.path, tolerance)


@MODES
@pytest.mark.parametrize("name", SETTINGS)
def test_outputs_are_those_of_numpy(create, name, training):
    check_outputs(create(name), name, images((33, 47), batch=2), training)


@requires_tensorflow
@pytest.mark.parametrize(
    ("name", "training"), [("resnet20", False), ("resnet20", True), ("resnet50", True)]
)
def test_gradients_are_those_of_numpy(create, name, training):
    model = create(name, policy="float64")
    network = numpy_network(model, name)
    check_gradients(model, network, images((33, 47), batch=2), training, tolerance=1e-6)


@MODES
def test_gradients_in_32_bits_are_those_of_numpy(create, training):
    model = create("resnet18", activation="silu")
    network = numpy_network(model, "resnet18", activation="silu")
    check_gradients(model, network, images((33, 65), batch=2), training)


@MODES
def test_gradients_of_relu_in_32_bits_are_those_of_numpy(create, training):
    model = create("resnet20")
    network = numpy_network(model, "resnet20")
    distances = []

    def watched_relu(x):
        distances.append(np.abs(x.value).min() / x.value.std())
        return relu(x)

    network.activation = watched_relu
    check_gradients(model, network, images((9, 11), batch=2), training)
    assert min(distances) > 1e-5  # some ten times the rounding error


@MODES
@pytest.mark.parametrize(
    ("block", "options"),
    [
        ("basic", {"stem": "imagenet", "shortcut": "A"}),
        ("bottleneck", {"stem": "imagenet", "stride_on": "3x3"}),
        ("bottleneck", {"stem": "cifar", "stride_on": "1x1", "activation": "silu"}),
    ],
)
def test_gradients_of_numpy_are_slopes(block, options, training):
    """The reference itself: against a central difference along one random direction."""
    spec = keras_resnets.ResNetSpec(block=block, repeats=(2, 1), widths=(3, 4), **options)
    model = keras_resnets.build_model(spec, **HEAD)
    randomize(model)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 9, 12, 3))
    weights = {weight.path: numpy(weight).astype("float64") for weight in model.weights}
    trainable = [weight.path for weight in model.trainable_weights]
    directions = {path: rng.standard_normal(weights[path].shape) for path in trainable}
    x_direction = rng.standard_normal(x.shape)

    def run(step):
        moved = {path: value + step * directions.get(path, 0) for path, value in weights.items()}
        network = Network(
            moved,
            repeats=spec.repeats,
            bottleneck=block == "bottleneck",
            stride_on=spec.stride_on,
            imagenet=spec.stem == "imagenet",
            shortcut=spec.shortcut,
            activation=ACTIVATIONS[spec.activation],
        )
        image_node = Node(x + step * x_direction)
        return network, image_node, network.logits(image_node, training)

    network, image_node, logits = run(0.0)
    backward(logits, factors(2))
    slope = np.sum(image_node.gradient * x_direction) + sum(
        np.sum(network.weights[path].gradient * directions[path]) for path in trainable
    )
    step = 1e-6
    above, below = (np.sum(run(sign * step)[2].value * factors(2)) for sign in (1, -1))
    assert slope == pytest.approx((above - below) / (2 * step), rel=1e-5)


@pytest.fixture(scope="module")
def create_theirs():
    """`keras.applications.ResNet50` with random weights, built once."""

    @functools.cache
    def build(activation, policy):
        keras.config.set_dtype_policy(policy)
        theirs = keras.applications.ResNet50(
            weights=None, include_top=False, input_shape=HEAD["input_shape"], pooling="avg"
        )
        logits = keras.layers.Dense(HEAD["classes"], name="predictions")(theirs.output)
        theirs = keras.Model(theirs.input, logits)
        for layer in theirs.layers:
            if isinstance(layer, keras.layers.Activation):
                layer.activation = keras.activations.get(activation)
        randomize(theirs)
        return theirs, theirs.get_weights()

    def create(activation="relu", policy="float32"):
        theirs, weights = build(activation, policy)
        theirs.set_weights(weights)
        return theirs

    return create


class TestKerasApplications:
    """ResNet-50 with the stride on the first 1×1 convolution, weights copied over.

    The other network has biases in its convolutions, which the following normalization by the
    batch's own mean takes out again, and ε = 1.001e-5.
    """

    epsilon = 1.001e-5

    def copy_weights(self, theirs, ours):
        for part, conv, norm in self.convolutions(theirs, ours):
            kernel, bias = conv.get_weights()
            gamma, beta, mean, variance = norm.get_weights()
            part.set_weights([kernel, gamma, beta, mean - bias, variance])
            part.norm.epsilon = self.epsilon
            assert norm.epsilon == self.epsilon
        ours.get_layer("predictions").set_weights(theirs.get_layer("predictions").get_weights())

    def convolutions(self, theirs, ours):
        """Yields our `ConvNorm`s, with their convolution and normalization."""
        stem = ours.get_layer("stem_conv")
        yield stem, theirs.get_layer("conv1_conv"), theirs.get_layer("conv1_bn")
        for stage, repeats in enumerate(REPEATS, 1):
            for index in range(1, repeats + 1):
                block = ours.get_layer(f"stage{stage}_block{index}")
                parts = {1: block.conv1, 2: block.conv2, 3: block.conv3}
                if index == 1:
                    parts[0] = block.shortcut_layer.conv_norm
                for number, part in parts.items():
                    name = f"conv{stage + 1}_block{index}_{number}"
                    yield part, theirs.get_layer(f"{name}_conv"), theirs.get_layer(f"{name}_bn")

    @MODES
    def test_outputs(self, create, create_theirs, training):
        theirs, ours = create_theirs(), create("resnet50_v1")
        self.copy_weights(theirs, ours)
        x = images((65, 47), batch=2)
        actual, expected = (numpy(model(x, training=training)) for model in (ours, theirs))
        assert_close(actual, expected, "logits")

    @requires_tensorflow
    def test_gradients(self, create, create_theirs):
        theirs, ours = create_theirs(policy="float64"), create("resnet50_v1", policy="float64")
        x = images((33, 47), batch=2)
        self.check_gradients(theirs, ours, x, training=True, tolerance=1e-6)

    @pytest.mark.skipif(BACKEND == "tensorflow", reason="compared in 64 bits")
    def test_gradients_in_32_bits(self, create, create_theirs):
        # Positive values, for their pooling pads with zeros.
        theirs, ours = create_theirs("softplus"), create("resnet50_v1", "softplus")
        self.check_gradients(theirs, ours, images((65, 97)), training=True)

    def check_gradients(self, theirs, ours, x, training, tolerance=1e-4):
        self.copy_weights(theirs, ours)
        of_theirs, of_ours = [], []
        for part, conv, norm in self.convolutions(theirs, ours):
            of_theirs += [conv.kernel, norm.gamma, norm.beta]
            of_ours += part.trainable_variables
        of_theirs += theirs.get_layer("predictions").trainable_variables
        of_ours += ours.get_layer("predictions").trainable_variables
        assert len(of_ours) == len(ours.trainable_variables)

        expected = gradients(theirs, x, training, of_theirs)
        actual = gradients(ours, x, training, of_ours)
        names = ["images", *(variable.path for variable in of_ours)]
        for name, a, b in zip(names, actual, expected, strict=True):
            assert_close(a, b, name, tolerance)

"""The optimizers, step by step against NumPy and PyTorch."""

import keras
import numpy as np
import pytest

import keras_resnets
from training.optim.optimizers import LAMB, build_optimizer, is_norm_or_bias
from training.optim.schedules import PiecewiseLinear
from training.recipe.recipe import Optimizer, Recipe

SHAPES = {"kernel": (3, 4), "gamma": (4,), "bias": (4,), "convolution": (3, 3, 2, 4)}
STEPS = 12


def constant(rate):
    return PiecewiseLinear([0], [rate])


class Weights:
    """What `build_optimizer` needs of a model."""

    def __init__(self, rng):
        self.trainable_variables = [
            keras.Variable(rng.standard_normal(shape, "float32"), name=name)
            for name, shape in SHAPES.items()
        ]

    def values(self):
        return [np.array(variable) for variable in self.trainable_variables]


@pytest.fixture
def weights(rng):
    return Weights(rng)


@pytest.fixture
def gradients(rng):
    """Gradients of each weight at each step."""
    return [
        [rng.standard_normal(shape, "float32") for shape in SHAPES.values()] for _ in range(STEPS)
    ]


def trained(weights, gradients, rate=0.05, **fields):
    """Yields the weights after each step."""
    recipe = Recipe(optimizer=Optimizer(learning_rate=rate, **fields))
    optimizer = build_optimizer(recipe, constant(rate), weights)
    for step in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in step])
        yield weights.values()


def assert_same_steps(steps, expected, tolerance=1e-6):
    for number, (one, other) in enumerate(zip(steps, expected, strict=True)):
        for name, value, wanted in zip(SHAPES, one, other, strict=True):
            np.testing.assert_allclose(
                value, wanted, rtol=tolerance, atol=tolerance, err_msg=f"{name}, step {number}"
            )


def numpy_sgd(values, gradients, rate, momentum, nesterov, decay, coupled, exempt):
    values = [value.astype("float64") for value in values]
    velocities = [np.zeros_like(value) for value in values]
    for step in gradients:
        for index, gradient in enumerate(step):
            weight = values[index]
            decays = not exempt or weight.ndim > 1
            if decays and coupled:
                gradient = gradient + decay * weight
            velocities[index] = momentum * velocities[index] - rate * gradient
            move = velocities[index]
            if nesterov:
                move = momentum * velocities[index] - rate * gradient
            if decays and not coupled:
                move = move - rate * decay * weight
            values[index] = weight + move
        yield values


def numpy_adam(name, values, gradients, rate, decay, exempt):
    """Algorithm 2 of Loshchilov and Hutter, 2019, as in PyTorch, or of You et al., 2020."""
    epsilon = 1e-8 if name == "adamw" else 1e-6
    values = [value.astype("float64") for value in values]
    moments = [(np.zeros_like(value), np.zeros_like(value)) for value in values]
    for t, step in enumerate(gradients, start=1):
        for index, gradient in enumerate(step):
            weight, (m, v) = values[index], moments[index]
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            moments[index] = m, v
            update = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + epsilon)
            decays = not exempt or weight.ndim > 1
            if decays and name == "adamw":
                weight = weight - rate * decay * weight
            elif decays:
                update = update + decay * weight
                update *= np.linalg.norm(weight) / np.linalg.norm(update)
            values[index] = weight - rate * update
        yield values


@pytest.mark.parametrize("exempt", [False, True])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(weights, gradients, nesterov, coupled, exempt):
    expected = numpy_sgd(weights.values(), gradients, 0.05, 0.9, nesterov, 0.1, coupled, exempt)
    fields = {"decay": "coupled" if coupled else "decoupled", "decay_norm_and_bias": not exempt}
    steps = trained(weights, gradients, nesterov=nesterov, weight_decay=0.1, **fields)
    assert_same_steps(steps, expected)


def test_the_rate_is_within_the_momentum(weights, gradients):
    """As in Caffe: when the rate falls to 0, half of the last step follows, not nothing."""
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.0])
    fields = Optimizer(momentum=0.5, weight_decay=0.0)
    optimizer = build_optimizer(Recipe(optimizer=fields), schedule, weights)
    before = weights.values()
    optimizer.apply(gradients[0])
    optimizer.apply(gradients[1])
    for start, end, gradient in zip(before, weights.values(), gradients[0], strict=True):
        np.testing.assert_allclose(end, start - 1.5 * gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "size"),
    [("adamw", 1.0), ("adamw", 1e-8), ("lamb", 1.0)],  # ε must not be scaled
)
@pytest.mark.parametrize("exempt", [False, True])
def test_adamw_and_lamb(weights, gradients, name, size, exempt):
    gradients = [[np.float32(size) * gradient for gradient in step] for step in gradients]
    expected = numpy_adam(name, weights.values(), gradients, 0.05, 0.1, exempt)
    fields = {"name": name, "decay": "decoupled", "decay_norm_and_bias": not exempt}
    assert_same_steps(trained(weights, gradients, weight_decay=0.1, **fields), expected)


def test_lamb_without_decay_is_keras_s(weights, gradients):
    other = [keras.Variable(value) for value in weights.values()]
    reference = keras.optimizers.Lamb(0.05, epsilon=1e-6)
    steps = trained(weights, gradients, name="lamb", weight_decay=0.0, decay="decoupled")
    for step, values in zip(gradients, steps, strict=True):
        reference.apply(step, other)
        assert_same_steps([values], [[np.array(variable) for variable in other]])


@pytest.mark.parametrize(("weight", "gradient"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_lamb_s_ratio_is_1_where_a_norm_is_0(weight, gradient):
    variable = keras.Variable(np.full((2, 2), weight, "float32"))
    optimizer = LAMB(0.1)
    optimizer.apply([keras.ops.full((2, 2), gradient)], [variable])
    expected = weight - 0.1 * (gradient / (abs(gradient) + 1e-6))
    np.testing.assert_allclose(np.array(variable), expected, rtol=1e-6)


@pytest.mark.parametrize("exempt", [False, True])
@pytest.mark.parametrize("name", ["sgd", "nesterov", "adamw", "adamw, small gradients"])
def test_the_same_steps_as_in_torch(weights, gradients, name, exempt):
    torch = pytest.importorskip("torch")
    if "small" in name:
        gradients = [[np.float32(1e-8) * gradient for gradient in step] for step in gradients]
    parameters = [torch.nn.Parameter(torch.tensor(value)) for value in weights.values()]
    groups = [
        {"params": [each], "weight_decay": 0.1 if not exempt or each.ndim > 1 else 0.0}
        for each in parameters
    ]
    if "adamw" in name:
        reference = torch.optim.AdamW(groups, lr=0.05)
        fields = {"name": "adamw", "decay": "decoupled"}
    else:
        nesterov = name == "nesterov"
        reference = torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=nesterov)
        fields = {"nesterov": nesterov}

    def torch_steps():
        for step in gradients:
            for parameter, gradient in zip(parameters, step, strict=True):
                parameter.grad = torch.tensor(gradient)
            reference.step()
            yield [parameter.detach().numpy() for parameter in parameters]

    steps = trained(weights, gradients, weight_decay=0.1, decay_norm_and_bias=not exempt, **fields)
    assert_same_steps(steps, torch_steps())


@pytest.mark.parametrize("name", ["sgd", "adamw", "lamb"])
def test_some_of_the_weights_can_be_trained_alone(weights, gradients, name):
    """As a classifier is, before the rest of its network."""
    decay = "coupled" if name == "sgd" else "decoupled"
    recipe = Recipe(optimizer=Optimizer(name=name, decay=decay))
    optimizer = build_optimizer(recipe, constant(0.1), weights)
    before = weights.values()
    optimizer.apply(gradients[0][2:], weights.trainable_variables[2:])
    after = weights.values()
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1], before[1])
    assert np.all(after[2] != before[2])
    optimizer.apply(gradients[1], weights.trainable_variables)
    assert np.all(weights.values()[0] != before[0])


def test_loss_scaling_leaves_the_step_as_it_is_and_skips_what_is_not_finite(weights, gradients):
    pytest.importorskip("tensorflow")
    fields = Optimizer(weight_decay=0.1, nesterov=True)
    recipe = Recipe(precision="mixed_float16", optimizer=fields)
    optimizer = build_optimizer(recipe, constant(0.05), weights)
    expected = numpy_sgd(weights.values(), gradients, 0.05, 0.9, True, 0.1, True, False)
    assert float(optimizer.scale_loss(1.0)) == 2.0**15
    bad = [np.full_like(gradients[0][0], np.inf), *gradients[0][1:]]
    before = weights.values()
    optimizer.apply(bad)
    for one, other in zip(before, weights.values(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert float(optimizer.scale_loss(1.0)) == 2.0**14
    assert int(optimizer.iterations) == 0
    for step, values in zip(gradients, expected, strict=True):
        optimizer.apply([2.0**14 * gradient for gradient in step])
        assert_same_steps([weights.values()], [values])


def test_norm_and_bias_are_the_weights_with_one_dimension():
    model = keras_resnets.ResNet20()
    for variable in model.trainable_variables:
        is_kernel = variable.name == "kernel"
        assert is_norm_or_bias(variable) != is_kernel

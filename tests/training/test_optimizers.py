"""The optimizers, step by step against NumPy and PyTorch."""

import keras
import numpy as np
import pytest

from tests.subprocesses import run_module
from training.optim.optimizers import LAMB, AdamW, CoupledSGD, build_optimizer, is_norm_or_bias
from training.optim.schedules import constant
from training.recipe.recipe import Optimizer, Recipe

SHAPES = {"kernel": (3, 4), "gamma": (4,), "bias": (4,), "convolution": (3, 3, 2, 4)}
STEPS = 12


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


def numpy_lamb(values, gradients, rate, decay, exempt):
    """Algorithm 2 of the paper; weights that are exempt take Adam's step, as in timm."""
    values = [value.astype("float64") for value in values]
    moments = [(np.zeros_like(value), np.zeros_like(value)) for value in values]
    for t, step in enumerate(gradients, start=1):
        for index, gradient in enumerate(step):
            weight = values[index]
            m, v = moments[index]
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            moments[index] = m, v
            update = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6)
            if not exempt or weight.ndim > 1:
                update = update + decay * weight
                update *= np.linalg.norm(weight) / np.linalg.norm(update)
            values[index] = weight - rate * update
        yield values


@pytest.mark.parametrize("exempt", [False, True])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(weights, gradients, nesterov, coupled, exempt):
    expected = numpy_sgd(weights.values(), gradients, 0.05, 0.9, nesterov, 0.1, coupled, exempt)
    steps = trained(
        weights,
        gradients,
        nesterov=nesterov,
        weight_decay=0.1,
        decay="coupled" if coupled else "decoupled",
        decay_norm_and_bias=not exempt,
    )
    assert_same_steps(steps, expected)


def test_coupled_decay_without_momentum_is_decoupled_decay(rng, gradients):
    fields = {"momentum": 0.0, "weight_decay": 0.1}
    coupled, decoupled = Weights(rng), Weights(np.random.default_rng(0))
    for source, target in zip(
        coupled.trainable_variables, decoupled.trainable_variables, strict=True
    ):
        target.assign(source)
    assert_same_steps(
        trained(coupled, gradients, **fields),
        trained(decoupled, gradients, decay="decoupled", **fields),
    )


def test_coupled_decay_is_ten_times_as_strong_as_decoupled_decay_with_momentum(rng):
    """With momentum 0.9 and no gradients, the shrinking goes on through the velocity."""
    none = [[np.zeros(shape, "float32") for shape in SHAPES.values()]] * 100
    shrunk = {}
    for decay in ("coupled", "decoupled"):
        weights = Weights(np.random.default_rng(0))
        before = weights.values()[0]
        *_, after = trained(weights, none, rate=1e-3, weight_decay=0.1, decay=decay)
        shrunk[decay] = np.log(np.linalg.norm(before) / np.linalg.norm(after[0]))
    # By 100 · 1e-4, and by ten times that but for the first 10 steps of the velocity.
    assert shrunk["decoupled"] == pytest.approx(0.01, rel=1e-3)
    assert shrunk["coupled"] == pytest.approx(10 * 0.01 * 90 / 100, rel=0.03)


def test_the_rate_stands_within_the_momentum(weights, gradients):
    """As in Caffe: when the rate falls to 0, half of the last step follows, not nothing."""
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.0])
    fields = Optimizer(momentum=0.5, weight_decay=0.0)
    optimizer = build_optimizer(Recipe(optimizer=fields), schedule, weights)
    before = weights.values()
    optimizer.apply(gradients[0])
    optimizer.apply(gradients[1])
    for start, end, gradient in zip(before, weights.values(), gradients[0], strict=True):
        np.testing.assert_allclose(end, start - 1.5 * gradient, rtol=1e-5, atol=1e-6)


def numpy_adamw(values, gradients, rate, decay, exempt):
    """Algorithm 2 of Loshchilov and Hutter, 2019, with the decay times the rate, as in PyTorch."""
    values = [value.astype("float64") for value in values]
    moments = [(np.zeros_like(value), np.zeros_like(value)) for value in values]
    for t, step in enumerate(gradients, start=1):
        for index, gradient in enumerate(step):
            m, v = moments[index]
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            moments[index] = m, v
            weight = values[index]
            if not exempt or weight.ndim > 1:
                weight = weight - rate * decay * weight
            values[index] = weight - rate * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        yield values


@pytest.mark.parametrize("size", [1.0, 1e-8])  # ε is 1e-8: it must not be scaled
@pytest.mark.parametrize("exempt", [False, True])
def test_adamw(weights, gradients, exempt, size):
    gradients = [[np.float32(size) * gradient for gradient in step] for step in gradients]
    expected = numpy_adamw(weights.values(), gradients, 0.05, 0.1, exempt)
    fields = {"name": "adamw", "decay": "decoupled", "decay_norm_and_bias": not exempt}
    steps = trained(weights, gradients, weight_decay=0.1, **fields)
    assert_same_steps(steps, expected)


def test_adamw_s_first_step_with_a_gradient_of_epsilon_is_half_the_rate():
    """m̂ = 1e-8 and √v̂ = 1e-8, so m̂ / (√v̂ + ε) is 1 / 2."""
    variable = keras.Variable(np.zeros(3, "float32"))
    AdamW(0.1).apply([keras.ops.full((3,), 1e-8)], [variable])
    np.testing.assert_allclose(np.array(variable), -0.05, rtol=1e-6)


@pytest.mark.parametrize("exempt", [False, True])
def test_lamb(weights, gradients, exempt):
    expected = numpy_lamb(weights.values(), gradients, 0.05, 0.1, exempt)
    steps = trained(
        weights,
        gradients,
        name="lamb",
        weight_decay=0.1,
        decay="decoupled",
        decay_norm_and_bias=not exempt,
    )
    assert_same_steps(steps, expected)


def test_lamb_without_decay_is_keras_s(rng, gradients):
    ours, kerass = Weights(rng), Weights(np.random.default_rng(0))
    for source, target in zip(ours.trainable_variables, kerass.trainable_variables, strict=True):
        target.assign(source)
    reference = keras.optimizers.Lamb(0.05, epsilon=1e-6)
    steps = trained(ours, gradients, name="lamb", weight_decay=0.0, decay="decoupled")
    for step, values in zip(gradients, steps, strict=True):
        reference.apply(step, kerass.trainable_variables)
        assert_same_steps([values], [kerass.values()])


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
        {
            "params": [parameter],
            "weight_decay": 0.1 if not exempt or parameter.ndim > 1 else 0.0,
        }
        for parameter in parameters
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


def test_the_rate_follows_the_schedule(weights, gradients):
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.0])
    fields = Optimizer(momentum=0.0, weight_decay=0.0)
    optimizer = build_optimizer(Recipe(optimizer=fields), schedule, weights)
    before = weights.values()
    optimizer.apply(gradients[0])
    first = weights.values()
    optimizer.apply(gradients[1])
    for start, one, two, gradient in zip(
        before, first, weights.values(), gradients[0], strict=True
    ):
        np.testing.assert_allclose(one, start - gradient, rtol=1e-6)
        np.testing.assert_array_equal(two, one)


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


@pytest.mark.parametrize(
    "optimizer",
    [
        CoupledSGD(0.1, coupled_decay=0.2, decay_norm_and_bias=False, momentum=0.5, nesterov=True),
        AdamW(0.1, weight_decay=0.2, beta_2=0.9, epsilon=1e-5),
        LAMB(0.1, layer_decay=0.2, adapt_norm_and_bias=False, beta_1=0.8, epsilon=1e-5),
    ],
)
def test_an_optimizer_is_serializable(optimizer):
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()


def test_norm_and_bias_are_the_weights_with_one_dimension():
    import keras_resnets

    model = keras_resnets.ResNet20()
    for variable in model.trainable_variables:
        is_kernel = variable.name == "kernel"
        assert is_norm_or_bias(variable) != is_kernel


@pytest.mark.slow
def test_two_devices_take_the_steps_of_one():
    pytest.importorskip("tensorflow")
    results = run_module("tests.training.mirrored_optimizers", KERAS_BACKEND="tensorflow")
    assert len(results) == 3
    for name, (difference, one, two) in results.items():
        assert difference < 1e-6, name
        assert one == two
    assert results["sgd, plateau"][1] == pytest.approx([0.1, 0.5, 0.0])  # it fell once
    assert results["lamb, until"][1][1] == 1.0  # it was over

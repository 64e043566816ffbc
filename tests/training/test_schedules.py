"""The learning rate at the boundaries, by hand."""

import keras
import numpy as np
import pytest

from training.optim.schedules import (
    PiecewiseLinear,
    WarmupUntilAccuracy,
    build_schedule,
    peak_learning_rate,
)
from training.recipe.fields import to_steps
from training.recipe.files import load_recipe
from training.recipe.recipe import Optimizer, Recipe, Schedule


def constant(rate):
    return PiecewiseLinear([0], [rate])


def schedule(length="100 steps", rate=1.0, **fields):
    """Returns a schedule over 100 steps with a peak of 1; an epoch has 10 steps."""
    recipe = Recipe(
        batch=10,
        length=length,
        optimizer=Optimizer(learning_rate=rate),
        schedule=Schedule(**fields),
    )
    return build_schedule(recipe, examples=100)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "constant"}, {0: 1, 50: 1, 99: 1}),
        (
            {"name": "constant", "warmup": "1 epochs", "warmup_from": 0.2},
            {0: 0.2, 5: 0.6, 9: 0.92, 10: 1, 99: 1},
        ),
        (
            {"name": "step", "boundaries": ("3 epochs", "60 steps", "800 examples")},
            {0: 1, 29: 1, 30: 0.1, 59: 0.1, 60: 0.01, 79: 0.01, 80: 0.001, 99: 0.001},
        ),
        # The boundaries count from the start of the run, also with a warm-up.
        (
            {"name": "step", "boundaries": ("30 steps",), "factor": 0.5, "warmup": "5 steps"},
            {0: 0, 1: 0.2, 4: 0.8, 5: 1, 29: 1, 30: 0.5, 99: 0.5},
        ),
        ({"name": "cosine"}, {0: 1, 25: (1 + 0.5**0.5) / 2, 50: 0.5, 100: 0, 200: 0}),
        ({"name": "cosine", "final": 0.1}, {0: 1, 50: 0.55, 100: 0.1}),
        (
            {"name": "cosine", "warmup": "20 steps", "warmup_from": 0.1},
            {0: 0.1, 10: 0.55, 20: 1, 60: 0.5, 80: (1 - 0.5**0.5) / 2, 100: 0},
        ),
        ({"name": "polynomial"}, {0: 1, 1: 0.99, 50: 0.5, 99: 0.01, 100: 0, 200: 0}),
        ({"name": "polynomial", "power": 2.0, "final": 0.2}, {0: 1, 50: 0.4, 100: 0.2}),
        (
            {"name": "polynomial", "warmup": "20 steps"},
            {0: 0, 10: 0.5, 19: 0.95, 20: 1, 60: 0.5, 99: 1 / 80, 100: 0},
        ),
        (
            {"name": "onecycle", "warmup": "40 steps", "warmup_from": 0.1, "final": 0.01},
            {0: 0.1, 20: 0.55, 40: 1, 60: 0.55, 80: 0.1, 90: 0.055, 100: 0.01, 200: 0.01},
        ),
    ],
)
@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_the_rate_at_the_boundaries(fields, expected, rate):
    rates = schedule(rate=rate, **fields)
    for step, value in expected.items():
        assert float(rates(step)) == pytest.approx(rate * value, abs=1e-7), step
        as_counted = keras.ops.cast(step, "int64")  # as an optimizer counts
        assert float(rates(as_counted)) == pytest.approx(rate * value, abs=1e-7), step


@pytest.mark.parametrize(
    ("batch", "reference", "peak"), [(256, 0, 0.1), (256, 256, 0.1), (8192, 256, 3.2)]
)
def test_linear_scaling_by_the_batch(batch, reference, peak):
    recipe = Recipe(batch=batch, optimizer=Optimizer(learning_rate=0.1, reference_batch=reference))
    assert peak_learning_rate(recipe) == pytest.approx(peak)
    assert float(build_schedule(recipe, 50_000)(0)) == pytest.approx(peak)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"warmup": "10 epochs"}, "pass --schedule.warmup '10 steps', or"),
        ({"name": "onecycle", "warmup": "5 epochs"}, "pass --schedule.warmup '10 steps', or"),
        ({"name": "step", "boundaries": ("10 epochs",)}, "pass --schedule.boundaries '50 steps',"),
        (
            {"name": "step", "boundaries": ("20 steps", "1 epochs"), "warmup": "11 epochs"},
            "pass --schedule.warmup '10 steps' --schedule.boundaries '33 steps' '66 steps', or",
        ),
    ],
)
def test_what_only_the_size_of_the_data_shows_is_an_error(fields, words):
    with pytest.raises(ValueError, match=f"{words}.*Received: .*100 steps"):
        schedule(**fields)


def test_a_plateau_lowers_the_rate_counts_anew_and_remembers_the_best():
    rates = schedule(name="plateau", factor=0.5, patience=2)
    seen = []
    for accuracy in (0.3, 0.5, 0.5, 0.6, 0.6, 0.4, 0.5, 0.7, 0.7, 0.2):
        rates.observe_evaluation(accuracy)
        seen.append(float(rates(7)))
    #       better, better, 1,   better, 1,   2,   1,   better, 1,   2
    assert seen == [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_the_paper_s_rule_for_depth_110():
    rates = schedule(
        rate=0.1,
        name="step",
        boundaries=("50 steps",),
        warmup_from=0.1,
        warmup_until_accuracy=0.2,
    )
    rates.observe_step(1.0)  # running average 0.1
    assert float(rates(60)) == pytest.approx(0.01)
    rates.observe_step(1.0)  # 0.19
    assert float(rates(1)) == pytest.approx(0.01)
    rates.observe_step(0.3)  # 0.201
    assert float(rates(2)) == pytest.approx(0.1)
    for _ in range(100):
        rates.observe_step(0.0)  # once over, it stays over
    assert float(rates(49)) == pytest.approx(0.1)
    assert float(rates(50)) == pytest.approx(0.01)


def test_steps_are_observed_within_a_graph():
    tf = pytest.importorskip("tensorflow")
    rates = WarmupUntilAccuracy(constant(0.1), rate=0.01, accuracy=0.2)

    @tf.function
    def train(accuracies):
        total = tf.zeros(())
        for accuracy in accuracies:
            total += rates(0)
            rates.observe_step(accuracy)
        return total

    # 0.1 and 0.19 are too low; from the fourth step on, the rate is the high one.
    assert float(train(tf.constant([1.0, 1.0, 1.0, 1.0, 1.0]))) == pytest.approx(3 * 0.01 + 2 * 0.1)


@pytest.mark.parametrize("name", ["plateau", "constant"])
def test_what_was_observed_is_in_the_variables(name):
    fields = {"name": name}
    if name == "constant":
        fields |= {"warmup_from": 0.1, "warmup_until_accuracy": 0.15}
    old, new = schedule(**fields), schedule(**fields)
    for accuracy in (0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9):
        old.observe_step(accuracy)
        old.observe_evaluation(accuracy)
    assert float(old(0)) != float(new(0))
    for source, target in zip(old.variables, new.variables, strict=True):
        target.assign(np.array(source))
    assert float(old(0)) == float(new(0))
    for schedule_ in (old, new):
        schedule_.observe_evaluation(0.8)
    assert [float(v) for v in old.variables] == [float(v) for v in new.variables]


@pytest.mark.parametrize(
    ("name", "examples", "steps", "expected"),
    [
        # Section 3 of the paper: a fifth after 60, 120 and 160 of 200 epochs.
        (
            "cifar10_wrn",
            50_000,
            78_125,
            {0: 0.1, 59: 0.1, 61: 0.02, 121: 0.004, 159: 0.004, 161: 8e-4},
        ),
        # 0.1 a 256 images, from 0 in 5 epochs, then half a cosine; at half the way, a half.
        ("imagenet_bag_of_tricks", 1_281_167, 250_228, {0: 0, 2.5: 0.2, 5: 0.4, 102.5: 0.2}),
        # The steps are those of its code's settings.
        ("imagenet_resnet_rs", 1_281_167, 109_475, {0: 0, 2.5: 0.8, 5: 1.6, 177.5: 0.8, 350: 0}),
    ],
)
def test_recipes_of_the_wider_family_have_their_papers_rates(name, examples, steps, expected):
    recipe = load_recipe(name)
    assert to_steps(recipe.length, recipe.batch, examples) == steps
    rates = build_schedule(recipe, examples)
    for epoch, rate in expected.items():
        step = epoch * examples / recipe.batch
        assert float(rates(step)) == pytest.approx(rate, rel=1e-3, abs=1e-4 * (rate == 0))

"""Why does a shortcut skip two layers and not one?"""

import itertools
import json

import keras
import numpy as np

from keras_resnets import build_model, with_blocks
from keras_resnets.analysis import assert_same_cost, count_macs, merge_one_layer_block
from keras_resnets.layers import StackedBlock
from training.recipe.recipe import Model
from training.studies.reading import (
    END_CAPTION,
    ERROR_HEADER,
    ERRORS_CAPTION,
    SHORT_RUNS,
    draw_errors,
    error_columns,
    test_error,
)
from training.studies.recipes import CIFAR_WIDTHS, cifar_spec, study_recipe
from training.studies.study import Report, Study

LAYERS_A_STAGE = 6
DEPTHS = (1, 2, 3)
ACTIVATIONS = {"ReLU": "relu", "sigmoid": "sigmoid", "none": "linear"}
STAGES = {"quick": 2, "full": 3}
LENGTHS = {"quick": "8 epochs", "full": "4 epochs"}


def _spec(budget, depth, activation):
    stages = STAGES[budget]
    return cifar_spec(
        20,
        repeats=(LAYERS_A_STAGE // depth,) * stages,
        widths=CIFAR_WIDTHS[:stages],
        activation=activation,
    )


def contenders(budget):
    """Blocks of one, two and three layers, with each activation."""
    recipes = {}
    for (name, activation), depth in itertools.product(ACTIVATIONS.items(), DEPTHS):
        recipe = study_recipe(budget, _spec(budget, depth, activation), length=LENGTHS[budget])
        model = Model(
            name=f"stacked{depth}-{activation}",
            spec=recipe.model.spec,
            block="StackedBlock",
            block_options=json.dumps({"depth": depth}),
        )
        recipes[f"{name}, {depth} a block"] = study_recipe(
            budget, _spec(budget, depth, activation), length=LENGTHS[budget], model=model
        )
    return recipes


def compute(budget, images):
    """The cost, which is asserted to be the same; and one-layer blocks against one convolution."""
    models = [
        with_blocks(build_model(_spec(budget, depth, "relu")), StackedBlock, depth=depth)
        for depth in DEPTHS
    ]
    for model in models[1:]:
        assert_same_cost(models[0], model)
    return {
        "macs": count_macs(models[0]),
        "merged": {
            "identity": _difference_to_merged(shortcut="A", filters=16),
            "projection": _difference_to_merged(shortcut="C", filters=16),
        },
    }


def _difference_to_merged(shortcut, filters):
    """Compares a one-layer block, before its activation, with the convolution it is merged into."""
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    block = StackedBlock(filters, depth=1, shortcut=shortcut, activation="linear", dtype="float64")
    x = generator.normal(size=(4, 8, 8, filters))
    block(x)
    for weight in block.weights:
        if "variance" in weight.path:
            weight.assign(generator.uniform(0.5, 2.0, weight.shape))
        else:
            weight.assign(generator.normal(size=weight.shape))
    merged = merge_one_layer_block(block)
    expected = keras.ops.convert_to_numpy(block(x))
    single = keras.ops.convert_to_numpy(
        keras.ops.conv(x, merged.kernel, padding="same") + merged.bias
    )
    return float(np.abs(expected - single).max() / np.abs(expected).max())


def report(outcome):
    """What the page shows."""
    rows = [[label, *error_columns(outcome.of(label))] for label in outcome.labels]
    merged = outcome.computed["merged"]
    return Report(
        answer=_answer(outcome),
        details=_details(outcome),
        limits=(
            f"{SHORT_RUNS} All networks have the same convolutions and the same cost; those with "
            "deeper blocks have fewer additions and activations after them."
        ),
        tables={
            END_CAPTION: (["network", *ERROR_HEADER], rows),
            "A one-layer block against the single convolution it is merged into (float64):": (
                ["shortcut", "kernel", "greatest relative difference"],
                [
                    ["identity", "W + I", f"{merged['identity']:.1e}"],
                    ["projection", "W + W_r", f"{merged['projection']:.1e}"],
                ],
            ),
        },
        figures={"errors": (draw_errors(outcome), ERRORS_CAPTION)},
    )


def _answer(outcome):
    one, two = "ReLU, 1 a block", "ReLU, 2 a block"
    worse, better = (outcome.every_seed(*pair, test_error) for pair in ((one, two), (two, one)))
    identity = outcome.computed["merged"]["identity"]
    return (
        "In inference and before its activation, a block over one layer is a single layer, (W + I) "
        f"x + b: merged into one kernel, it gives the same outputs to {identity:.0e}. Trained at "
        "equal depth, width and cost with ReLU, blocks of one, two and three layers ended with "
        f"{_errors(outcome, 'ReLU')} test error; one layer was worse than two for {worse[0]} of "
        f"{worse[1]} seeds, and better for {better[0]}."
    )


def _details(outcome):
    return (
        "A block of one layer that projects, W x + W_r x, is merged likewise, into W + W_r: one "
        f"matrix learned as two. With sigmoid the blocks ended with {_errors(outcome, 'sigmoid')}; "
        "without activation, where blocks of every depth are linear, with "
        f"{_errors(outcome, 'none')}."
    )


def _errors(outcome, activation):
    one, two, three = (
        np.mean(outcome.values(f"{activation}, {depth} a block", test_error)) for depth in DEPTHS
    )
    return f"{one:.1%}, {two:.1%} and {three:.1%}"


STUDY = Study(
    name="block-depth",
    title="Why does a shortcut skip two layers and not one?",
    background="""
With one layer, y = g(W x + b + x) = g((W + I) x + b): the shortcut only changes where the weights
begin. Two layers with an activation between them can compute what no single layer can. [He et al.,
2015](https://arxiv.org/abs/1512.03385), section 3.2, say so of a linear layer and report no
advantage of it. Here are blocks of one, two and three 3×3 convolutions at equal depth, width and
cost, with and without activation.
""",
    contenders=contenders,
    compute=compute,
    report=report,
)

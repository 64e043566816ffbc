"""Two studies of what a block holds: how many layers, and in which order."""

import itertools

import keras
import numpy as np

from keras_resnets import build_model, with_blocks
from keras_resnets.analysis import assert_same_cost, count_macs, merge_one_layer_block
from keras_resnets.analysis.paper import ORDER_ERRORS
from keras_resnets.layers import OrderedBlock, StackedBlock
from training.studies.reading import (
    SHORT_RUNS,
    beside,
    curves,
    end_table,
    errors,
    order_of_means,
    percent,
    side,
    test_error,
)
from training.studies.study import (
    CIFAR_WIDTHS,
    SHORT,
    Report,
    Study,
    cifar_spec,
    cost_of,
    study_recipe,
)

LAYERS_A_STAGE = 6
LAYERS_A_BLOCK = (1, 2, 3)
ACTIVATIONS = {"ReLU": "relu", "sigmoid": "sigmoid", "none": "linear"}
STAGES = {"quick": 2, "full": 3}

ORDERED_DEPTH = {"quick": 14, "full": 20}
ORDERS = {  # of `OrderedBlock`
    "original": "original",
    "BN after addition": "norm_after_addition",
    "ReLU before addition": "activation_before_addition",
    "ReLU-only pre-activation": "activation_only_pre_activation",
    "full pre-activation": "full_pre_activation",
}


def _depth_spec(budget, depth, activation):
    stages = STAGES[budget]
    return cifar_spec(
        20,
        repeats=(LAYERS_A_STAGE // depth,) * stages,
        widths=CIFAR_WIDTHS[:stages],
        activation=activation,
    )


def depth_recipes(budget):
    """Blocks of one, two and three layers, with each activation."""
    return {
        f"{name}, {depth} a block": study_recipe(
            budget,
            _depth_spec(budget, depth, activation),
            f"stacked{depth}-{activation}",
            "StackedBlock",
            {"depth": depth},
            lengths=SHORT | {"quick": "8 epochs"},
        )
        for (name, activation), depth in itertools.product(ACTIVATIONS.items(), LAYERS_A_BLOCK)
    }


def compare_depths(budget, images):
    """The cost, which is asserted to be the same; and one-layer blocks against one convolution."""
    models = [
        with_blocks(build_model(_depth_spec(budget, depth, "relu")), StackedBlock, depth=depth)
        for depth in LAYERS_A_BLOCK
    ]
    for model in models[1:]:
        assert_same_cost(models[0], model)
    merged = {"identity": _difference_to_merged("A"), "projection": _difference_to_merged("C")}
    return {"macs": count_macs(models[0]), "merged": merged}


def _difference_to_merged(shortcut):
    """Compares a one-layer block, before its activation, with the convolution it is merged into."""
    generator = np.random.default_rng(0)
    block = StackedBlock(16, depth=1, shortcut=shortcut, activation="linear", dtype="float64")
    x = generator.normal(size=(4, 8, 8, 16))
    block.build(x.shape)
    for weight in block.weights:  # a variance must be positive
        weight.assign(generator.uniform(0.5, 2.0, weight.shape))
    merged = merge_one_layer_block(block)
    expected = keras.ops.convert_to_numpy(block(x))
    single = keras.ops.conv(x, merged.kernel, padding="same") + merged.bias
    return float(np.abs(expected - single).max() / np.abs(expected).max())


def _report_depths(outcome):
    merged = outcome.computed["merged"]
    kernels = {"identity": "W + I", "projection": "W + W_r"}
    rows = [[name, kernel, f"{merged[name]:.1e}"] for name, kernel in kernels.items()]
    one, two = (outcome.values(f"ReLU, {depth} a block", test_error) for depth in (1, 2))
    seeds = f"{len(one)} seeds do" if len(one) > 1 else "One seed does"
    finding = f"{seeds} not separate one layer from two."
    if len(one) > 1 and side(one, two):
        better_or_worse = "worse" if side(one, two) > 0 else "better"
        finding = f"One layer is {better_or_worse} than two in every pair of seeds."
    return Report(
        answer=(
            "With ReLU and equal depth, width and cost, blocks of one, two and three layers have "
            f"test errors of {_errors(outcome, 'ReLU')}. {finding} In inference and before its "
            "activation, a block of one layer is a single layer, (W + I) x + b: merged into one "
            f"kernel, its outputs differ by {merged['identity']:.0e} at most."
        ),
        details=(
            "A one-layer block with a projection, W x + W_r x, merges into W + W_r: one matrix "
            "learned as two. With sigmoid, blocks of one, two and three layers have test errors of "
            f"{_errors(outcome, 'sigmoid')}; without activation, which makes every block linear, "
            f"{_errors(outcome, 'none')}."
        ),
        limits=(
            f"{SHORT_RUNS} All networks have the same convolutions and the same cost. Networks "
            "with deeper blocks have fewer additions, and fewer activations after them."
        ),
        tables={
            **end_table(outcome, "network"),
            "A one-layer block and the single convolution it merges into (float64):": (
                ["shortcut", "kernel", "largest relative difference"],
                rows,
            ),
        },
        figures=errors(outcome),
    )


def _errors(outcome, activation):
    one, two, three = (
        percent(outcome, f"{activation}, {depth} a block") for depth in LAYERS_A_BLOCK
    )
    return f"{one}, {two} and {three}"


BLOCK_DEPTH = Study(
    name="block-depth",
    title="Why does a shortcut skip two layers and not one?",
    background="""
With one layer, y = g(W x + b + x) = g((W + I) x + b): only the initial weights are different. Two
layers with an activation between them can compute what no single layer can. [He et al.,
2015](https://arxiv.org/abs/1512.03385), section 3.2, note this of a linear layer, and observe no
advantage. This study compares blocks of one, two and three 3×3 convolutions at equal depth, width
and cost, with and without activation.
""",
    contenders=depth_recipes,
    compute=compare_depths,
    report=_report_depths,
)


def ordered_network(budget, order):
    """Returns the spec of a network, and its blocks' class and options; `""` for the spec's own.

    Full pre-activation is an option of the spec. The published outcomes are of `OrderedBlock`,
    which is the same network: the stem's normalization is then the first block's, and that of the
    last sum stands behind it.
    """
    depth = ORDERED_DEPTH[budget]
    if order == "full_pre_activation":
        return cifar_spec(depth, pre_activation=True), "", {}
    options = {"order": order}
    if order.endswith("pre_activation"):
        options |= {"first": {"position": "first"}, "last": {"position": "last"}}
    return cifar_spec(depth), "OrderedBlock", options


def order_recipes(budget):
    """The same convolutions in each order."""
    recipes = {}
    for label, order in ORDERS.items():
        spec, block, options = ordered_network(budget, order)
        name = f"ordered{spec.depth}"
        recipes[label] = study_recipe(budget, spec, name, block, options, lengths=SHORT)
    return recipes


def order_costs(budget, images):
    """Costs for 32×32×3 and 10 classes."""
    costs = {}
    for label, order in ORDERS.items():
        spec, block, options = ordered_network(budget, order)
        model = build_model(spec)
        costs[label] = cost_of(with_blocks(model, OrderedBlock, **options) if block else model)
    return costs


def _report_orders(outcome):
    of_110, of_164 = (
        {label: ORDER_ERRORS[order][column] for label, order in ORDERS.items()} for column in (0, 1)
    )
    in_the_paper = sorted(of_110, key=lambda label: float(of_110[label]))
    parameters = {label: f"{cost['parameters']:,}" for label, cost in outcome.computed.items()}
    return Report(
        answer=(
            "In the original block, batch norm follows each convolution, and ReLU follows the "
            f"first batch norm and the addition. {beside(outcome, 'original')}"
        ),
        details=(
            f"Ranked by mean test error, best first: {order_of_means(outcome)}. In the paper, with "
            f"110 layers: {', '.join(f'“{label}”' for label in in_the_paper)}."
        ),
        limits=(
            f"{SHORT_RUNS} The paper's networks have at least 110 layers; these have "
            f"{ORDERED_DEPTH[outcome.budget]}. The stem keeps its batch norm and ReLU in every "
            "order. Parameters are those for 32×32×3 and 10 classes."
        ),
        tables=end_table(
            outcome,
            "order",
            before={"parameters": parameters},
            after={"paper, 110 layers": of_110, "paper, 164": of_164},
        ),
        figures={**errors(outcome), **curves(outcome)},
    )


ORDER = Study(
    name="order",
    title="Where do batch norm and ReLU go?",
    background="""
[He et al., 2015](https://arxiv.org/abs/1512.03385) put batch normalization after each convolution,
and ReLU after the first one and after the addition. [He et al.,
2016](https://arxiv.org/abs/1603.05027), section 4 and figure 4, move them after or before the
addition, or before the convolutions (pre-activation), which leaves only additions on the path from
block to block. A shortcut that starts after the pre-activation instead of before it is not a new
network: it is *BN after addition* (or, with ReLU alone, the original), divided into blocks at other
places.
""",
    contenders=order_recipes,
    compute=order_costs,
    report=_report_orders,
)

"""Three studies of the shortcut: its options, where shapes differ, and weights on it."""

from typing import Any

import keras

from keras_resnets import build_model
from keras_resnets.analysis import layer_costs
from keras_resnets.analysis.paper import GATE_ERRORS
from keras_resnets.layers import ProjectionShortcut, ResidualBlock
from keras_resnets.layers.shortcuts import GATES
from training.studies.reading import (
    SHORT_RUNS,
    beside,
    end_table,
    errors,
    order_of_means,
    side,
    test_error,
)
from training.studies.study import SHORT, Report, Study, cifar_spec, cost_of, study_recipe

DEPTH = 20
OPTIONS = {
    "A: zero padding": "A",
    "B: projection on change": "B",
    "C: projection everywhere": "C",
}
WHERE_SHAPES_DIFFER = {
    "zero padding at the end": {"shortcut": "A"},
    "zero padding on both sides": {"shortcut": "A", "zero_pad": "both"},
    "projection": {"shortcut": "B"},
}
GATES_DEPTH = {"quick": 14, "full": 20}
# Options of `GatedBlock`.
GATED: dict[str, dict[str, Any]] = {
    "identity": {},
    "both × 0.5": {"gate": "constant"},
    "one weight": {"gate": "scalar"},
    "a weight a channel": {"gate": "channel"},
    "gate, bias 0": {"gate": "shortcut_only"},
    "gate, bias −6": {"gate": "shortcut_only", "gate_bias": -6.0},
    "exclusive gate, bias −6": {"gate": "exclusive", "gate_bias": -6.0},
    "dropout": {"gate": "dropout"},
}
PUBLISHED = {
    label: GATE_ERRORS.get((options.get("gate"), options.get("gate_bias", 0.0)), "")
    for label, options in GATED.items()
} | {"1×1 convolution": "12.22"}  # of the same table


def option_recipes(budget):
    """The same network with each option."""
    return {
        label: study_recipe(budget, cifar_spec(DEPTH, shortcut=option))
        for label, option in OPTIONS.items()
    }


def option_costs(budget, images):
    """Costs for 32×32×3 and 10 classes, and how many shortcuts have weights."""
    found = {}
    for label, option in OPTIONS.items():
        model = build_model(cifar_spec(DEPTH, shortcut=option))
        shortcuts = [layer.shortcut_layer for layer in model.layers if "_block" in layer.name]
        found[label] = cost_of(model) | {
            "projections": sum(isinstance(each, ProjectionShortcut) for each in shortcuts),
            "shortcuts": len(shortcuts),
        }
    return found


def _report_options(outcome):
    costs = {label: outcome.computed[label] for label in outcome.labels}
    a, b, c = costs.values()
    columns = {
        "shortcuts with weights": {
            label: f"{cost['projections']} of {cost['shortcuts']}" for label, cost in costs.items()
        },
        "parameters": {label: f"{cost['parameters']:,}" for label, cost in costs.items()},
        "MMACs": {label: f"{cost['macs'] / 1e6:.2f}" for label, cost in costs.items()},
    }
    return Report(
        answer=(
            f"Only projections have weights: none of the {a['shortcuts']} shortcuts with option A, "
            f"{b['projections']} with B, and all {c['projections']} with C. "
            f"{beside(outcome, outcome.labels[0])}"
        ),
        details=(
            f"B adds {b['parameters'] / a['parameters'] - 1:.1%} to the parameters of A, and C "
            f"{c['parameters'] / a['parameters'] - 1:.1%}. Ranked by mean test error, best first: "
            f"{order_of_means(outcome)}. In the paper: C, B, A, less than a point apart."
        ),
        limits=(
            f"{SHORT_RUNS} The paper's errors are those of ResNet-34 on ImageNet. Parameters and "
            "multiply-adds are those for 32×32×3 and 10 classes."
        ),
        tables=end_table(outcome, "option", before=columns),
        figures=errors(outcome),
    )


SHORTCUTS = Study(
    name="shortcuts",
    title="When does a shortcut have weights, and does it need them?",
    background="""
In [He et al., 2015](https://arxiv.org/abs/1512.03385), section 3.3 and table 3, the shortcut is the
identity, without weights, where F(x) and x have the same shape. Where the shapes differ, option A
pads with zeros and option B projects with a 1×1 convolution; option C projects everywhere. For
ResNet-34 on ImageNet, the paper has top-1 errors of 25.03, 24.52 and 24.19 %, and concludes that
projections are not essential.
""",
    contenders=option_recipes,
    compute=option_costs,
    report=_report_options,
)


def dimension_recipes(budget):
    """Ways to fit x to F(x) where a stage begins."""
    return {
        label: study_recipe(budget, cifar_spec(DEPTH, **options), lengths=SHORT)
        for label, options in WHERE_SHAPES_DIFFER.items()
    }


def transitions(budget, images):
    """Shapes and costs where they differ, for 32×32×3; and the error of adding them unchanged."""
    model = build_model(cifar_spec(DEPTH, shortcut="B"))
    costs = layer_costs(model)
    found: list[dict[str, Any]] = []
    for layer in model.layers:
        if isinstance(layer, ResidualBlock) and layer.input.shape != layer.output.shape:
            parts = [cost for cost in costs if cost.name.startswith(f"{layer.name}/projection")]
            found.append(
                {
                    "block": layer.name,
                    "x": list(layer.input.shape[1:]),
                    "F(x)": list(layer.output.shape[1:]),
                    "parameters": sum(cost.parameters for cost in parts),
                    "macs": sum(cost.macs for cost in parts),
                }
            )
    error = ""
    try:
        keras.layers.Add()([keras.Input(found[0][name]) for name in ("F(x)", "x")])
    except ValueError as raised:
        error = str(raised).splitlines()[0]
    return {"transitions": found, "error": error}


def _report_dimensions(outcome):
    changes = outcome.computed["transitions"]
    shapes = [["×".join(map(str, each[name])) for name in ("x", "F(x)")] for each in changes]
    x, branch = shapes[0]
    rows = [
        [each["block"], *shape, "0", f"{each['parameters']:,}", f"{each['macs']:,}"]
        for each, shape in zip(changes, shapes, strict=True)
    ]
    header = ["block", "x", "F(x)", "zero padding", "projection: parameters", "multiply-adds"]
    caption = (
        "Parameters and multiply-adds of the shortcut where the shapes differ, in ResNet-20 for "
        "32×32×3:"
    )
    return Report(
        answer=(
            "The shortcut either subsamples x and pads it with channels of zeros, which costs "
            "nothing, or projects x with a strided 1×1 convolution. At the start of the second "
            f"stage of ResNet-20 for 32×32 pixels, x is {x} and F(x) is {branch}, and the "
            f"projection has {changes[0]['parameters']:,} parameters. "
            f"{beside(outcome, outcome.labels[0])}"
        ),
        details=f"Adding them unchanged is an error of Keras: “{outcome.computed['error']}”",
        limits=SHORT_RUNS,
        tables={caption: (header, rows), **end_table(outcome, "shortcut")},
        figures=errors(outcome),
    )


DIMENSIONS = Study(
    name="dimensions",
    title="What happens when F(x) and x differ in shape?",
    background="""
Both terms of a sum need the same shape. Within a stage they have it, and the shortcut is x itself.
At the start of each later stage, F halves the height and width and doubles the channels, so the
shortcut has to change x as well ([He et al., 2015](https://arxiv.org/abs/1512.03385), section 3.3).
""",
    contenders=dimension_recipes,
    compute=transitions,
    report=_report_dimensions,
)


def gate_recipes(budget):
    """The identity, each gate, and option C, in the original block, as in the paper's table 1."""
    depth = GATES_DEPTH[budget]
    recipes = {
        label: study_recipe(
            budget, cifar_spec(depth), f"gated{depth}", "GatedBlock", options, lengths=SHORT
        )
        for label, options in GATED.items()
    }
    projections = study_recipe(budget, cifar_spec(depth, shortcut="C"), lengths=SHORT)
    return recipes | {"1×1 convolution": projections}


def _report_gates(outcome):
    return Report(
        answer=beside(outcome, "identity"),
        details=_beside_the_paper(outcome),
        limits=(
            f"{SHORT_RUNS} The paper's networks have 110 layers, so a factor on every shortcut "
            f"applies 54 times; these have {GATES_DEPTH[outcome.budget]}."
        ),
        tables=end_table(outcome, "shortcut", after={"paper, 110 layers": PUBLISHED}),
        figures=errors(outcome),
    )


def _beside_the_paper(outcome):
    """Says which of the contenders that the paper found worse are not worse here."""
    own = outcome.values("identity", test_error)
    least = float(PUBLISHED["identity"]) + 1
    but_here = [
        f"“{label}”"
        for label, error in PUBLISHED.items()
        if error and (error == "fails" or float(error) > least)
        if side(outcome.values(label, test_error), own) <= 0
    ]
    if not but_here:
        return "All variants that are over a point worse than the identity in the paper are worse."
    return (
        "Over a point worse than the identity in the paper, but not worse in every pair of seeds "
        f"here: {', '.join(but_here)}."
    )


GATES_STUDY = Study(
    name="gates",
    title="Would weights on the skip connection help?",
    background=f"""
[He et al., 2016](https://arxiv.org/abs/1603.05027), section 3, changed the shortcut with constant
factors, gates, a 1×1 convolution and dropout, and each change increased the error. With s for the
shortcut's output: *both × 0.5* is {GATES["constant"]}; *one weight* is {GATES["scalar"]};
*a weight a channel* is {GATES["channel"]}; a *gate* is {GATES["shortcut_only"]}, with g = σ(W*s +
b); an *exclusive gate* is {GATES["exclusive"]}; *dropout*: {GATES["dropout"]}. The two learned
weights are not in the paper.
""",
    contenders=gate_recipes,
    report=_report_gates,
)

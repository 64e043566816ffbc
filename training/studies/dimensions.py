"""What happens where F(x) and x differ in shape?"""

import keras

from keras_resnets import build_model
from keras_resnets.analysis import layer_costs
from keras_resnets.layers import ResidualBlock
from training.studies.reading import (
    END_CAPTION,
    ERROR_HEADER,
    ERRORS_CAPTION,
    SHORT_RUNS,
    beside,
    draw_errors,
    error_columns,
)
from training.studies.recipes import cifar_spec, study_recipe
from training.studies.study import Report, Study

DEPTH = 20
OPTIONS = {
    "zero padding at the end": {"shortcut": "A"},
    "zero padding on both sides": {"shortcut": "A", "zero_pad": "both"},
    "projection": {"shortcut": "B"},
}


def contenders(budget):
    """Ways to fit x to F(x) where a stage begins."""
    return {
        label: study_recipe(budget, cifar_spec(DEPTH, **options))
        for label, options in OPTIONS.items()
    }


def compute(budget, images):
    """Shapes and costs where they differ, for 32×32×3; and what adding them as they are gives."""
    transitions = []
    model = build_model(cifar_spec(DEPTH, shortcut="B"))
    costs = {cost.name: cost for cost in layer_costs(model)}
    for layer in model.layers:
        if isinstance(layer, ResidualBlock) and layer.input.shape != layer.output.shape:
            parts = [
                cost for name, cost in costs.items() if name.startswith(f"{layer.name}/projection")
            ]
            transitions.append(
                {
                    "block": layer.name,
                    "x": list(layer.input.shape[1:]),
                    "F(x)": list(layer.output.shape[1:]),
                    "parameters": sum(cost.parameters for cost in parts),
                    "macs": sum(cost.macs for cost in parts),
                }
            )
    first = transitions[0]
    try:
        keras.layers.Add()([keras.Input(first["F(x)"]), keras.Input(first["x"])])
        error = ""
    except ValueError as raised:
        error = str(raised).splitlines()[0]
    return {"transitions": transitions, "error": error}


def report(outcome):
    """What the page shows."""
    rows = [[label, *error_columns(outcome.of(label))] for label in outcome.labels]
    transitions = [
        [
            each["block"],
            _shape(each["x"]),
            _shape(each["F(x)"]),
            "0",
            f"{each['parameters']:,}",
            f"{each['macs']:,}",
        ]
        for each in outcome.computed["transitions"]
    ]
    padded = outcome.labels[0]
    first = outcome.computed["transitions"][0]
    return Report(
        answer=(
            "Where the second stage of a ResNet-20 for 32×32 pixels begins, x is "
            f"{_shape(first['x'])} and F(x) {_shape(first['F(x)'])}, so x is subsampled and padded "
            "with channels of zeros, which costs nothing, or projected by a strided 1×1 "
            f"convolution, here with {first['parameters']:,} parameters. "
            f"{beside(outcome, padded)}"
        ),
        details=f"Where they are added as they are, Keras says: “{outcome.computed['error']}”",
        limits=SHORT_RUNS,
        tables={
            "Where the shapes differ, in ResNet-20 for 32×32×3: parameters and multiply-adds that "
            "are added beside the branch": (
                ["block", "x", "F(x)", "zero padding", "projection: parameters", "multiply-adds"],
                transitions,
            ),
            END_CAPTION: (["shortcut", *ERROR_HEADER], rows),
        },
        figures={"errors": (draw_errors(outcome), ERRORS_CAPTION)},
    )


def _shape(shape):
    return "×".join(map(str, shape))


STUDY = Study(
    name="dimensions",
    title="What happens when F(x) and x differ in shape?",
    background="""
A sum needs two terms of one shape. Within a stage they have it, and the shortcut is x itself. Where
a stage but the first begins, F halves the height and the width and doubles the channels; the
shortcut then has to follow ([He et al., 2015](https://arxiv.org/abs/1512.03385), equation 2 and
section 3.3).
""",
    contenders=contenders,
    compute=compute,
    report=report,
)

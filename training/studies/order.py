"""Where do batch norm and ReLU go?"""

import json

from keras_resnets import build_model, with_blocks
from keras_resnets.analysis import count_macs, count_parameters
from keras_resnets.layers import OrderedBlock
from training.recipe.recipe import Model
from training.studies.reading import (
    CURVES_CAPTION,
    END_CAPTION,
    ERROR_HEADER,
    ERRORS_CAPTION,
    SHORT_RUNS,
    beside,
    draw_curves,
    draw_errors,
    error_columns,
    order_of_means,
)
from training.studies.recipes import cifar_spec, study_recipe
from training.studies.study import Report, Study

DEPTHS = {"quick": 14, "full": 20}
# `order` of `OrderedBlock`, and test error % of ResNet-110 and 164 in He et al., 2016, table 2.
CONTENDERS = {
    "original": ("original", "6.61", "5.93"),
    "BN after addition": ("norm_after_addition", "8.17", "6.50"),
    "ReLU before addition": ("activation_before_addition", "7.84", "6.14"),
    "ReLU-only pre-activation": ("activation_only_pre_activation", "6.71", "5.91"),
    "full pre-activation": ("full_pre_activation", "6.37", "5.46"),
}
IN_THE_PAPER = sorted(CONTENDERS, key=lambda label: float(CONTENDERS[label][1]))
PRE_ACTIVATION = ("activation_only_pre_activation", "full_pre_activation")


def _options(order):
    options = {"order": order}
    if order in PRE_ACTIVATION:
        options |= {"first": {"position": "first"}, "last": {"position": "last"}}
    return options


def contenders(budget):
    """The same convolutions in each order."""
    depth = DEPTHS[budget]
    recipe = study_recipe(budget, cifar_spec(depth))
    return {
        label: study_recipe(
            budget,
            cifar_spec(depth),
            model=Model(
                name=f"ordered{depth}",
                spec=recipe.model.spec,
                block="OrderedBlock",
                block_options=json.dumps(_options(order)),
            ),
        )
        for label, (order, _, _) in CONTENDERS.items()
    }


def compute(budget, images):
    """Costs for 32×32×3 and 10 classes."""
    found = {}
    for label, (order, _, _) in CONTENDERS.items():
        model = build_model(cifar_spec(DEPTHS[budget]))
        model = with_blocks(model, OrderedBlock, **_options(order))
        found[label] = {
            "parameters": count_parameters(model).trainable,
            "macs": count_macs(model),
        }
    return found


def report(outcome):
    """What the page shows."""
    rows = [
        [
            label,
            f"{outcome.computed[label]['parameters']:,}",
            *error_columns(outcome.of(label)),
            *CONTENDERS[label][1:],
        ]
        for label in outcome.labels
    ]
    header = ["order", "parameters", *ERROR_HEADER, "paper, 110 layers", "paper, 164"]
    return Report(
        answer=(
            "In the paper's block, batch norm follows each convolution, and ReLU follows the first "
            f"batch norm and the addition. {beside(outcome, 'original')}"
        ),
        details=(
            f"By their mean test errors they stand in the order {order_of_means(outcome)}; in the "
            f"paper, with 110 layers, {', '.join(f'“{label}”' for label in IN_THE_PAPER)}."
        ),
        limits=(
            f"{SHORT_RUNS} The paper's networks have a hundred layers and more; these have "
            f"{DEPTHS[outcome.budget]}. The stem keeps its batch norm and ReLU in every order. "
            "Parameters are those for 32×32×3 and 10 classes."
        ),
        tables={END_CAPTION: (header, rows)},
        figures={
            "errors": (draw_errors(outcome), ERRORS_CAPTION),
            "curves": (draw_curves(outcome), CURVES_CAPTION),
        },
    )


STUDY = Study(
    name="order",
    title="Where do batch norm and ReLU go?",
    background="""
[He et al., 2015](https://arxiv.org/abs/1512.03385) put batch normalization after each convolution,
and a ReLU after the first and after the addition. [He et al.,
2016](https://arxiv.org/abs/1603.05027), section 4 and figure 4, move them: behind the addition,
before it, or in front of the convolutions (pre-activation), where nothing but additions stands on
the way from block to block. To take the skip after the pre-activation instead of before it gives no
new network: it is *BN after addition* (or, with ReLU alone, the original) cut into blocks at other
places.
""",
    contenders=contenders,
    compute=compute,
    report=report,
)

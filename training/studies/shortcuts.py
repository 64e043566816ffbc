"""What do the shortcut options A, B and C cost, and what do they bring?"""

from keras_resnets import build_model
from keras_resnets.analysis import count_macs, count_parameters
from keras_resnets.layers import ProjectionShortcut
from training.studies.reading import (
    END_CAPTION,
    ERROR_HEADER,
    ERRORS_CAPTION,
    SHORT_RUNS,
    beside,
    draw_errors,
    error_columns,
    milliseconds_a_step,
    order_of_means,
)
from training.studies.recipes import cifar_spec, study_recipe
from training.studies.study import Report, Study, spread

DEPTH = 20
OPTIONS = {"A": "zero padding", "B": "projection on change", "C": "projection everywhere"}


def contenders(budget):
    """The same network with each option."""
    return {
        f"{option}: {what}": study_recipe(budget, cifar_spec(DEPTH, shortcut=option))
        for option, what in OPTIONS.items()
    }


def compute(budget, images):
    """Costs for 32×32×3 and 10 classes, and how many shortcuts have weights."""
    found = {}
    for option, what in OPTIONS.items():
        model = build_model(cifar_spec(DEPTH, shortcut=option))
        shortcuts = [layer.shortcut_layer for layer in model.layers if "_block" in layer.name]
        found[f"{option}: {what}"] = {
            "parameters": count_parameters(model).trainable,
            "macs": count_macs(model),
            "projections": sum(isinstance(each, ProjectionShortcut) for each in shortcuts),
            "shortcuts": len(shortcuts),
        }
    return found


def report(outcome):
    """What the page shows."""
    rows = []
    for label in outcome.labels:
        cost = outcome.computed[label]
        rows.append(
            [
                label,
                f"{cost['projections']} of {cost['shortcuts']}",
                f"{cost['parameters']:,}",
                f"{cost['macs'] / 1e6:.2f}",
                spread(outcome.values(label, milliseconds_a_step), 1),
                *error_columns(outcome.of(label)),
            ]
        )
    header = ["option", "shortcuts with weights", "parameters", "MMACs", "ms a step", *ERROR_HEADER]
    a, b, c = (outcome.computed[label] for label in outcome.labels)
    return Report(
        answer=(
            f"A shortcut has weights only where it projects: in none of {a['shortcuts']} with A, "
            f"in {b['projections']} with B, in all {c['projections']} with C. "
            f"{beside(outcome, outcome.labels[0])}"
        ),
        details=(
            f"B adds {b['parameters'] / a['parameters'] - 1:.1%} to the parameters of A, and C "
            f"{c['parameters'] / a['parameters'] - 1:.1%}. By their mean test errors they stand in "
            f"the order {order_of_means(outcome)}; in the paper C, B, A, less than a point apart."
        ),
        limits=(
            f"{SHORT_RUNS} The paper's errors are of ResNet-34 on ImageNet. Times are of "
            "the machine at hand and noisy. Parameters and multiply-adds are "
            "those for 32×32×3 and 10 classes."
        ),
        tables={END_CAPTION: (header, rows)},
        figures={"errors": (draw_errors(outcome), ERRORS_CAPTION)},
    )


STUDY = Study(
    name="shortcuts",
    title="When does a shortcut have weights, and does it need them?",
    background="""
[He et al., 2015](https://arxiv.org/abs/1512.03385), section 3.3 and table 3: where the shapes of
F(x) and x agree, the shortcut is the identity and has no weights. Where they do not, option A pads
with zeros, B projects with a 1×1 convolution, and C projects everywhere. For ResNet-34 on ImageNet
the paper has 25.03, 24.52 and 24.19 % top-1 error, and concludes that projections are not
essential.
""",
    contenders=contenders,
    compute=compute,
    report=report,
)

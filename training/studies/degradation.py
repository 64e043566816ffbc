"""Do deeper networks train worse, and do shortcuts mend it?"""

import numpy as np

from keras_resnets import build_model
from keras_resnets.analysis import assert_same_cost
from training.run.compare import spread
from training.studies.reading import curves, end_table, percent, train_error, unless_separated
from training.studies.study import Report, Study, cifar_spec, cost_of, study_recipe

DEPTHS = {"quick": (8, 32), "full": (20, 32, 56)}
KINDS = {"plain": None, "residual": "A"}


def twins(budget):
    """Networks of each depth, plain and residual: twins of exactly the same cost."""
    return {
        f"{kind} {depth}": study_recipe(budget, cifar_spec(depth, shortcut=shortcut))
        for depth in DEPTHS[budget]
        for kind, shortcut in KINDS.items()
    }


def costs(budget, images):
    """Costs of the twins for 32×32×3 and 10 classes, which are asserted to be the same."""
    found = {}
    for depth in DEPTHS[budget]:
        pair = [build_model(cifar_spec(depth, shortcut=each)) for each in KINDS.values()]
        assert_same_cost(*pair)
        found[str(depth)] = cost_of(pair[0])
    return found


def _report(outcome):
    parameters, gradients = {}, {}
    for label in outcome.labels:
        parameters[label] = f"{outcome.computed[label.split()[1]]['parameters']:,}"
        gradients[label] = spread(outcome.values(label, _median_gradient), 4)
    return Report(
        answer=_answer(outcome),
        details=_gradients(outcome),
        limits=(
            "The runs last a few epochs, so deep networks are far from converged; the paper trains "
            "for 64,000 steps of 128 images. Training loss and error are averages over the steps "
            "since the previous evaluation, with augmentation."
        ),
        tables=end_table(
            outcome,
            "network",
            before={"parameters at 32×32×3": parameters},
            after={"median gradient norm": gradients},
        ),
        figures=curves(outcome),
    )


def _answer(outcome):
    shallow, *_, deep = DEPTHS[outcome.budget]
    errors = {label: percent(outcome, label, train_error) for label in outcome.labels}

    def apart(one, other):
        return unless_separated(outcome, one, other, train_error)

    plain, residual = f"plain {deep}", f"residual {deep}"
    other_plain, other_residual = f"plain {shallow}", f"residual {shallow}"
    return (
        f"With {deep} layers, the plain network ended with {errors[plain]} training error, and its "
        f"residual twin of the same cost with {errors[residual]}{apart(plain, residual)}. With "
        f"{shallow} layers they ended with {errors[other_plain]}{apart(plain, other_plain)} and "
        f"{errors[other_residual]}{apart(other_plain, other_residual)}."
    )


def _gradients(outcome):
    deep = DEPTHS[outcome.budget][-1]

    def ratio(at):
        plain, residual = (
            np.mean([_median_gradient(trial, at) for trial in outcome.of(f"{kind} {deep}")])
            for kind in KINDS
        )
        return plain / residual

    return (
        f"Are vanishing gradients the cause? At {deep} layers, the median gradient norm of the "
        f"plain network's kernels was {ratio(0):.2g} times its twin's at the first evaluation and "
        f"{ratio(-1):.2g} times at the end, when their losses differed. The "
        "[gradients](gradients.md) study looks at every layer, and at initialization."
    )


def _median_gradient(trial, at=-1):
    return float(np.median([*trial.metrics[at]["observed"]["gradient_norms"].values()]))


STUDY = Study(
    name="degradation",
    title="Do deeper plain networks train worse, and do shortcuts mend it?",
    background="""
[He et al., 2015](https://arxiv.org/abs/1512.03385), sections 1 and 4, found that plain networks
train worse when they are made deeper. The *training* error grows, so overfitting is not the cause.
Residual networks of the same cost do not have this problem (figures 1, 4 and 6). The authors argue
that vanishing gradients are not the cause either: with batch normalization, the gradients of plain
networks keep healthy norms.
""",
    contenders=twins,
    compute=costs,
    report=_report,
    reads_observed=True,
)

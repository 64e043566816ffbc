"""How strongly do layers respond, and how much does a block add?"""

import itertools

import keras
import numpy as np

from keras_resnets import build_model
from keras_resnets.analysis import (
    layer_responses,
    plot_layer_responses,
    plot_shortcut_balance,
    shortcut_balance,
)
from keras_resnets.layers.graph import all_layers
from training.run.compare import spread
from training.studies.degradation import DEPTHS, KINDS, twins
from training.studies.reading import SHORT_RUNS, decay_alone, mean_by_key, unless_separated
from training.studies.study import Report, Study, cifar_spec

EXAMPLES = 256


def measure(model, images):
    """Responses of all 3×3 layers, and the balance of branch and shortcut where there is one."""
    return _measure(model, images.test[0][:EXAMPLES])


def _measure(model, x):
    measured = {"responses": layer_responses(model, x)}
    if any(getattr(layer, "shortcut", None) for layer in model.layers):
        measured["balance"] = shortcut_balance(model, x)
    return measured


def initial(budget, images):
    """What `measure` gives for networks that have learned nothing, by label.

    Their batch norm has the statistics of the very images, as training would soon give it: with
    those that it begins with, it would not normalize.
    """
    pixels = images.test[0][:EXAMPLES]
    pixels = (pixels - pixels.mean()) / pixels.std()
    found = {}
    for depth, (kind, shortcut) in itertools.product(DEPTHS[budget], KINDS.items()):
        keras.utils.set_random_seed(0)
        model = build_model(cifar_spec(depth, shortcut=shortcut), input_shape=pixels.shape[1:])
        _take_statistics(model, pixels)
        found[f"{kind} {depth}"] = _measure(model, pixels)
    return found


def _take_statistics(model, x):
    """Sets the moving statistics of every batch norm to those of one batch."""
    norms = [
        layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    model(x, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _report(outcome):
    measured = {label: outcome.values(label, lambda t: t.measured) for label in outcome.labels}
    residual = [label for label in outcome.labels if label.startswith("residual")]
    with_untrained = measured | {
        f"{label}, untrained": [outcome.computed[label]] for label in residual
    }
    responses, balances = {}, {}
    for label, seeds in with_untrained.items():
        if label in measured:
            responses[label] = mean_by_key([each["responses"] for each in seeds])
        if "balance" in seeds[0]:
            balances[label] = {
                block: mean_by_key([each["balance"][block] for each in seeds])
                for block in seeds[0]["balance"]
            }
    header = ["network", "median response", "mean ‖F(x)‖ / ‖s(x)‖", "least", "mean cosine"]
    rows = [_row(label, seeds) for label, seeds in with_untrained.items()]
    return Report(
        answer=_answer(outcome),
        details=_details(outcome),
        limits=(
            f"{SHORT_RUNS} Measured on {EXAMPLES} test images, in inference. The untrained "
            "networks have one seed, and batch norm statistics of these images."
        ),
        tables={"Mean ± standard deviation over the seeds:": (header, rows)},
        figures={
            "responses": (
                plot_layer_responses(responses),
                "Standard deviation of each 3×3 layer's output, after batch norm and before the "
                "activation or addition, as in the paper's figure 7; sorted below.",
            ),
            "balance": (
                plot_shortcut_balance(balances),
                "Norm of each block's branch relative to its shortcut, and the cosine between "
                "the two.",
            ),
        },
    )


def _row(label, seeds):
    row = [label, spread([_median_response(each) for each in seeds], 3)]
    if "balance" not in seeds[0]:
        return [*row, "", "", ""]
    ratios = [_ratios(each) for each in seeds]
    return [
        *row,
        spread([float(np.mean(each)) for each in ratios]),
        spread([min(each) for each in ratios]),
        spread([_mean_cosine(each) for each in seeds]),
    ]


def _answer(outcome):
    shallow, *_, deep = (f"residual {depth}" for depth in DEPTHS[outcome.budget])
    twin = deep.replace("residual", "plain")
    ratios = outcome.values(deep, lambda trial: _ratios(trial.measured))

    def median(label):
        return float(np.mean(outcome.values(label, _median_of_trial)))

    def apart(one, other):
        return unless_separated(outcome, one, other, _median_of_trial)

    return (
        f"In the {deep.split()[1]}-layer residual network, the branch F(x) has on average "
        f"{np.mean(ratios):.2f} times the norm of the shortcut, and at least "
        f"{np.min(ratios):.2f} times in every block. The median response of its layers is "
        f"{median(deep):.2f}, that of its plain twin's {median(twin):.2f}{apart(twin, deep)}, and "
        f"that of the {shallow.split()[1]}-layer residual network's "
        f"{median(shallow):.2f}{apart(shallow, deep)}."
    )


def _details(outcome):
    deep = f"residual {DEPTHS[outcome.budget][-1]}"
    before = outcome.computed[deep]
    ratio = np.mean(outcome.values(deep, lambda trial: np.mean(_ratios(trial.measured))))
    cosine = np.mean(outcome.values(deep, lambda trial: _mean_cosine(trial.measured)))
    return (
        f"How much of this is learned? The average ratio is {np.mean(_ratios(before)):.2f} before "
        f"training and {ratio:.2f} after: batch norm fixes the size of each branch, while the "
        "shortcut grows with each addition. A response starts at 1, because a batch norm's output "
        f"has standard deviation γ; weight decay of γ alone would reduce it to "
        f"{1 - decay_alone(outcome):.2f}. The mean cosine between F(x) and the shortcut changes "
        f"from {_mean_cosine(before):.2f} to {cosine:.2f} (1 means a copy, −1 the opposite, 0 an "
        "unrelated direction)."
    )


def _median_of_trial(trial):
    return _median_response(trial.measured)


def _median_response(measured):
    return float(np.median([*measured["responses"].values()]))


def _ratios(measured):
    """Returns ‖F(x)‖ / ‖s(x)‖ of each block."""
    return [block["branch_to_shortcut"] for block in measured["balance"].values()]


def _mean_cosine(measured):
    """Returns the mean cosine of F(x) and s(x) over the blocks where it is defined."""
    cosines = [block["cosine"] for block in measured["balance"].values()]
    return float(np.mean([cosine for cosine in cosines if cosine is not None]))


STUDY = Study(
    name="responses",
    title="Does a block learn zero, or a small correction?",
    background="""
[He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.2 and figure 7, measure the standard
deviation of every 3×3 layer's output after batch normalization, before the activation or addition.
Residual networks have smaller responses than plain ones, and deeper residual networks smaller ones
than shallower networks. The authors conclude that residual functions are generally closer to zero.
The paper has no table of these numbers. This study also measures the norm of F(x) relative to the
shortcut, and the angle between the two.
""",
    contenders=twins,
    measure=measure,
    compute=initial,
    report=_report,
)

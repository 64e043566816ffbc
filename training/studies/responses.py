"""How strongly do layers respond, and how much does a block add?"""

import numpy as np

from keras_resnets.analysis import (
    layer_responses,
    plot_layer_responses,
    plot_shortcut_balance,
    shortcut_balance,
)
from training.studies.degradation import DEPTHS, twins
from training.studies.reading import SHORT_RUNS, mean_by_key
from training.studies.study import Report, Study, spread

EXAMPLES = 256


def measure(model, images):
    """Responses of all 3×3 layers, and the balance of branch and shortcut where there is one."""
    pixels = images.test[0][:EXAMPLES]
    measured = {"responses": layer_responses(model, pixels)}
    if any(getattr(layer, "shortcut", None) for layer in model.layers):
        measured["balance"] = shortcut_balance(model, pixels)
    return measured


def report(outcome):
    """What the page shows."""
    responses = {
        label: mean_by_key([trial.measured["responses"] for trial in outcome.of(label)])
        for label in outcome.labels
    }
    residual = [label for label in outcome.labels if label.startswith("residual")]
    balances = {label: _mean_balance(outcome.of(label)) for label in residual}
    header = ["network", "mean response", "mean ‖F(x)‖ / ‖s(x)‖", "least", "mean cosine"]
    rows = []
    for label in outcome.labels:
        row = [label, spread(outcome.values(label, _mean_response), 3), "", "", ""]
        if label in residual:
            trials = outcome.of(label)
            row[2] = spread([float(np.mean(_of(trial, "branch_to_shortcut"))) for trial in trials])
            row[3] = spread([float(np.min(_of(trial, "branch_to_shortcut"))) for trial in trials])
            row[4] = spread([float(np.mean(_of(trial, "cosine"))) for trial in trials])
        rows.append(row)
    return Report(
        answer=_answer(outcome),
        limits=f"{SHORT_RUNS} Measured on {EXAMPLES} test images, in inference.",
        tables={"Mean ± standard deviation over the seeds:": (header, rows)},
        figures={
            "responses": (
                plot_layer_responses(responses),
                "Standard deviation of each 3×3 layer's output after batch norm, before activation "
                "or addition (the paper's figure 7); below, sorted.",
            ),
            "balance": (
                plot_shortcut_balance(balances),
                "Size of what a block adds, relative to what passes it, and the angle between the "
                "two.",
            ),
        },
    )


def _answer(outcome):
    shallow, deep = DEPTHS[outcome.budget]
    less = outcome.every_seed(f"plain {deep}", f"residual {deep}", _mean_response)
    deeper = outcome.every_seed(f"residual {shallow}", f"residual {deep}", _mean_response)
    trials = outcome.of(f"residual {deep}")
    ratio = float(np.mean([np.mean(_of(trial, "branch_to_shortcut")) for trial in trials]))
    least = float(np.min([np.min(_of(trial, "branch_to_shortcut")) for trial in trials]))
    cosine = float(np.mean([np.mean(_of(trial, "cosine")) for trial in trials]))
    return (
        f"The residual network of {deep} layers responded less than its plain twin for {less[0]} "
        f"of {less[1]} seeds, and less than the residual one of {shallow} layers for {deeper[0]} "
        f"of {deeper[1]}. A block does not learn zero: ‖F(x)‖ was on average {ratio:.2f} times "
        f"what passed it, and in no block less than {least:.2f} times. The mean cosine between "
        f"the two was {cosine:.2f}."
    )


def _mean_response(trial):
    return float(np.mean([*trial.measured["responses"].values()]))


def _of(trial, measure):
    values = [block[measure] for block in trial.measured["balance"].values()]
    return [value for value in values if value is not None]


def _mean_balance(trials):
    blocks = trials[0].measured["balance"]
    return {
        block: mean_by_key([trial.measured["balance"][block] for trial in trials])
        for block in blocks
    }


STUDY = Study(
    name="responses",
    title="Does a block learn to put out zero, or a small correction?",
    background="""
[He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.2 and figure 7, measure the standard
deviation of every 3×3 layer's output after batch normalization, before the activation or the
addition: residual networks respond less than plain ones, and deeper residual networks less than
shallower ones. They take it to support that the residual functions are generally closer to zero.
The paper has no table of it. Added here: how large F(x) is beside what the shortcut passes, and the
angle between the two.
""",
    contenders=twins,
    measure=measure,
    report=report,
)

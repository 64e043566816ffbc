"""What several studies read off trials, and the plots, tables and sentences they share."""

import math
import tomllib

import numpy as np

from keras_resnets.analysis.plots import COLORS, panels
from training.run.compare import draw_errors, spread

END_CAPTION = (
    "After training: mean ± standard deviation over the seeds. Training loss and error include "
    "augmentation."
)
THIN = ", for plain networks between two thin lines,"
SHORT_RUNS = (
    "The runs are short and have not converged. Differences no larger than the spread over the "
    "seeds mean nothing."
)

# Over the median of the means: a network that failed would leave no room to tell the others apart.
FAR_OFF = 3


def train_loss(trial):
    """Returns the training loss in nats: the mean over the steps since the evaluation before."""
    return trial.metrics[-1]["train_loss"]


def train_error(trial):
    """Returns the share of wrong training images since the evaluation before."""
    return 1 - trial.metrics[-1]["train_accuracy"]


def test_error(trial):
    """Returns the share of test images that the finished network gets wrong."""
    return 1 - trial.metrics[-1]["test_accuracy"]


def percent(outcome, label, read=test_error):
    """Returns a contender's share in words: "21.8 ± 8.8%"."""
    return spread(outcome.values(label, read), 1, percent=True) + "%"


def side(values, reference):
    """Returns 1 if all values are above the reference's, −1 if below, and 0 if they overlap.

    Example:

    >>> side([3, 4], [1, 2]), side([1, 2], [3, 4]), side([1, 3], [2, 4])
    (1, -1, 0)
    """
    return int(min(values) > max(reference)) - int(max(values) < min(reference))


def unless_separated(outcome, one, other, read):
    """Returns a remark if the seeds of two contenders overlap."""
    values = [outcome.values(label, read) for label in (one, other)]
    return " (not separated by the seeds)" if side(*values) == 0 else ""


def mean_by_key(dictionaries):
    """Returns `{key: mean over the dictionaries}`; those that lack a key are left out for it."""
    keys = dict.fromkeys(key for each in dictionaries for key in each)
    values = {key: [d[key] for d in dictionaries if d.get(key) is not None] for key in keys}
    return {key: float(np.mean(found)) for key, found in values.items() if found}


def decay_alone(outcome):
    """Returns the part of itself that a weight would have lost by weight decay alone, in [0, 1).

    With SGD of momentum m, a rate that falls from r like a cosine after a short linear warm-up,
    and decay d, the rates sum to r · steps / 2, and each step takes its rate · d / (1 − m) off.
    """
    recipe = tomllib.loads(next(iter(outcome.recipes.values())))
    optimizer = recipe["optimizer"]
    rates = optimizer["learning_rate"] * outcome.trials[0].metrics[-1]["step"] / 2
    return 1 - math.exp(-rates * optimizer["weight_decay"] / (1 - optimizer["momentum"]))


def end_table(outcome, what, before=None, after=None):
    """Returns the table of losses and errors by its caption.

    `before` and `after` are further columns: `{header: {label: text}}`.
    """
    before, after = before or {}, after or {}
    rows = [
        [
            label,
            *(column[label] for column in before.values()),
            spread(outcome.values(label, train_loss), 3),
            *(spread(outcome.values(label, read), 1, True) for read in (train_error, test_error)),
            *(column[label] for column in after.values()),
        ]
        for label in outcome.labels
    ]
    header = [what, *before, "training loss", "training error %", "test error %", *after]
    return {END_CAPTION: (header, rows)}


def bands(outcome):
    """Returns the sentence of a caption on the bands, where there are several seeds."""
    if len(outcome.seeds) < 2:
        return ""
    has_plain = any("plain" in label for label in outcome.labels)
    return f" Bands{THIN if has_plain else ''} span the seeds."


def curves(outcome):
    """Returns the figure of training and test error over the steps, as in the paper's figure 6."""
    metrics = {label: outcome.values(label, lambda t: t.metrics) for label in outcome.labels}
    caption = (
        "Training error (with augmentation, over the steps since the last evaluation) and test "
        f"error during training.{bands(outcome)}"
    )
    return {"curves": (draw_errors(metrics, "step"), caption)}


def errors(outcome):
    """Returns the figure of each contender's test error; the axis ends before one far off."""
    figure, (axes,) = panels(1)
    of_label = {
        label: [100 * error for error in outcome.values(label, test_error)]
        for label in outcome.labels
    }
    most = FAR_OFF * np.median([np.mean(values) for values in of_label.values()])
    shown = [max(values) for values in of_label.values() if np.mean(values) <= most]
    right = 1.05 * max(shown) or 1
    cut = [label for label, values in of_label.items() if max(values) > right]
    for index, (label, values) in enumerate(of_label.items()):
        axes.barh(index, np.mean(values), color=COLORS[0], alpha=0.35)
        # Seeds stand a little apart, for some have the same error.
        places = index + np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else [index]
        axes.plot(values, places, "o", color=COLORS[0], markersize=5, clip_on=label in cut)
        if label in cut:
            axes.annotate(
                f"{np.mean(values):.1f}% →", (0.99 * right, index), ha="right", va="center"
            )
    axes.set_yticks(range(len(of_label)), of_label)
    axes.invert_yaxis()
    axes.set_xlabel("test error (%)")
    axes.set_xlim(0, right)
    axes.locator_params(axis="x", integer=False)
    caption = "Test error: a mark for each seed, and a bar for their mean."
    if cut:
        caption += f" Beyond the axis: {', '.join(f'“{label}”' for label in cut)}."
    return {"errors": (figure, caption)}


def beside(outcome, reference):
    """Says which contenders' test errors lie above or below all those of a reference."""
    errors = {label: outcome.values(label, test_error) for label in outcome.labels}
    own = errors.pop(reference)
    seeds = min(len(own), *map(len, errors.values()))
    words = f"“{reference}” has a test error of {percent(outcome, reference)}."
    named = {label: f"“{label}” ({percent(outcome, label)})" for label in errors}
    if seeds == 1:
        return f"{words} Others: {', '.join(named.values())}. One seed cannot tell them apart."
    sides = {label: side(values, own) for label, values in errors.items()}
    for word, where in (
        ("Worse in every pair of seeds", 1),
        ("Better in every pair of seeds", -1),
        (f"Not separated from it by {seeds} seeds", 0),
    ):
        found = ", ".join(named[label] for label in errors if sides[label] == where)
        words += f" {word}: {found}." if found else ""
    if any(sides.values()):
        chance = 2 / math.comb(2 * seeds, seeds)
        words += f" By chance alone, {chance:.0%} of {len(errors)} comparisons would be separated."
    return words


def order_of_means(outcome):
    """Names the contenders from the least mean test error to the greatest."""
    means = {label: np.mean(outcome.values(label, test_error)) for label in outcome.labels}
    return ", ".join(f"“{label}”" for label in sorted(means, key=means.__getitem__))

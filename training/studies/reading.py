"""What several studies read off trials, and the plots, tables and sentences they share."""

import math
import tomllib

import numpy as np

from keras_resnets.analysis.plots import COLORS, draw_band, legend, line_styles, panels
from training.run.compare import spread

ERROR_HEADER = ("training loss", "training error %", "test error %")
END_CAPTION = (
    "After training: mean ± standard deviation over the seeds. Training loss and error include "
    "augmentation."
)
SHORT_RUNS = (
    "The runs are short and have not converged. Differences no larger than the spread over the "
    "seeds mean nothing."
)


def train_loss(trial):
    """Returns the training loss in nats: the mean over the steps since the evaluation before."""
    return trial.metrics[-1]["train_loss"]


def train_error(trial):
    """Returns the share of wrong training images since the evaluation before."""
    return 1 - trial.metrics[-1]["train_accuracy"]


def test_error(trial):
    """Returns the share of test images that the finished network gets wrong."""
    return 1 - trial.metrics[-1]["test_accuracy"]


def in_seeds(counts):
    """Says in how many of several seeds something was so; of one seed, nothing.

    Example:

    >>> in_seeds((2, 3)), in_seeds((1, 1))
    (' (in 2 of 3 seeds)', '')
    """
    count, seeds = counts
    return f" (in {count} of {seeds} seeds)" if seeds > 1 else ""


def observed(trial, what):
    """Returns what was observed at the last evaluation: a number for each kernel."""
    return trial.metrics[-1]["observed"][what]


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
            spread(outcome.values(label, train_error), 1, percent=True),
            spread(outcome.values(label, test_error), 1, percent=True),
            *(column[label] for column in after.values()),
        ]
        for label in outcome.labels
    ]
    return {END_CAPTION: ([what, *before, *ERROR_HEADER, *after], rows)}


def curves(outcome):
    """Returns the figure of training and test error over the steps, as in the paper's figure 6."""
    figure, (train, test) = panels(2, share_x=True)
    for axes, key, title in ((train, "train", "training"), (test, "test", "test")):
        for label, style in line_styles(outcome.labels).items():
            trials = outcome.of(label)
            steps = [entry["step"] for entry in trials[0].metrics]
            errors = np.array(
                [[100 * (1 - entry[f"{key}_accuracy"]) for entry in t.metrics] for t in trials]
            )
            band = errors.mean(axis=0), errors.min(axis=0), errors.max(axis=0)
            draw_band(axes, style, steps, label, *band)
        axes.set_ylabel(f"{title} error (%)")
        axes.set_ylim(bottom=0)
    test.set_xlabel("training steps")
    legend(train)
    caption = (
        "Training error (with augmentation, over the steps since the last evaluation) and test "
        "error during training. Bands span the seeds."
    )
    return {"curves": (figure, caption)}


def errors(outcome):
    """Returns the figure of each contender's test error."""
    figure, (axes,) = panels(1)
    for index, label in enumerate(outcome.labels):
        values = [100 * value for value in outcome.values(label, test_error)]
        color = COLORS[0]
        axes.barh(index, np.mean(values), color=color, alpha=0.35)
        # Seeds stand a little apart, for some have the same error.
        places = index + np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else [index]
        axes.plot(values, places, "o", color=color, markersize=5, clip_on=False)
    axes.set_yticks(range(len(outcome.labels)), outcome.labels)
    axes.invert_yaxis()
    axes.set_xlabel("test error (%)")
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", integer=False)
    return {"errors": (figure, "Test error: a mark for each seed, and a bar for their mean.")}


def beside(outcome, reference):
    """Says which contenders' test errors lie above or below all those of a reference."""
    errors = {label: outcome.values(label, test_error) for label in outcome.labels}
    own = errors.pop(reference)
    seeds = min(len(own), *map(len, errors.values()))
    parts = [f"“{reference}” has a test error of {np.mean(own):.1%}."]
    if seeds == 1:
        return f"{parts[0]} Others: {_named(errors)}. One seed cannot tell them apart."
    worse = {label: values for label, values in errors.items() if min(values) > max(own)}
    better = {label: values for label, values in errors.items() if max(values) < min(own)}
    for word, found in (("Worse", worse), ("Better", better)):
        if found:
            parts.append(f"{word} in every pair of seeds: {_named(found)}.")
    rest = len(errors) - len(worse) - len(better)
    if rest == len(errors):
        parts.append(f"With {seeds} seeds, none of the others differs clearly.")
    elif rest:
        parts.append(f"With {seeds} seeds, the other {rest} do not differ clearly.")
    if worse or better:
        chance = 2 / math.comb(2 * seeds, seeds)
        parts.append(
            f"Of {len(errors)} such comparisons, {chance:.0%} would come out like this by chance."
        )
    return " ".join(parts)


def _named(errors):
    return ", ".join(f"“{label}” ({np.mean(values):.1%})" for label, values in errors.items())


def order_of_means(outcome):
    """Names the contenders from the least mean test error to the greatest."""
    means = {label: np.mean(outcome.values(label, test_error)) for label in outcome.labels}
    return ", ".join(f"“{label}”" for label in sorted(means, key=means.__getitem__))

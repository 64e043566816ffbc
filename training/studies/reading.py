"""What studies read off trials, and the plots and tables that several of them have."""

import math

import numpy as np

from keras_resnets.analysis.plot_style import legend, line_style, panels
from training.studies.study import spread


def train_loss(trial):
    """Training loss in nats: the mean over the last stretch before an evaluation."""
    return trial.metrics[-1]["train_loss"]


def train_error(trial):
    """Part of the training images that were wrong in the last stretch before an evaluation."""
    return 1 - trial.metrics[-1]["train_accuracy"]


def test_error(trial):
    """Part of the test images that the finished network has wrong."""
    return 1 - trial.metrics[-1]["test_accuracy"]


def milliseconds_a_step(trial):
    """Time of a training step, after the first evaluation: before it, graphs are made."""
    first, last = trial.metrics[0], trial.metrics[-1]
    return 1000 * (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])


def observed(trial, what):
    """Returns what was observed at the last evaluation: a number for each kernel."""
    return trial.metrics[-1]["observed"][what]


def error_columns(trials):
    """Returns training loss, training error and test error of some trials, as a table has them."""
    return [
        spread([train_loss(trial) for trial in trials], 3),
        spread([train_error(trial) for trial in trials], 1, percent=True),
        spread([test_error(trial) for trial in trials], 1, percent=True),
    ]


ERROR_HEADER = ["training loss", "training error %", "test error %"]


def mean_by_key(dictionaries):
    """Returns `{key: mean over the dictionaries}`; those that lack a key are left out for it."""
    keys = dict.fromkeys(key for each in dictionaries for key in each)
    return {
        key: float(np.mean([each[key] for each in dictionaries if each.get(key) is not None]))
        for key in keys
        if any(each.get(key) is not None for each in dictionaries)
    }


def draw_curves(outcome, labels=None):
    """Draws training loss and test error over the epochs: means, and bands that span the seeds."""
    figure, (loss, error) = panels(2, share_x=True)
    for index, label in enumerate(labels or outcome.labels):
        trials = outcome.of(label)
        epochs = [entry["epoch"] for entry in trials[0].metrics]
        for axes, read in (
            (loss, lambda entry: entry["train_loss"]),
            (error, lambda entry: 100 * (1 - entry["test_accuracy"])),
        ):
            values = np.array([[read(entry) for entry in trial.metrics] for trial in trials])
            style = line_style(index)
            axes.plot(epochs, values.mean(axis=0), label=label, **style)
            axes.fill_between(
                epochs, values.min(axis=0), values.max(axis=0), color=style["color"], alpha=0.15
            )
    loss.set_ylabel("training loss (nats)")
    error.set_ylabel("test error (%)")
    error.set_xlabel("epochs")
    legend(loss)
    return figure


def draw_errors(outcome):
    """Draws each contender's test error: a mark for every seed, and a bar for the mean."""
    labels = outcome.labels
    figure, (axes,) = panels(1)
    for index, label in enumerate(labels):
        errors = [100 * value for value in outcome.values(label, test_error)]
        style = line_style(index)
        axes.barh(index, np.mean(errors), color=style["color"], alpha=0.35)
        # Seeds stand a little apart, for some have the same error.
        places = index + np.linspace(-0.15, 0.15, len(errors)) if len(errors) > 1 else [index]
        axes.plot(errors, places, "o", color=style["color"], markersize=5, clip_on=False)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("test error (%)")
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", integer=False)
    return figure


def beside(outcome, reference):
    """Says which contenders' test errors lie above or below all those of a reference."""
    errors = {label: outcome.values(label, test_error) for label in outcome.labels}
    worse = [label for label in errors if min(errors[label]) > max(errors[reference])]
    better = [label for label in errors if max(errors[label]) < min(errors[reference])]
    sentences = [f"“{reference}” ended with a test error of {np.mean(errors[reference]):.1%}."]
    for word, labels in (("Worse", worse), ("Better", better)):
        if labels:
            named = ", ".join(f"“{label}” ({np.mean(errors[label]):.1%})" for label in labels)
            sentences.append(f"{word} for every pair of seeds: {named}.")
    seeds = len(errors[reference])
    if worse or better:
        chance = 2 / math.comb(2 * seeds, seeds)
        sentences.append(f"By chance alone, {chance:.0%} of comparisons would come out so.")
    rest = len(errors) - 1 - len(worse) - len(better)
    if rest:
        which = "None of the others" if rest == len(errors) - 1 else f"The other {rest}"
        can = "can" if rest == len(errors) - 1 else "cannot"
        sentences.append(f"{which} {can} be told from it by {seeds} seeds.")
    return " ".join(sentences)


CURVES_CAPTION = "Training loss and test error while training; bands span the seeds."
ERRORS_CAPTION = "Test error: a mark for every seed, a bar for their mean."
END_CAPTION = "At the end of training, mean ± standard deviation over the seeds:"
SHORT_RUNS = (
    "The runs are short and have not converged; differences of the size of the spread over the "
    "seeds say nothing."
)

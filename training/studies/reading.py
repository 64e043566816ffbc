"""What studies read off trials, and the plots and tables that several of them have."""

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
    """Time of a training step."""
    return 1000 * trial.result["seconds"] / trial.result["steps"]


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
        axes.plot(errors, [index] * len(errors), "o", color=style["color"], markersize=5)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("test error (%)")
    axes.set_xlim(left=0)
    return figure


def ranking(outcome):
    """Says which contenders ended with the least and the greatest mean test error."""
    means = {label: np.mean(outcome.values(label, test_error)) for label in outcome.labels}
    best, *_, worst = sorted(means, key=lambda label: means[label])
    return (
        f"The least mean test error has “{best}” with {means[best]:.1%}, the greatest "
        f"“{worst}” with {means[worst]:.1%}."
    )


CURVES_CAPTION = "Training loss and test error while training; bands span the seeds."
ERRORS_CAPTION = "Test error: a mark for every seed, a bar for their mean."
END_CAPTION = "At the end of training, mean ± standard deviation over the seeds:"
SHORT_RUNS = (
    "The runs are short and have not converged; differences of the size of the spread over the "
    "seeds say nothing."
)

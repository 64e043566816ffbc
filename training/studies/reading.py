"""What studies read off trials, and the plots and tables that several of them have."""

import math
import tomllib

import numpy as np

from keras_resnets.analysis.plots import legend, line_style, panels
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


def draw_curves(outcome):
    """Draws training and test error over the steps, as the paper's figure 6 does."""
    figure, (train, test) = panels(2, share_x=True)
    for axes, name in ((train, "train"), (test, "test")):
        draw_lines(axes, outcome, lambda entry, key=f"{name}_accuracy": 100 * (1 - entry[key]))
        axes.set_ylabel(f"{name}{'ing' if name == 'train' else ''} error (%)")
        axes.set_ylim(bottom=0)
    test.set_xlabel("training steps")
    legend(train)
    return figure


def draw_lines(axes, outcome, read):
    """Draws a number of every evaluation over the steps: means, and bands that span the seeds."""
    for index, label in enumerate(outcome.labels):
        trials = outcome.of(label)
        steps = [entry["step"] for entry in trials[0].metrics]
        values = np.array([[read(entry) for entry in trial.metrics] for trial in trials])
        style = line_style(index)
        axes.plot(steps, values.mean(axis=0), label=label, **style)
        axes.fill_between(
            steps, values.min(axis=0), values.max(axis=0), color=style["color"], alpha=0.15
        )


def draw_errors(outcome):
    """Draws each contender's test error: a mark for every seed, and a bar for the mean."""
    labels = outcome.labels
    figure, (axes,) = panels(1)
    for index, label in enumerate(labels):
        errors = [100 * value for value in outcome.values(label, test_error)]
        color = line_style(0)["color"]
        axes.barh(index, np.mean(errors), color=color, alpha=0.35)
        # Seeds stand a little apart, for some have the same error.
        places = index + np.linspace(-0.15, 0.15, len(errors)) if len(errors) > 1 else [index]
        axes.plot(errors, places, "o", color=color, markersize=5, clip_on=False)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("test error (%)")
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", integer=False)
    return figure


def beside(outcome, reference):
    """Says which contenders' test errors lie above or below all those of a reference."""
    errors = {label: outcome.values(label, test_error) for label in outcome.labels}
    own = errors.pop(reference)
    seeds = min(len(own), *map(len, errors.values()))
    parts = [f"“{reference}” ended with a test error of {np.mean(own):.1%}"]
    if seeds == 1:
        parts += [_named(errors), "one seed cannot tell them apart"]
        return "; ".join(parts) + "."
    worse = {label: values for label, values in errors.items() if min(values) > max(own)}
    better = {label: values for label, values in errors.items() if max(values) < min(own)}
    for word, found in (("worse", worse), ("better", better)):
        if found:
            parts.append(f"{word} for every pair of seeds: {_named(found)}")
    rest = len(errors) - len(worse) - len(better)
    if rest:
        which = "none of the others can" if rest == len(errors) else f"the other {rest} cannot"
        parts.append(f"{which} be told from it by {seeds} seeds")
    if worse or better:
        chance = 2 / math.comb(2 * seeds, seeds)
        parts.append(
            f"by chance alone, {chance:.0%} of such comparisons come out so, and there are "
            f"{len(errors)}"
        )
    return "; ".join(parts) + "."


def order_of_means(outcome):
    """Names the contenders from the least mean test error to the greatest."""
    means = {label: np.mean(outcome.values(label, test_error)) for label in outcome.labels}
    return ", ".join(f"“{label}”" for label in sorted(means, key=means.__getitem__))


def decay_alone(outcome):
    """Returns by which part of itself weight decay alone would have shrunk a weight, in [0, 1).

    Of SGD with momentum m, a rate that falls from r like a cosine after a short linear warm-up,
    and decay d, the steps sum to r · steps / 2, and each takes r d / (1 − m) off.
    """
    recipe = tomllib.loads(next(iter(outcome.recipes.values())))
    optimizer = recipe["optimizer"]
    rates = optimizer["learning_rate"] * outcome.trials[0].metrics[-1]["step"] / 2
    return 1 - math.exp(-rates * optimizer["weight_decay"] / (1 - optimizer["momentum"]))


def _named(errors):
    return ", ".join(f"“{label}” ({np.mean(values):.1%})" for label, values in errors.items())


CURVES_CAPTION = (
    "Training error (over the steps since the last evaluation, with augmentation) and test error "
    "while training; bands span the seeds."
)
ERRORS_CAPTION = "Test error: a mark for every seed, a bar for their mean."
END_CAPTION = (
    "At the end of training, mean ± standard deviation over the seeds; training loss and error are "
    "with augmentation:"
)
SHORT_RUNS = (
    "The runs are short and have not converged; differences of the size of the spread over the "
    "seeds say nothing."
)

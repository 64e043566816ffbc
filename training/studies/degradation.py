"""Do deeper networks train worse, and do shortcuts mend it?"""

import numpy as np

from keras_resnets import build_model
from keras_resnets.analysis import assert_same_cost, count_macs, count_parameters
from keras_resnets.analysis.plot_style import legend, line_style, panels
from training.studies.recipes import cifar_spec, study_recipe
from training.studies.study import Report, Study, spread

DEPTHS = {"quick": (8, 32), "full": (20, 56)}
KINDS = {"plain": None, "residual": "A"}


def _label(kind, depth):
    return f"{kind} {depth}"


def contenders(budget):
    """A shallow and a deep network, plain and residual: twins of exactly the same cost."""
    return {
        _label(kind, depth): study_recipe(budget, cifar_spec(depth, shortcut=shortcut))
        for depth in DEPTHS[budget]
        for kind, shortcut in KINDS.items()
    }


def compute(budget):
    """Costs of the twins at 32×32×3, which are asserted to be the same."""
    costs = {}
    for depth in DEPTHS[budget]:
        twins = [build_model(cifar_spec(depth, shortcut=each)) for each in KINDS.values()]
        assert_same_cost(*twins)
        costs[str(depth)] = {
            "parameters": count_parameters(twins[0]).trainable,
            "macs": count_macs(twins[0]),
        }
    return {"costs": costs}


def report(outcome):
    shallow, deep = DEPTHS[outcome.budget]
    rows = []
    for label in outcome.labels:
        depth = label.split()[1]
        rows.append(
            [
                label,
                f"{outcome.computed['costs'][depth]['parameters']:,}",
                spread(outcome.values(label, _train_loss), 3),
                spread(outcome.values(label, _train_error), 1, percent=True),
                spread(outcome.values(label, _test_error), 1, percent=True),
                spread(outcome.values(label, _least_gradient), 4),
            ]
        )
    header = ["network", "parameters", "training loss", "training error %", "test error %"]
    header.append("least gradient norm")
    return Report(
        answer=_answer(outcome, shallow, deep),
        limits=(
            "Few epochs, in which a deep network has not finished training; the paper's runs last "
            "64,000 steps. Training loss and error are averages over the last stretch between two "
            "evaluations, with augmentation."
        ),
        tables={"At the end of training, mean ± standard deviation over the seeds:": (header, rows)},
        figures={
            "curves": (
                _curves(outcome),
                "Training loss and test error while training; bands span the seeds.",
            ),
            "gradients": (
                _gradients(outcome),
                "Norm of the loss's gradient for each convolution, at the end of training.",
            ),
        },
    )


def _answer(outcome, shallow, deep):
    plain, residual = (
        outcome.every_seed(_label(kind, deep), _label(kind, shallow), _train_loss)
        for kind in KINDS
    )
    twins = outcome.every_seed(_label("plain", deep), _label("residual", deep), _train_loss)
    vanish = min(
        np.median(outcome.values(_label("plain", deep), _least_gradient))
        / np.median(outcome.values(_label("residual", deep), _least_gradient)),
        1e9,
    )
    return (
        f"With {deep} instead of {shallow} layers, the plain network ended with a higher training "
        f"loss for {plain[0]} of {plain[1]} seeds, the residual one for {residual[0]} of "
        f"{residual[1]}. At {deep} layers the plain twin, of exactly the same cost, ended above "
        f"the residual one for {twins[0]} of {twins[1]}. The smallest gradient norm of any layer "
        f"of the plain network was {vanish:.2g} times that of the residual one: "
        + (
            "its gradients have not vanished."
            if vanish > 0.1
            else "in this experiment its gradients are the smaller ones."
        )
    )


def _train_loss(trial):
    return trial.metrics[-1]["train_loss"]


def _train_error(trial):
    return 1 - trial.metrics[-1]["train_accuracy"]


def _test_error(trial):
    return 1 - trial.metrics[-1]["test_accuracy"]


def _least_gradient(trial):
    return min(trial.metrics[-1]["observed"]["gradient_norms"].values())


def _curves(outcome):
    figure, (loss, error) = panels(2, share_x=True)
    for index, label in enumerate(outcome.labels):
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


def _gradients(outcome):
    figure, (axes,) = panels(1)
    for index, label in enumerate(outcome.labels):
        norms = [
            [*trial.metrics[-1]["observed"]["gradient_norms"].values()]
            for trial in outcome.of(label)
        ]
        axes.plot(np.median(norms, axis=0), label=label, **line_style(index))
    axes.set_yscale("log")
    axes.set_xlabel("convolution or classifier, from the input on")
    axes.set_ylabel("gradient norm")
    legend(axes)
    return figure


STUDY = Study(
    name="degradation",
    title="Do deeper plain networks train worse, and do shortcuts mend it?",
    background="""
[He et al., 2015](https://arxiv.org/abs/1512.03385), section 1 and 4, found that plain networks
train worse when they are made deeper, which no overfitting explains, for it is the *training* error
that grows; and that residual networks of the same cost do not (figures 1, 4 and 6). They argue that
vanishing gradients are not the cause: with batch normalization, the gradients of plain networks
keep healthy norms.
""",
    contenders=contenders,
    compute=compute,
    report=report,
)

"""Where do gradients vanish, and are the layers inside a block trained?"""

import dataclasses
import itertools

import keras
import numpy as np

from keras_resnets import build_model, with_blocks
from keras_resnets.analysis import gradient_norms, plot_gradient_norms, plot_update_ratios
from keras_resnets.analysis.plots import draw_band, legend, line_styles, log_scale, panels
from keras_resnets.layers import UnnormalizedBlock
from training.run.compare import spread
from training.studies.degradation import DEPTHS, KINDS, twins
from training.studies.reading import (
    SHORT_RUNS,
    decay_alone,
    mean_by_key,
    observed,
    train_loss,
)
from training.studies.study import Report, Study, cifar_spec
from training.studies.trials import OBSERVED_EXAMPLES

INITIAL_SEEDS = 3
INITIAL_EXAMPLES = 128
WITHOUT = ", no batch norm"
# Of the networks without batch norm; with 0.1 the loss of the deep residual one is soon NaN.
SMALL_RATE = 0.01
HEADER = (
    "network",
    "initial smallest norm",
    "initial largest ÷ smallest",
    "final smallest norm",
    "final largest ÷ smallest",
    "smallest ‖w − w₀‖ / ‖w₀‖ in a block, %",
    "median, %",
    "training loss",
)


def contenders(budget):
    """The twins of the study of degradation; in the quick study, without batch norm too."""
    recipes = twins(budget)
    if budget == "full":
        return recipes
    return recipes | {
        f"{label}{WITHOUT}": dataclasses.replace(
            recipe,
            model=dataclasses.replace(
                recipe.model, name=f"{recipe.model.name}-bare", block="UnnormalizedBlock"
            ),
            optimizer=dataclasses.replace(recipe.optimizer, learning_rate=SMALL_RATE),
        )
        for label, recipe in recipes.items()
    }


def initial_norms(budget, images):
    """Gradient norms at initialization, with and without batch norm."""
    pixels, labels = (each[:INITIAL_EXAMPLES] for each in images.train)
    data = (pixels - pixels.mean()) / pixels.std(), labels
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = {}
    for depth, kind, suffix in itertools.product(DEPTHS[budget], KINDS, ("", WITHOUT)):
        norms = []
        for seed in range(INITIAL_SEEDS):
            keras.utils.set_random_seed(seed)
            model = build_model(
                cifar_spec(depth, shortcut=KINDS[kind]),
                input_shape=pixels.shape[1:],
                classifier_activation=None,
            )
            if suffix:
                model = with_blocks(model, UnnormalizedBlock)
            by_path = gradient_norms(model, data, loss)
            norms.append({k: v for k, v in by_path.items() if k.endswith("kernel")})
        found[f"{kind} {depth}{suffix}"] = mean_by_key(norms)
    return found


def _report(outcome):
    norms, distances = (
        {
            label: mean_by_key([observed(trial, what) for trial in outcome.of(label)])
            for label in outcome.labels
        }
        for what in ("gradient_norms", "distance")
    )
    initial = outcome.computed
    rows = []
    for label in [*outcome.labels, *(each for each in initial if each not in outcome.labels)]:
        row = [label, *_extremes(initial[label]), "", "", "", "", ""]
        if label in outcome.labels:
            moved = outcome.values(label, _moved)
            row[3:] = [
                *_extremes(norms[label]),
                spread([min(each) for each in moved], percent=True),
                spread([np.median(each) for each in moved], percent=True),
                spread(outcome.values(label, train_loss), 3),
            ]
        rows.append(row)
    deep = DEPTHS[outcome.budget][-1]
    return Report(
        answer=_answer(outcome, initial, deep),
        details=_beside_the_paper(initial, norms, deep) + _without_batch_norm(outcome, deep),
        limits=(
            f"{SHORT_RUNS} The networks without batch norm are {_how_bare_ones_run(outcome)}. "
            f"Their stem keeps its batch norm. Gradients are those of {INITIAL_EXAMPLES} images at "
            f"initialization and of {OBSERVED_EXAMPLES} during training, without augmentation."
        ),
        tables={"Gradient norms of the kernels, and how far the kernels moved:": (HEADER, rows)},
        figures={
            "training": (
                _draw_training(outcome),
                "Gradient norms during training: the median kernel, and a band from the smallest "
                "to the largest (means over the seeds).",
            ),
            "trained": (
                plot_gradient_norms(_normalized(norms)),
                "Gradient norm of each kernel at the end of training (mean over the seeds).",
            ),
            "initial": (
                plot_gradient_norms({k: v for k, v in initial.items() if f" {deep}" in k}),
                f"Gradient norm of each kernel at initialization, with {deep} layers, with and "
                "without batch norm.",
            ),
            "distance": (
                plot_update_ratios(_normalized(distances)),
                "Distance of each kernel from its initial value, relative to its initial norm.",
            ),
        },
    )


def _answer(outcome, initial, deep):
    moved = {kind: min(map(min, outcome.values(f"{kind} {deep}", _moved))) for kind in KINDS}
    shallow = DEPTHS[outcome.budget][0]
    normed = {kind: _by_depth(initial, kind, shallow, deep, "") for kind in KINDS}
    bare = {kind: _by_depth(initial, kind, shallow, deep, WITHOUT) for kind in KINDS}
    growth = {kind: _times(_growth(initial[f"{kind} {deep}"])) for kind in KINDS}
    decay = decay_alone(outcome)
    return (
        f"Every kernel in the blocks of the {deep}-layer residual network is trained: the least "
        f"change is {moved['residual']:.1%} of the kernel's initial norm (plain network: "
        f"{moved['plain']:.1%}). Weight decay alone explains {decay:.1%}, so the gradients explain "
        f"at least {moved['residual'] - decay:.1%}. At initialization, the plain network's median "
        f"gradient norm is {normed['plain']:.2g} times as large with {deep} layers as with "
        f"{shallow}; the largest kernel gradient is {growth['plain']} times the smallest "
        f"(residual network: {growth['residual']} times). Without batch norm, the median is "
        f"{bare['plain']:.2g} times as large."
    )


def _beside_the_paper(initial, norms, deep):
    label = f"plain {deep}"
    return (
        "He et al. report that batch norm keeps the gradients of plain networks at healthy norms. "
        f"At initialization, the smallest kernel gradient of “{label}” has a norm of "
        f"{min(initial[label].values()):.2g}, and the largest is "
        f"{_times(_growth(initial[label]))} times that. After training, the largest is "
        f"{_times(_growth(norms[label]))} times the smallest."
    )


def _without_batch_norm(outcome, deep):
    losses = {
        kind: outcome.values(f"{kind} {deep}{WITHOUT}", train_loss)
        for kind in KINDS
        if f"{kind} {deep}{WITHOUT}" in outcome.labels
    }
    if not losses:
        return ""
    return (
        f" Without batch norm in its blocks, the {deep}-layer plain network ended with a training "
        f"loss of {np.mean(losses['plain']):.3f} (guessing gives {np.log(10):.3f}), and its "
        f"residual twin with {np.mean(losses['residual']):.3f}."
    )


def _how_bare_ones_run(outcome):
    if any(label.endswith(WITHOUT) for label in outcome.labels):
        return (
            f"trained with a peak learning rate of {SMALL_RATE:g}. On maps of 8×8 to 2×2 pixels, "
            "where most of a kernel covers padding, their gradients vanish faster than on larger "
            "maps"
        )
    return "measured at initialization only"


def _growth(norms):
    return max(norms.values()) / min(norms.values())


def _by_depth(norms, kind, shallow, deep, suffix):
    """Returns the median norm in the deep network over that in the shallow one."""
    return float(
        np.median([*norms[f"{kind} {deep}{suffix}"].values()])
        / np.median([*norms[f"{kind} {shallow}{suffix}"].values()])
    )


def _normalized(by_label):
    """Leaves out the networks without batch norm."""
    return {label: line for label, line in by_label.items() if not label.endswith(WITHOUT)}


def _draw_training(outcome):
    styles = line_styles(outcome.labels)
    groups: dict[str, list[str]] = {}  # a network and its plain twin share a panel
    for label, style in styles.items():
        groups.setdefault(style["color"], []).append(label)
    figure, all_axes = panels(len(groups), share_x=True)
    for axes, group in zip(all_axes, groups.values(), strict=True):
        for label in group:
            trials = outcome.of(label)
            steps = [entry["step"] for entry in trials[0].metrics]
            norms = [
                [
                    [read([*entry["observed"]["gradient_norms"].values()]) for entry in t.metrics]
                    for t in trials
                ]
                for read in (np.median, min, max)
            ]
            draw_band(axes, styles[label], steps, label, *np.mean(norms, axis=1))
        log_scale(axes)
        axes.set_ylabel("norm of the gradient")
        legend(axes)
    all_axes[-1].set_xlabel("training steps")
    return figure


def _extremes(norms):
    values = [*norms.values()]
    return [f"{min(values):.2g}", _times(_growth(norms))]


def _times(factor):
    return f"{factor:,.0f}" if factor >= 100 else f"{factor:.2g}"


def _moved(trial):
    """Returns how far each kernel of a block's branch moved."""
    distances = observed(trial, "distance")
    return [value for path, value in distances.items() if "_block" in path]


STUDY = Study(
    name="gradients",
    title="Do gradients vanish, and are the layers that a shortcut skips trained?",
    background="""
A shortcut lets the gradient bypass the block's layers. It is often said that residual networks work
because gradients vanish in plain networks, or that the skipped layers are not trained. [He et al.,
2015](https://arxiv.org/abs/1512.03385), section 4.1, think that vanishing gradients are unlikely,
since batch normalization preserves the variance of the signals. This study measures the gradient
norm of each kernel, and how far each kernel moves.
""",
    contenders=contenders,
    compute=initial_norms,
    report=_report,
)

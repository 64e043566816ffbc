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
from training.studies.reading import SHORT_RUNS, THIN, decay_alone, mean_by_key, train_loss
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
            label: mean_by_key([observed[what] for observed in outcome.values(label, _observed)])
            for label in outcome.labels
        }
        for what in ("gradient_norms", "distance")
    )
    initial = outcome.computed
    rows = []
    for label in dict.fromkeys([*outcome.labels, *initial]):
        row = [label, *_extremes(initial[label])]
        if label in outcome.labels:
            moved = outcome.values(label, _moved)
            row += [
                *_extremes(norms[label]),
                spread([min(each) for each in moved], percent=True),
                spread([float(np.median(each)) for each in moved], percent=True),
                spread(outcome.values(label, train_loss), 3),
            ]
        rows.append(row + [""] * (len(HEADER) - len(row)))
    deep = DEPTHS[outcome.budget][-1]
    of_deep = {label: norms for label, norms in initial.items() if f" {deep}" in label}
    details, limits = _without_batch_norm(outcome, deep)
    return Report(
        answer=_answer(outcome, initial, deep),
        details=_beside_the_paper(initial, norms, deep) + details,
        limits=(
            f"{SHORT_RUNS} The networks without batch norm are {limits}. Their stem keeps its "
            f"batch norm. Gradients are those of {INITIAL_EXAMPLES} images at initialization and "
            f"of {OBSERVED_EXAMPLES} during training, without augmentation."
        ),
        tables={"Gradient norms of the kernels, and how far the kernels moved:": (HEADER, rows)},
        figures={
            "training": (
                _draw_training(outcome),
                "Gradient norms during training: the median kernel, and a band from the smallest "
                f"to the largest{THIN.rstrip(',')} (means over the seeds).",
            ),
            "trained": (
                plot_gradient_norms(_with_batch_norm(norms)),
                "Gradient norm of each kernel at the end of training (mean over the seeds).",
            ),
            "initial": (
                plot_gradient_norms(of_deep),
                f"Gradient norm of each kernel at initialization, with {deep} layers, with and "
                "without batch norm.",
            ),
            "distance": (
                plot_update_ratios(_with_batch_norm(distances)),
                "Distance of each kernel from its initial value, relative to its initial norm.",
            ),
        },
    )


def _answer(outcome, initial, deep):
    moved = {kind: min(map(min, outcome.values(f"{kind} {deep}", _moved))) for kind in KINDS}
    growth = {kind: _extremes(initial[f"{kind} {deep}"])[1] for kind in KINDS}
    shallow = DEPTHS[outcome.budget][0]
    normed, bare = (
        np.median([*initial[f"plain {deep}{suffix}"].values()])
        / np.median([*initial[f"plain {shallow}{suffix}"].values()])
        for suffix in ("", WITHOUT)
    )
    decay = decay_alone(outcome)
    return (
        f"Every kernel in the blocks of the {deep}-layer residual network is trained: the least "
        f"change is {moved['residual']:.1%} of the kernel's initial norm (plain network: "
        f"{moved['plain']:.1%}). Weight decay alone explains {decay:.1%}, so the gradients explain "
        f"at least {moved['residual'] - decay:.1%}. At initialization, the plain network's median "
        f"gradient norm is {normed:.2g} times as large with {deep} layers as with {shallow}; the "
        f"largest kernel gradient is {growth['plain']} times the smallest (residual network: "
        f"{growth['residual']} times). Without batch norm, the median is {bare:.2g} times as large."
    )


def _beside_the_paper(initial, norms, deep):
    label = f"plain {deep}"
    least, growth = _extremes(initial[label])
    return (
        "He et al. report that batch norm keeps the gradients of plain networks at healthy norms. "
        f"At initialization, the smallest kernel gradient of “{label}” has a norm of {least}, and "
        f"the largest is {growth} times that. After training, the largest is "
        f"{_extremes(norms[label])[1]} times the smallest."
    )


def _without_batch_norm(outcome, deep):
    """Says how the networks without batch norm end, and how they were measured."""
    if outcome.budget == "full":
        return "", "measured at initialization only"
    plain, residual = (
        np.mean(outcome.values(f"{kind} {deep}{WITHOUT}", train_loss)) for kind in KINDS
    )
    return (
        f" Without batch norm in its blocks, the {deep}-layer plain network ended with a training "
        f"loss of {plain:.3f} (guessing gives {np.log(10):.3f}), and its residual twin with "
        f"{residual:.3f}.",
        f"trained with a peak learning rate of {SMALL_RATE:g}. On maps of 8×8 to 2×2 pixels, where "
        "most of a kernel covers padding, their gradients vanish faster than on larger maps",
    )


def _with_batch_norm(by_label):
    return {label: line for label, line in by_label.items() if not label.endswith(WITHOUT)}


def _draw_training(outcome):
    styles = line_styles(outcome.labels)
    groups: dict[str, list[str]] = {}  # a network and its plain twin share a panel
    for label, style in styles.items():
        groups.setdefault(style["color"], []).append(label)
    figure, all_axes = panels(len(groups), share_x=True)
    for axes, group in zip(all_axes, groups.values(), strict=True):
        for label in group:
            metrics = outcome.values(label, lambda trial: trial.metrics)
            norms = [
                [
                    [read([*entry["observed"]["gradient_norms"].values()]) for entry in entries]
                    for entries in metrics
                ]
                for read in (np.median, min, max)
            ]
            steps = [entry["step"] for entry in metrics[0]]
            draw_band(axes, styles[label], steps, label, *np.mean(norms, axis=1))
        log_scale(axes)
        axes.set_ylabel("norm of the gradient")
        legend(axes)
    all_axes[-1].set_xlabel("training steps")
    return figure


def _extremes(norms):
    """Returns the smallest norm, and by how many times the largest exceeds it."""
    least, most = min(norms.values()), max(norms.values())
    growth = most / least
    return f"{least:.2g}", f"{growth:,.0f}" if growth >= 100 else f"{growth:.2g}"


def _observed(trial):
    return trial.metrics[-1]["observed"]


def _moved(trial):
    """Returns how far each kernel of a block's branch moved."""
    return [value for path, value in _observed(trial)["distance"].items() if "_block" in path]


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
    reads_observed=True,
)

"""Can a block of a trained network be left out?"""

import numpy as np

from keras_resnets.analysis import plot_lesions, remove_blocks, reorder_blocks
from keras_resnets.analysis.plots import legend, line_style, panels
from keras_resnets.layers import ResidualBlock
from training.studies.degradation import DEPTHS, twins
from training.studies.first_steps import (
    FIRST_SEEDS,
    describe_first_steps,
    draw_first_steps,
    first_losses,
)
from training.studies.reading import SHORT_RUNS, mean_by_key
from training.studies.recipes import cifar_spec, study_recipe
from training.studies.study import Report, Study, spread

DRAWS = 5  # of everything but one block removed
COUNTS = (2, 3, 5, 8)  # of one, every block has its turn
SWAPS = 4
EXAMPLES = 500
SPARED = 0.01  # a point of the error


def contenders(budget):
    """The deep twins of the study of degradation, and one whose blocks begin as the identity."""
    deep = DEPTHS[budget][-1]
    recipes = {label: each for label, each in twins(budget).items() if label.endswith(f" {deep}")}
    zero = cifar_spec(deep, zero_init_residual=True)
    return {**recipes, f"residual {deep}, γ = 0": study_recipe(budget, zero)}


def measure(model, images):
    """Error of the network, without each block, without several, with some swapped or shuffled.

    Only blocks that keep the shape are touched, so that the plain network is treated alike.
    """
    pixels, labels = images.test[0][:EXAMPLES], images.test[1][:EXAMPLES]

    def error(network):
        # Not `predict`, which would compile each of these networks for one call.
        scores = network(pixels, training=False)
        return float(np.mean(np.argmax(scores, axis=-1) != labels))

    blocks = [layer for layer in model.layers if isinstance(layer, ResidualBlock)]
    kept = [block.name for block in blocks if block.input.shape == block.output.shape]
    generator = np.random.default_rng(0)
    # Each draw takes out one block after another, so that more removed blocks hold the fewer.
    draws = [list(generator.permutation(kept)) for _ in range(DRAWS)]
    removed = {
        str(count): [error(remove_blocks(model, draw[:count])) for draw in draws]
        for count in COUNTS
        if count <= len(kept)
    }
    return {
        "whole": error(model),
        "without": {name: error(remove_blocks(model, [name])) for name in kept},
        "removed": removed,
        "swapped": [error(_swapped(model, blocks, kept, generator)) for _ in range(DRAWS)],
        "shuffled": [error(_shuffled(model, blocks, kept, generator)) for _ in range(DRAWS)],
    }


def _shuffled(model, blocks, kept, generator):
    """Puts the blocks of each stage that keep the shape into a random order."""
    places: dict[tuple, list[int]] = {}
    for place, block in enumerate(blocks):
        if block.name in kept:
            places.setdefault(block.output.shape, []).append(place)
    order = [block.name for block in blocks]
    for alike in places.values():
        names = [order[place] for place in generator.permutation(alike)]
        for place, name in zip(alike, names, strict=True):
            order[place] = name
    return reorder_blocks(model, order)


def _swapped(model, blocks, kept, generator):
    """Swaps neighbouring blocks of the same shape, one pair after another."""
    order = [block.name for block in blocks]
    pairs = [
        place
        for place in range(len(order) - 1)
        if order[place] in kept
        and order[place + 1] in kept
        and blocks[place].output.shape == blocks[place + 1].output.shape
    ]
    for place in generator.choice(pairs, SWAPS, replace=False):
        order[place], order[place + 1] = order[place + 1], order[place]
    return reorder_blocks(model, order)


def report(outcome):
    """What the page shows."""
    header = ["network", "whole", "without one block", "without the worst", "without 3"]
    header += ["without 5", f"{SWAPS} swaps of neighbours", "stages shuffled"]
    rows = []
    for label in outcome.labels:
        trials = outcome.of(label)
        rows.append(
            [
                label,
                spread([trial.measured["whole"] for trial in trials], 1, percent=True),
                spread([_mean(trial, "without") for trial in trials], 1, percent=True),
                spread([max(_values(trial, "without")) for trial in trials], 1, percent=True),
                *(
                    spread([np.mean(drawn(trial.measured)) for trial in trials], 1, percent=True)
                    for drawn in (
                        lambda measured: measured["removed"]["3"],
                        lambda measured: measured["removed"]["5"],
                        lambda measured: measured["swapped"],
                        lambda measured: measured["shuffled"],
                    )
                ),
            ]
        )
    return Report(
        answer=_answer(outcome),
        details=f"{_beside_the_paper(outcome)} {describe_first_steps(outcome)}",
        limits=(
            f"{SHORT_RUNS} Only blocks that keep the shape are removed, swapped with a neighbour "
            f"or shuffled within their stage: each is removed by itself, and there are {DRAWS} "
            "draws of everything else, the same for all networks. Measured on "
            f"{EXAMPLES} test images at most, in inference, with the batch norm's statistics of "
            f"the whole network. The first steps are {FIRST_SEEDS} seeds of plain gradient descent "
            "on the first 500 training images, at the recipe's peak learning rate and without "
            "warm-up."
        ),
        tables={
            "Test error % after the lesion, mean ± standard deviation over the seeds:": (
                header,
                rows,
            )
        },
        figures={
            "removed": (
                _draw_removed(outcome),
                "Test error against the number of blocks removed, mean and range over the seeds "
                "and the choices of blocks.",
            ),
            "without": (
                plot_lesions(
                    {
                        label: mean_by_key([t.measured["without"] for t in outcome.of(label)])
                        for label in outcome.labels
                    }
                ),
                "Test error without each of the blocks that keep the shape (mean over the seeds).",
            ),
            "start": (
                draw_first_steps(outcome),
                "Training loss at the first steps: does it help that blocks begin as the identity? "
                "Bands span the seeds.",
            ),
        },
    )


def _answer(outcome):
    plain, residual, zero = outcome.labels
    harm = {
        label: float(
            np.mean([_mean(t, "without") - t.measured["whole"] for t in outcome.of(label)])
        )
        for label in outcome.labels
    }
    less = outcome.every_seed(
        plain, residual, lambda trial: _mean(trial, "without") - trial.measured["whole"]
    )
    spared = {
        label: [
            error - trial.measured["whole"] < SPARED
            for trial in outcome.of(label)
            for error in _values(trial, "without")
        ]
        for label in outcome.labels
    }
    return (
        f"Without one block the residual network's test error grew by {100 * harm[residual]:.1f} "
        f"points on average, the plain twin's by {100 * harm[plain]:.1f}, and that of a residual "
        f"network whose blocks began as the identity (γ = 0) by {100 * harm[zero]:.1f}; the plain "
        f"one suffered more than its twin for {less[0]} of {less[1]} seeds. Leaving one out cost "
        f"less than a point for {np.mean(spared[residual]):.0%} of the residual network's blocks, "
        f"for {np.mean(spared[plain]):.0%} of the plain one's and for {np.mean(spared[zero]):.0%} "
        "where γ began at 0."
    )


def _beside_the_paper(outcome):
    _, residual, _ = outcome.labels
    worst, shuffled = (
        np.mean([read(trial) for trial in outcome.of(residual)])
        for read in (
            lambda trial: max(_values(trial, "without")),
            lambda trial: np.mean(trial.measured["shuffled"]),
        )
    )
    return (
        "Veit et al.'s ResNet-110 had little more error without any single block, and its error "
        f"grew smoothly as blocks were shuffled; “{residual}” had {worst:.1%} without its most "
        f"important block, and {shuffled:.1%} when each stage was shuffled."
    )


def _values(trial, what):
    return [*trial.measured[what].values()]


def _mean(trial, what):
    return float(np.mean(_values(trial, what)))


def _draw_removed(outcome):
    figure, (axes,) = panels(1)
    for index, label in enumerate(outcome.labels):
        trials = outcome.of(label)
        counts = [0, 1, *(count for count in COUNTS if str(count) in trials[0].measured["removed"])]
        errors = [
            [100 * error for trial in trials for error in _errors(trial, count)] for count in counts
        ]
        style = line_style(index)
        axes.plot(counts, [np.mean(each) for each in errors], label=label, **style)
        axes.fill_between(
            counts, [*map(min, errors)], [*map(max, errors)], color=style["color"], alpha=0.15
        )
    axes.set_xlabel("blocks removed")
    axes.set_ylabel("test error (%)")
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def _errors(trial, count):
    if count == 0:
        return [trial.measured["whole"]]
    if count == 1:
        return _values(trial, "without")
    return trial.measured["removed"][str(count)]


STUDY = Study(
    name="lesion",
    title="Can a block do nearly nothing, and be left out?",
    background="""
If what a block adds is a correction, a trained network should bear the loss of one; where
everything passes through every layer, it should not. [Veit et al.,
2016](https://arxiv.org/abs/1605.06431) removed and shuffled blocks of trained networks at test
time: ResNets hardly minded, VGG broke. Here it is done to a residual network and its plain twin.
Beside them is a network whose blocks begin as the identity, because the last γ of each branch
begins at 0 ([Goyal et al., 2017](https://arxiv.org/abs/1706.02677), section 5.1).
""",
    contenders=contenders,
    measure=measure,
    compute=first_losses,
    report=report,
)

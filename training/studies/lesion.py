"""Can a block of a trained network be left out?"""

import keras
import numpy as np

from keras_resnets import build_model
from keras_resnets.analysis import plot_lesions, remove_blocks, reorder_blocks
from keras_resnets.analysis.plots import draw_band, legend, line_styles, panels
from keras_resnets.layers import ResidualBlock
from training.run.compare import spread
from training.studies.degradation import DEPTHS, twins
from training.studies.reading import SHORT_RUNS, in_seeds, mean_by_key
from training.studies.study import Report, Study, cifar_spec, study_recipe

DRAWS = 5  # of everything but one block removed
COUNTS = (2, 3, 5, 8)  # of one, every block has its turn
SWAPS = 4
EXAMPLES = 500
SPARED = 0.01  # a point of the error
FIRST_STEPS = 30
FIRST_SEEDS = 3
# The columns of the table, read off what `measure` returns.
READINGS = {
    "whole": lambda measured: measured["whole"],
    "without one block": lambda measured: np.mean([*measured["without"].values()]),
    "without the worst": lambda measured: max(measured["without"].values()),
    "without 3": lambda measured: np.mean(measured["removed"]["3"]),
    "without 5": lambda measured: np.mean(measured["removed"]["5"]),
    f"{SWAPS} swaps of neighbours": lambda measured: np.mean(measured["swapped"]),
    "stages shuffled": lambda measured: np.mean(measured["shuffled"]),
}


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


def first_losses(budget, images):
    """Training loss at each of the first steps: do blocks that begin as the identity help?

    Plain gradient descent with the recipe's learning rate, from the first step on.
    """
    deep = DEPTHS[budget][-1]
    recipe = next(iter(twins(budget).values()))
    pixels, labels = images.train
    pixels = (pixels - pixels.mean()) / pixels.std()
    found = {}
    for label, zero in ((f"residual {deep}", False), (f"residual {deep}, γ = 0", True)):
        spec = cifar_spec(deep, zero_init_residual=zero)
        shape = pixels.shape[1:]
        model = build_model(spec, input_shape=shape, classifier_activation=None)
        model.compile(
            keras.optimizers.SGD(recipe.optimizer.learning_rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        found[label] = []
        for seed in range(FIRST_SEEDS):
            # Set into the one network, whose step is then traced once; plain gradient descent
            # remembers nothing.
            keras.utils.set_random_seed(seed)
            begin = build_model(spec, input_shape=shape, classifier_activation=None)
            model.set_weights(begin.get_weights())
            generator = np.random.default_rng(seed)
            losses = []
            for _ in range(FIRST_STEPS):
                chosen = generator.choice(len(pixels), recipe.batch, replace=False)
                model.reset_metrics()
                losses.append(float(model.train_on_batch(pixels[chosen], labels[chosen])))
            found[label].append(losses)
    return found


def _report(outcome):
    rows = [
        [
            label,
            *(
                spread(outcome.values(label, lambda t, read=read: read(t.measured)), 1, True)
                for read in READINGS.values()
            ),
        ]
        for label in outcome.labels
    ]
    return Report(
        answer=_answer(outcome),
        details=f"{_beside_the_paper(outcome)} {_describe_first_steps(outcome)}",
        limits=(
            f"{SHORT_RUNS} Only blocks that keep the shape are removed, swapped with a neighbour "
            "or shuffled within their stage. Each is removed by itself; everything else is drawn "
            f"{DRAWS} times, alike for all networks. Errors are those of at most {EXAMPLES} test "
            "images, in inference, with the batch norm statistics of the whole network. The first "
            f"steps are {FIRST_SEEDS} seeds of plain gradient descent on the first 500 training "
            "images, at the recipe's peak learning rate and without warm-up."
        ),
        tables={
            "Test error (%) after each change, mean ± standard deviation over the seeds:": (
                ["network", *READINGS],
                rows,
            )
        },
        figures={
            "removed": (
                _draw_removed(outcome),
                "Test error by the number of removed blocks: mean and range over the seeds and "
                "the choices of blocks.",
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
                _draw_first_steps(outcome),
                "Training loss at the first steps, with and without blocks that start as the "
                "identity. Bands span the seeds.",
            ),
        },
    )


def _answer(outcome):
    plain, residual, zero = outcome.labels
    harm = {label: 100 * np.mean(outcome.values(label, _harm)) for label in outcome.labels}
    less = outcome.every_seed(plain, residual, _harm)
    spared = {
        label: np.mean(
            [
                error - trial.measured["whole"] < SPARED
                for trial in outcome.of(label)
                for error in trial.measured["without"].values()
            ]
        )
        for label in outcome.labels
    }
    return (
        f"Removing a block raises the residual network's test error by {harm[residual]:.1f} "
        f"points on average, its plain twin's by {harm[plain]:.1f}{in_seeds(less)}, and that of a "
        f"residual network whose blocks start as the identity (γ = 0) by {harm[zero]:.1f}. "
        f"Removal costs less than a point for {spared[residual]:.0%} of the residual network's "
        f"blocks, {spared[plain]:.0%} of the plain network's, and {spared[zero]:.0%} of those that "
        "start as the identity."
    )


def _harm(trial):
    """Returns by how much the error grows without one block, on average."""
    return READINGS["without one block"](trial.measured) - trial.measured["whole"]


def _beside_the_paper(outcome):
    _, residual, _ = outcome.labels
    worst, shuffled = (
        np.mean([READINGS[column](trial.measured) for trial in outcome.of(residual)])
        for column in ("without the worst", "stages shuffled")
    )
    return (
        "Veit et al.'s ResNet-110 had little more error without any single block, and its error "
        f"grew smoothly as blocks were shuffled. “{residual}” has a test error of {worst:.1%} "
        f"without its most important block, and of {shuffled:.1%} with every stage shuffled."
    )


def _describe_first_steps(outcome):
    """Says how the first losses of the two networks of `first_losses` compare."""
    (one, losses), (other, zero_losses) = outcome.computed.items()
    whole = {
        label: np.mean([trial.measured["whole"] for trial in outcome.of(label)])
        for label in (one, other)
    }
    return (
        f"If blocks start as the identity (γ = 0), the loss of the first step is "
        f"{np.mean(zero_losses, axis=0)[0]:.2f} instead of {np.mean(losses, axis=0)[0]:.2f} "
        f"(guessing gives {np.log(10):.2f}). Over the first {FIRST_STEPS} steps, the largest loss "
        f"is {np.max(zero_losses):.2f} instead of {np.max(losses):.2f}, and the mean of the last "
        f"ten {np.mean(np.array(zero_losses)[:, -10:]):.2f} instead of "
        f"{np.mean(np.array(losses)[:, -10:]):.2f}. After training, the test error on the measured "
        f"images is {whole[other]:.1%} instead of {whole[one]:.1%}."
    )


def _draw_removed(outcome):
    figure, (axes,) = panels(1)
    for label, style in line_styles(outcome.labels).items():
        by_count: dict[int, list[float]] = {}
        for trial in outcome.of(label):
            measured = trial.measured
            of_trial = {0: [measured["whole"]], 1: [*measured["without"].values()]}
            of_trial |= {int(count): drawn for count, drawn in measured["removed"].items()}
            for count, drawn in of_trial.items():
                by_count.setdefault(count, []).extend(100 * error for error in drawn)
        errors = by_count.values()
        means, low, high = ([*map(read, errors)] for read in (np.mean, min, max))
        draw_band(axes, style, [*by_count], label, means, low, high)
    axes.set_xlabel("blocks removed")
    axes.set_ylabel("test error (%)")
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def _draw_first_steps(outcome):
    figure, (axes,) = panels(1)
    styles = line_styles([*outcome.labels, *outcome.computed])  # the colours of the plot above
    for label, losses in outcome.computed.items():
        steps = range(1, len(losses[0]) + 1)
        band = np.mean(losses, axis=0), np.min(losses, axis=0), np.max(losses, axis=0)
        draw_band(axes, styles[label], steps, label, *band)
    axes.set_xlabel("training steps")
    axes.set_ylabel("training loss (nats)")
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


STUDY = Study(
    name="lesion",
    title="Can a block of a trained network be removed?",
    background="""
If a block adds only a correction, a trained network should work without it. If everything passes
through every layer, it should not. [Veit et al., 2016](https://arxiv.org/abs/1605.06431) removed or
shuffled blocks of trained networks at test time, which hardly changed ResNets but broke VGG. This
study does the same to a residual network, to its plain twin, and to a network whose blocks start as
the identity because the last γ of each branch starts at 0 ([Goyal et al.,
2017](https://arxiv.org/abs/1706.02677), section 5.1).
""",
    contenders=contenders,
    measure=measure,
    compute=first_losses,
    report=_report,
)

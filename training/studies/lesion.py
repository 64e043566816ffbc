"""Can a block of a trained network be left out?"""

import itertools

import keras
import numpy as np

from keras_resnets import build_model
from keras_resnets.analysis import plot_lesions, remove_blocks, reorder_blocks
from keras_resnets.analysis.plots import draw_band, legend, line_styles, panels
from keras_resnets.layers import ResidualBlock
from training.run.compare import draw_seeds, spread
from training.studies.degradation import DEPTHS, twins
from training.studies.reading import SHORT_RUNS, mean_by_key, unless_separated
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
    order = [block.name for block in blocks]
    shapes = {b.name: b.output.shape for b in blocks if b.input.shape == b.output.shape}
    generator = np.random.default_rng(0)
    # Each draw takes out one block after another, so that more removed blocks hold the fewer.
    draws = [list(generator.permutation([*shapes])) for _ in range(DRAWS)]
    reordered = {
        change.__name__: [
            error(reorder_blocks(model, change(order, shapes, generator))) for _ in range(DRAWS)
        ]
        for change in (swapped, shuffled)
    }
    return {
        "whole": error(model),
        "without": {name: error(remove_blocks(model, [name])) for name in shapes},
        "removed": {
            str(count): [error(remove_blocks(model, draw[:count])) for draw in draws]
            for count in COUNTS
            if count <= len(shapes)
        },
        **reordered,
    }


def swapped(order, shapes, generator):
    """Swaps neighbouring blocks of the same shape, one pair after another."""
    order = list(order)
    pairs = [
        place
        for place, (one, other) in enumerate(itertools.pairwise(order))
        if one in shapes and shapes[one] == shapes.get(other)
    ]
    for place in generator.choice(pairs, SWAPS, replace=False):
        order[place], order[place + 1] = order[place + 1], order[place]
    return order


def shuffled(order, shapes, generator):
    """Puts the blocks of each stage that keep the shape into a random order."""
    order = list(order)
    for shape in dict.fromkeys(shapes.values()):
        places = [place for place, name in enumerate(order) if shapes.get(name) == shape]
        names = [order[place] for place in generator.permutation(places)]
        for place, name in zip(places, names, strict=True):
            order[place] = name
    return order


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
        [label, *(spread([*map(read, measured)], 1, True) for read in READINGS.values())]
        for label, measured in _measured(outcome).items()
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
                        label: mean_by_key([each["without"] for each in measured])
                        for label, measured in _measured(outcome).items()
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


def _measured(outcome):
    """Returns what was measured with each seed, by label."""
    return {label: outcome.values(label, lambda trial: trial.measured) for label in outcome.labels}


def _answer(outcome):
    harm, spared = {}, {}
    for label, measured in _measured(outcome).items():
        harm[label] = 100 * np.mean(outcome.values(label, _harm))
        rises = [error - m["whole"] for m in measured for error in m["without"].values()]
        spared[label] = np.mean([rise < SPARED for rise in rises])
    plain, residual, zero = outcome.labels
    apart = unless_separated(outcome, plain, residual, _harm)
    return (
        f"Removing a block raises the residual network's test error by {harm[residual]:.1f} "
        f"points on average, its plain twin's by {harm[plain]:.1f}{apart}, and that of a "
        f"residual network whose blocks start as the identity (γ = 0) by {harm[zero]:.1f}. "
        f"Removal costs less than a point for {spared[residual]:.0%} of the residual network's "
        f"blocks, {spared[plain]:.0%} of the plain network's, and {spared[zero]:.0%} of those that "
        "start as the identity."
    )


def _harm(trial):
    """Returns by how much the error grows without one block, on average."""
    return READINGS["without one block"](trial.measured) - trial.measured["whole"]


def _beside_the_paper(outcome):
    residual = outcome.labels[1]
    worst, shuffled = (
        np.mean([*map(READINGS[column], _measured(outcome)[residual])])
        for column in ("without the worst", "stages shuffled")
    )
    return (
        "Veit et al.'s ResNet-110 had little more error without any single block, and its error "
        f"grew smoothly as blocks were shuffled. “{residual}” has a test error of {worst:.1%} "
        f"without its most important block, and of {shuffled:.1%} with every stage shuffled."
    )


def _describe_first_steps(outcome):
    """Says how the first losses of the two networks of `first_losses` compare."""
    whole = {
        label: np.mean([*map(READINGS["whole"], measured)])
        for label, measured in _measured(outcome).items()
    }
    (one, losses), (other, zero_losses) = outcome.computed.items()
    losses, zero_losses = np.array(losses), np.array(zero_losses)
    return (
        f"If blocks start as the identity (γ = 0), the loss of the first step is "
        f"{zero_losses[:, 0].mean():.2f} instead of {losses[:, 0].mean():.2f} (guessing gives "
        f"{np.log(10):.2f}). Over the first {FIRST_STEPS} steps, the largest loss is "
        f"{zero_losses.max():.2f} instead of {losses.max():.2f}, and the mean of the last ten "
        f"{zero_losses[:, -10:].mean():.2f} instead of {losses[:, -10:].mean():.2f}. After "
        f"training, the test error on the measured images is {whole[other]:.1%} instead of "
        f"{whole[one]:.1%}."
    )


def _draw_removed(outcome):
    figure, (axes,) = panels(1)
    styles = line_styles(outcome.labels)
    for label, measured in _measured(outcome).items():
        errors: dict[int, list[float]] = {}
        for each in measured:
            by_count = {0: [each["whole"]], 1: each["without"].values(), **each["removed"]}
            for count, drawn in by_count.items():
                errors.setdefault(int(count), []).extend(100 * error for error in drawn)
        band = ([*map(reduce, errors.values())] for reduce in (np.mean, min, max))
        draw_band(axes, styles[label], [*errors], label, *band)
    axes.set_xlabel("blocks removed")
    axes.set_ylabel("test error (%)")
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def _draw_first_steps(outcome):
    figure, (axes,) = panels(1)
    styles = line_styles([*outcome.labels, *outcome.computed])  # the colours of the plot above
    for label, losses in outcome.computed.items():
        draw_seeds(axes, styles[label], label, range(1, FIRST_STEPS + 1), losses)
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

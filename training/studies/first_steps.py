"""Does it help a residual network's first steps that its blocks begin as the identity?"""

import keras
import numpy as np

from keras_resnets import build_model
from keras_resnets.analysis.plots import legend, line_style, panels
from training.studies.degradation import DEPTHS, twins
from training.studies.recipes import cifar_spec

FIRST_STEPS = 30
FIRST_SEEDS = 3


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


def describe_first_steps(outcome):
    """Says how the first losses of the two networks of `first_losses` compare."""
    (one, losses), (other, zero_losses) = outcome.computed.items()
    whole = {
        label: np.mean([trial.measured["whole"] for trial in outcome.of(label)])
        for label in (one, other)
    }
    return (
        f"Where the blocks begin as the identity (γ = 0), the loss of the first step was "
        f"{np.mean(zero_losses, axis=0)[0]:.2f} instead of {np.mean(losses, axis=0)[0]:.2f} (a "
        f"guess among ten classes has {np.log(10):.2f}), its greatest over the first "
        f"{FIRST_STEPS} steps {np.max(zero_losses):.2f} instead of {np.max(losses):.2f}, and the "
        f"mean of the last ten of them {np.mean(np.array(zero_losses)[:, -10:]):.2f} instead of "
        f"{np.mean(np.array(losses)[:, -10:]):.2f}. After training, the whole network ended with "
        f"a test error of {whole[other]:.1%} instead of {whole[one]:.1%}."
    )


def draw_first_steps(outcome):
    """Draws the losses that `first_losses` found: means, and bands that span the seeds."""
    figure, (axes,) = panels(1)
    for index, (label, losses) in enumerate(outcome.computed.items(), 1):  # as colours above
        losses = np.array(losses)
        steps = range(1, losses.shape[1] + 1)
        style = line_style(index)
        axes.plot(steps, losses.mean(axis=0), label=label, **style)
        axes.fill_between(
            steps, losses.min(axis=0), losses.max(axis=0), color=style["color"], alpha=0.15
        )
    axes.set_xlabel("training steps")
    axes.set_ylabel("training loss (nats)")
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure

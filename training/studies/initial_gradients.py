"""Gradient norms of networks that have learned nothing yet."""

import keras

from keras_resnets import build_model, with_blocks
from keras_resnets.analysis import gradient_norms
from keras_resnets.layers import UnnormalizedBlock
from training.studies.degradation import DEPTHS, KINDS
from training.studies.reading import mean_by_key
from training.studies.recipes import cifar_spec

SEEDS = 3
EXAMPLES = 128
WITHOUT = ", no batch norm"


def initial_norms(budget, images):
    """Gradient norms at initialization, with and without batch norm."""
    pixels, labels = (each[:EXAMPLES] for each in images.train)
    data = (pixels - pixels.mean()) / pixels.std(), labels
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = {}
    for depth in DEPTHS[budget]:
        for kind, shortcut in KINDS.items():
            for is_normalized in (True, False):
                norms = []
                for seed in range(SEEDS):
                    keras.utils.set_random_seed(seed)
                    model = build_model(
                        cifar_spec(depth, shortcut=shortcut),
                        input_shape=pixels.shape[1:],
                        classifier_activation=None,
                    )
                    if not is_normalized:
                        model = with_blocks(model, UnnormalizedBlock)
                    by_path = gradient_norms(model, data, loss)
                    norms.append({k: v for k, v in by_path.items() if k.endswith("kernel")})
                label = f"{kind} {depth}{'' if is_normalized else WITHOUT}"
                found[label] = mean_by_key(norms)
    return found

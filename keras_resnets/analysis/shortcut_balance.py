"""How much a residual block adds to what passes it by."""

import keras
import numpy as np

from keras_resnets.analysis.batches import image_batches
from keras_resnets.analysis.layer_inputs import input_probe, residual_blocks


def shortcut_balance(model, data):
    """Compares the two terms of every block's sum: F(x), and the shortcut s(x).

    Does a block learn to put out zero, a small correction, or something of its own? Each number
    is computed for each image, over all positions and channels, and averaged over the images;
    in inference. Where a gate weighs the terms, they are taken as they are added.

    Args:
        model: A functional model of this package with shortcuts, or one that holds it.
        data: Images as the model takes them: an array, a pair `(images, labels)`, or an iterable
            of batches of either.

    Returns:
        `{block: {measure: number}}` from the input on, with the measures

        - `"branch_to_input"`: ‖F(x)‖ / ‖x‖,
        - `"branch_to_shortcut"`: ‖F(x)‖ / ‖s(x)‖, the same where the shortcut is the identity,
        - `"cosine"`: that of the angle between F(x) and s(x), in [−1, 1]; negative where the block
          takes away from what passes it.

        A number is `None` if it is not defined for any image, because a norm is 0.

    Raises:
        TypeError: If `model` is neither a functional model nor a `keras.Sequential`, or `data` no
            images.
        ValueError: If the model has no blocks of this package, or plain ones, or has them in
            several places; if there are no images, or they are of another shape than the model
            takes.

    Example:

    >>> model = keras_resnets.ResNet20(zero_init_residual=True)  # each F begins at 0
    >>> images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    >>> keras_resnets.analysis.shortcut_balance(model, images)["stage1_block1"]
    {'branch_to_input': 0.0, 'branch_to_shortcut': 0.0, 'cosine': None}
    """
    blocks = residual_blocks(model)
    plain = [block.name for block in blocks if block.shortcut is None]
    if plain:
        raise ValueError(
            "`model` must have shortcuts: a plain block has one term and no sum. "
            f"Received: {model.name!r} with the plain blocks {', '.join(plain)}"
        )
    probe = input_probe(model, blocks)
    found: dict[str, dict[str, list]] = {block.name: {} for block in blocks}
    for images in image_batches(data, probe.inputs[0].shape):
        inputs = probe(images, training=False)
        for block in blocks:
            for measure, values in _balance(block, inputs[block.name]).items():
                found[block.name].setdefault(measure, []).append(values)
    return {
        name: {measure: _mean(parts) for measure, parts in measures.items()}
        for name, measures in found.items()
    }


def _balance(block, x):
    """Returns the measures of one block, each with a value for every image."""
    terms = block.branch(x, training=False), block.shortcut_path(x, training=False)
    if block.gate_layer is not None:
        terms = block.gate_layer.weigh(*terms, training=False)
    residual, passed = (_flat(term) for term in terms)
    norm, input_norm, passed_norm = (
        np.linalg.norm(values, axis=1) for values in (residual, _flat(x), passed)
    )
    return {
        "branch_to_input": _ratio(norm, input_norm),
        "branch_to_shortcut": _ratio(norm, passed_norm),
        "cosine": _ratio(np.sum(residual * passed, axis=1), norm * passed_norm),
    }


def _flat(x):
    return keras.ops.convert_to_numpy(x).astype("float64").reshape(len(x), -1)


def _ratio(a, b):
    """Returns a / b, and not-a-number where b is 0."""
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0)


def _mean(parts):
    values = np.concatenate(parts)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else None

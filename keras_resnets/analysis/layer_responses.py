"""How strongly each layer responds: figure 7 of He et al., 2015."""

import keras
import numpy as np

from keras_resnets.analysis.batches import image_batches
from keras_resnets.analysis.layer_inputs import block_model, input_probe
from keras_resnets.layers import ConvNorm, ResidualBlock


def layer_responses(model, data):
    """Measures the standard deviation of the output of each 3×3 layer.

    This is figure 7 of [He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.2: the
    output is taken after batch normalization, and before the activation or the addition. It is
    taken in inference, with the moving statistics, and one standard deviation covers all images,
    positions and channels. A 3×3 convolution that no normalization follows (the last one of a
    block with full pre-activation) is measured at its own output.

    Args:
        model: A functional model of this package, residual or plain, or one that holds it.
        data: Images as the model takes them: an array, a pair `(images, labels)`, or an iterable
            of batches of either.

    Returns:
        `{name: standard deviation}` from the input on, where a name is a path in the model that has
        the blocks, such as `"stage1_block1/conv2"`. Figure 7's lower panel is
        `sorted(…, reverse=True)` of the values.

    Raises:
        TypeError: If `model` is neither a functional model nor a `keras.Sequential`, or `data` no
            images.
        ValueError: If the model has no blocks of this package, or has them in several places; if
            there are no images, or they are of another shape than the model takes.

    Example:

    >>> images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    >>> responses = keras_resnets.analysis.layer_responses(keras_resnets.ResNet20(), images)
    >>> len(responses), list(responses)[:2]  # the first convolution, and 2 a block
    (19, ['stem_conv', 'stage1_block1/conv1'])
    """
    layers = [
        layer for layer in block_model(model).layers if isinstance(layer, (ConvNorm, ResidualBlock))
    ]
    probe = input_probe(model, layers)
    moments: dict[str, _Moments] = {}
    for images in image_batches(data, probe.inputs[0].shape):
        inputs = probe(images, training=False)
        for layer in layers:
            for name, response in _responses(layer, inputs[layer.name]):
                moments.setdefault(name, _Moments()).add(keras.ops.convert_to_numpy(response))
    return {name: found.standard_deviation() for name, found in moments.items()}


def _responses(layer, x):
    """Yields name and output of each 3×3 layer in a layer that is given `x`."""
    if isinstance(layer, ConvNorm):
        if layer.kernel_size == (3, 3):
            yield layer.name, layer(x, training=False)
        return
    for part in layer.branch_layers():
        x = part(x, training=False)
        if getattr(part, "kernel_size", None) == (3, 3):
            yield f"{layer.name}/{part.name}", x


class _Moments:
    """Mean and squared deviations of values that come in parts (Chan et al., 1979)."""

    def __init__(self):
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, values):
        values = values.astype("float64")
        shift = values.mean() - self.mean
        total = self.count + values.size
        self.squares += np.square(values - values.mean()).sum()
        self.squares += shift**2 * self.count * values.size / total
        self.mean += shift * values.size / total
        self.count = total

    def standard_deviation(self):
        return float(np.sqrt(self.squares / self.count))

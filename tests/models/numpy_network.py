"""Residual networks in NumPy, for real and for complex numbers.

An analytic function's derivative along a direction is the imaginary part of f(x + ih · direction)
over h, exact but for rounding where h is tiny. A ReLU and a maximum go by the real parts.
Nothing here comes from the library.
"""

import numpy as np

from tests.reference import WeightedLayers, max_pool, zero_padded

ACTIVATIONS = {"relu": lambda x: x * (x.real > 0), "silu": lambda x: x / (1 + np.exp(-x))}


class Network(WeightedLayers):
    """A residual network over named weights, as He et al., 2015, describe it.

    Args:
        weights: {path: array}, named as the library names them.
        spec: The network's numbers and options, as a `ResNetSpec` says them.
        training: Whether normalization goes by the batch's own statistics.

    Attributes:
        moving: What training makes of the moving statistics, by their paths.
        margin: How near a value came to a ReLU's kink, over the values' standard deviation.
    """

    def __init__(self, weights, spec, training):
        super().__init__(weights, training)
        self.spec, self.margin = spec, np.inf

    def logits(self, x):
        imagenet = self.spec.stem == "imagenet"
        x = self.activation(self.conv_norm(x, "stem_conv", 2 if imagenet else 1))
        if imagenet:
            x = max_pool(x, 3, 2)
        for stage, repeats in enumerate(self.spec.repeats, 1):
            for block in range(1, repeats + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                x = self.block(x, f"stage{stage}_block{block}", stride)
        return (
            x.mean((1, 2)) @ self.weights["predictions/kernel"] + self.weights["predictions/bias"]
        )

    def block(self, x, name, stride):
        strides = (stride, 1)
        if self.spec.block == "bottleneck":
            strides = (1, stride, 1) if self.spec.stride_on == "3x3" else (stride, 1, 1)
        y = x
        for number, each in enumerate(strides, 1):
            y = self.conv_norm(y, f"{name}/conv{number}", each)
            if number < len(strides):
                y = self.activation(y)
        if x.shape != y.shape and self.spec.shortcut == "A":
            x = zero_padded(x, stride, y.shape[-1])
        elif x.shape != y.shape:
            x = self.conv_norm(x, f"{name}/projection/conv_norm", stride)
        return self.activation(y + x)

    def activation(self, x):
        self.margin = min(self.margin, np.abs(x).min() / x.std())
        return ACTIVATIONS[self.spec.activation](x)

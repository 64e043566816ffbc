"""Residual networks in NumPy, for real and for complex numbers.

An analytic function's derivative along a direction is the imaginary part of f(x + ih · direction)
over h, exact but for rounding where h is tiny. A ReLU and a maximum go by the real parts.
Nothing here comes from the library.
"""

import numpy as np

from tests.reference import WeightedLayers, average_pool, blur_pool, max_pool, zero_padded

STEM_STRIDES = {"imagenet": (2,), "deep": (2, 1, 1), "deep_strided": (2, 1, 1, 2), "cifar": (1,)}
ACTIVATIONS = {"relu": lambda x: x * (x.real > 0), "silu": lambda x: x / (1 + np.exp(-x))}


class Network(WeightedLayers):
    """A residual network over named weights, as He et al., 2015, and later papers describe it.

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
        strides = STEM_STRIDES[self.spec.stem]
        for number, stride in enumerate(strides, 1):
            x = self.conv_norm(x, f"stem_conv{number if number > 1 else ''}", stride)
            if number < len(strides) or not self.spec.pre_activation:
                x = self.activation(x)
        has_pool = self.spec.stem in ("imagenet", "deep")
        if has_pool:
            x = {
                None: lambda: max_pool(x, 3, 2),
                "blur": lambda: blur_pool(max_pool(x, 3, 1), 2),
                "average": lambda: average_pool(x, 2, 2),
            }[self.spec.anti_alias]()
        for stage, repeats in enumerate(self.spec.repeats, 1):
            for block in range(1, repeats + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                shares = stage == block == 1 and not has_pool
                x = self.block(x, f"stage{stage}_block{block}", stride, shares)
        if self.spec.pre_activation:
            x = self.activation(self.norm(x, "post_norm"))
        return (
            x.mean((1, 2)) @ self.weights["predictions/kernel"] + self.weights["predictions/bias"]
        )

    def block(self, x, name, stride, shares_activation):
        strides, groups = (stride, 1), (1, 1)
        if self.spec.block == "bottleneck":
            strides = (1, stride, 1) if self.spec.stride_on == "3x3" else (stride, 1, 1)
            groups = (1, self.spec.groups, 1)
        pre = self.spec.pre_activation
        start = y = self.activation(self.norm(x, f"{name}/start_norm")) if pre else x
        for number, each in enumerate(strides, 1):
            subsamples = each > 1 and self.spec.anti_alias
            strided = 1 if subsamples else each
            y = self.conv_norm(y, f"{name}/conv{number}", strided, groups=groups[number - 1])
            if number < len(strides):
                y = self.activation(y)
            if subsamples:
                y = blur_pool(y, 2) if subsamples == "blur" else average_pool(y, 2, 2)
        if self.spec.se_ratio is not None:
            y = self.excited(y, f"{name}/excitation")
        if f"{name}/projection/conv_norm/conv/kernel" in self.weights:
            x = start
            if self.spec.shortcut == "D" and stride > 1:
                x, stride = average_pool(x, stride, stride), 1
            x = self.conv_norm(x, f"{name}/projection/conv_norm", stride)
        else:
            x = start if pre and shares_activation else x
            x = zero_padded(x, stride, y.shape[-1])
        return y + x if pre else self.activation(y + x)

    def activation(self, x):
        self.margin = min(self.margin, np.abs(x).min() / x.std())
        return ACTIVATIONS[self.spec.activation](x)

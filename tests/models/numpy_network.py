"""Residual networks in NumPy, written from the formulas, for real and for complex numbers.

An analytic function's derivative along a direction is the imaginary part of f(x + ih · direction)
over h, exact but for rounding where h is tiny. A ReLU and a maximum go by the real parts.
Nothing here comes from the library.
"""

import numpy as np

EPSILON = 1e-5
MOMENTUM = 0.9


def padded(x, edge, value=0.0):
    return np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)), constant_values=value)


def taps(x, size, stride):
    """Yields for each place in a window the values there, at all positions of the output."""
    rows, columns = ((length - size) // stride + 1 for length in x.shape[1:3])
    for i, j in np.ndindex(size, size):
        yield x[:, i : i + stride * rows : stride, j : j + stride * columns : stride]


def conv(x, kernel, stride):
    """A convolution with an odd kernel, padded by (size - 1) / 2 zeros on each side."""
    size, _, channels, filters = kernel.shape
    x = padded(x, (size - 1) // 2)
    matrices = kernel.reshape(size * size, channels, filters)
    return sum(tap @ matrix for tap, matrix in zip(taps(x, size, stride), matrices, strict=True))


def max_pool(x):
    """Windows of 3×3 at every second position, padded with −∞ on all sides."""
    windows = np.stack([*taps(padded(x, 1, -np.inf), size=3, stride=2)])
    return np.take_along_axis(windows, windows.real.argmax(axis=0)[None], axis=0)[0]


def mean_and_variance(x):
    mean = x.mean((0, 1, 2))
    return mean, ((x - mean) ** 2).mean((0, 1, 2))


ACTIVATIONS = {"relu": lambda x: x * (x.real > 0), "silu": lambda x: x / (1 + np.exp(-x))}


class Network:
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
        self.weights, self.spec, self.training = weights, spec, training
        self.moving, self.margin = {}, np.inf

    def logits(self, x):
        imagenet = self.spec.stem == "imagenet"
        x = self.activation(self.conv_norm(x, "stem_conv", 2 if imagenet else 1))
        if imagenet:
            x = max_pool(x)
        for stage, repeats in enumerate(self.spec.repeats, 1):
            for block in range(1, repeats + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                x = self.block(x, f"stage{stage}_block{block}", stride)
        return (
            x.mean((1, 2)) @ self.weights["predictions/kernel"] + self.weights["predictions/bias"]
        )

    def block(self, x, name, stride):
        if self.spec.block == "bottleneck":
            strides = (1, stride, 1) if self.spec.stride_on == "3x3" else (stride, 1, 1)
        else:
            strides = (stride, 1)
        y = x
        for number, each in enumerate(strides, 1):
            y = self.conv_norm(y, f"{name}/conv{number}", each)
            if number < len(strides):
                y = self.activation(y)
        if x.shape != y.shape and self.spec.shortcut == "A":
            missing = y.shape[-1] - x.shape[-1]
            x = np.pad(x[:, ::stride, ::stride], ((0, 0),) * 3 + ((0, missing),))
        elif x.shape != y.shape:
            x = self.conv_norm(x, f"{name}/projection/conv_norm", stride)
        return self.activation(y + x)

    def conv_norm(self, x, path, stride):
        x = conv(x, self.weights[f"{path}/conv/kernel"], stride)
        gamma, beta, mean, variance = (
            self.weights[f"{path}/norm/{name}"]
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        if self.training:
            old = {"moving_mean": mean, "moving_variance": variance}
            mean, variance = mean_and_variance(x)
            for (name, before), now in zip(old.items(), (mean, variance), strict=True):
                self.moving[f"{path}/norm/{name}"] = MOMENTUM * before + (1 - MOMENTUM) * now
        return gamma * (x - mean) / np.sqrt(variance + EPSILON) + beta

    def activation(self, x):
        self.margin = min(self.margin, np.abs(x).min() / x.std())
        return ACTIVATIONS[self.spec.activation](x)

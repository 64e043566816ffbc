"""Residual networks' operations in NumPy, channels last: written from the formulas.

They take real numbers of 64 bits, and complex ones, of which a maximum goes by the real parts.
"""

import numpy as np

EPSILON = 1e-5
MOMENTUM = 0.9


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def relu(x):
    return np.maximum(x, 0.0)


def windows(x, size, strides, dilation=(1, 1)):
    """Returns the windows of `x` as (batch, rows, columns, height, width, channels)."""
    (height, width), (down, right) = size, strides
    reach = [d * (k - 1) for d, k in zip(dilation, size, strict=True)]
    rows = (x.shape[1] - reach[0] - 1) // down + 1
    columns = (x.shape[2] - reach[1] - 1) // right + 1
    taken = np.empty((x.shape[0], rows, columns, height, width, x.shape[3]), x.dtype)
    for i in range(height):
        for j in range(width):
            top, left = i * dilation[0], j * dilation[1]
            taken[:, :, :, i, j] = x[:, top::down, left::right][:, :rows, :columns]
    return taken


def conv2d(x, kernel, strides=1, dilation=1, groups=1):
    """A convolution without bias; each side is padded with ⌊dilation · (size - 1) / 2⌋ zeros."""
    if groups > 1:
        parts = zip(np.split(x, groups, axis=3), np.split(kernel, groups, axis=3), strict=True)
        return np.concatenate([conv2d(*part, strides, dilation) for part in parts], axis=3)
    strides, dilation, size = pair(strides), pair(dilation), kernel.shape[:2]
    vertical, horizontal = (d * (k - 1) // 2 for d, k in zip(dilation, size, strict=True))
    x = np.pad(x, ((0, 0), (vertical, vertical), (horizontal, horizontal), (0, 0)))
    return np.tensordot(windows(x, size, strides, dilation), kernel, axes=3)


def max_pool(x, size, stride):
    edge = size // 2
    x = np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)), constant_values=-np.inf)
    return windows(x, (size, size), (stride, stride)).max(axis=(3, 4))


def average_pool(x, size, stride):
    """The mean of each window that begins at a kept pixel, of the pixels within the map."""
    edge = ((0, 0), (0, size - 1), (0, size - 1), (0, 0))
    x = np.pad(x, edge, constant_values=np.nan)
    return np.nanmean(windows(x, (size, size), (stride, stride)), axis=(3, 4))


def blur_pool(x, stride):
    """Weights 1, 2, 1 in both directions, over 16; a mirrored edge has its pixels once."""
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    weights = np.outer((1, 2, 1), (1, 2, 1)) / 16
    return np.einsum("bijhwc,hw->bijc", windows(x, (3, 3), (stride, stride)), weights)


def batch_norm(x, gamma, beta, mean, variance, epsilon=EPSILON):
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def zero_padded(x, stride, filters, zero_pad="end"):
    """Option A: every `stride`-th position, and zeros for the channels that are missing."""
    missing = filters - x.shape[-1]
    before = missing // 2 if zero_pad == "both" else 0
    return np.pad(x[:, ::stride, ::stride], ((0, 0),) * 3 + ((before, missing - before),))


class WeightedLayers:
    """Convolutions with batch norm over one layer's weights, by their paths in it.

    In training, `moving` collects what the moving statistics are to be afterwards.
    """

    def __init__(self, weights, training=False):
        types = {path: np.result_type(value, "float64") for path, value in weights.items()}
        self.weights = {path: value.astype(types[path]) for path, value in weights.items()}
        self.training = training
        self.moving = {}

    def conv_norm(self, x, path, strides=1, dilation=1, groups=1):
        """A convolution, and the normalization behind it if it has weights."""
        x = conv2d(x, self.weights[f"{path}/conv/kernel"], strides, dilation, groups)
        return self.norm(x, f"{path}/norm") if f"{path}/norm/gamma" in self.weights else x

    def excited(self, x, path):
        """Squeeze and excitation: x · σ(W₂ relu(W₁ mean(x) + b₁) + b₂)."""
        reduced, expanded = (
            (self.weights[f"{path}/{name}/kernel"][0, 0], self.weights[f"{path}/{name}/bias"])
            for name in ("reduce", "expand")
        )
        inner = relu(x.mean((1, 2)) @ reduced[0] + reduced[1])
        gate = 1 / (1 + np.exp(-(inner @ expanded[0] + expanded[1])))
        return x * gate[:, None, None]

    def norm(self, x, path):
        gamma, beta, mean, variance = (
            self.weights[f"{path}/{name}"]
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        if self.training:
            axes = tuple(range(x.ndim - 1))
            old_mean, old_variance = mean, variance
            mean = x.mean(axes)
            variance = ((x - mean) ** 2).mean(axes)  # not `var`, which is real
            self.moving[f"{path}/moving_mean"] = MOMENTUM * old_mean + (1 - MOMENTUM) * mean
            self.moving[f"{path}/moving_variance"] = (
                MOMENTUM * old_variance + (1 - MOMENTUM) * variance
            )
        return batch_norm(x, gamma, beta, mean, variance)

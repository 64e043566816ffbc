"""Residual networks in NumPy, float64, with their gradients: written from the formulas.

A `Node` keeps a value and, for each of its sources, how a gradient goes back to it. Nothing here
comes from the library; `test_reference.py` holds the gradients to finite differences.
"""

import itertools

import numpy as np

EPSILON = 1e-5
MOMENTUM = 0.9


class Node:
    """A value, its gradient after `backward`, and (source, pullback) for each source."""

    created = itertools.count()

    def __init__(self, value, sources=()):
        self.value = value
        self.sources = sources
        self.gradient = np.zeros_like(value)
        self.index = next(self.created)


def backward(output, gradient):
    """Adds to every node from which `output` was computed its gradient."""
    nodes, waiting = {}, [output]
    while waiting:
        node = waiting.pop()
        if node.index not in nodes:
            nodes[node.index] = node
            waiting += [source for source, _ in node.sources]
    output.gradient = gradient
    for index in sorted(nodes, reverse=True):
        node = nodes[index]
        for source, pullback in node.sources:
            source.gradient = source.gradient + pullback(node.gradient)


def conv(x, kernel, stride=1):
    """A convolution with an odd kernel, padded by (size - 1) / 2 zeros on each side."""
    size, _, channels, filters = kernel.value.shape
    edge = (size - 1) // 2
    batch, height, width, _ = x.value.shape
    rows, columns = -(-height // stride), -(-width // stride)
    padded = np.pad(x.value, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    taps = [
        (
            slice(i, i + stride * (rows - 1) + 1, stride),
            slice(j, j + stride * (columns - 1) + 1, stride),
        )
        for i in range(size)
        for j in range(size)
    ]
    patches = np.stack([padded[:, down, right] for down, right in taps], axis=3)
    patches = patches.reshape(-1, size * size * channels)
    matrix = kernel.value.reshape(-1, filters)

    def to_x(gradient):
        pieces = (gradient.reshape(-1, filters) @ matrix.T).reshape(
            batch, rows, columns, size * size, channels
        )
        total = np.zeros_like(padded)
        for index, (down, right) in enumerate(taps):
            total[:, down, right] += pieces[:, :, :, index]
        return total[:, edge : edge + height, edge : edge + width]

    def to_kernel(gradient):
        return (patches.T @ gradient.reshape(-1, filters)).reshape(kernel.value.shape)

    value = (patches @ matrix).reshape(batch, rows, columns, filters)
    return Node(value, [(x, to_x), (kernel, to_kernel)])


def batch_norm(x, gamma, beta, mean, variance, training):
    axes = (0, 1, 2)
    if training:
        mean, variance = x.value.mean(axes), x.value.var(axes)
    deviation = np.sqrt(variance + EPSILON)
    normal = (x.value - mean) / deviation

    def to_x(gradient):
        if training:
            gradient = gradient - gradient.mean(axes) - normal * (gradient * normal).mean(axes)
        return gradient * gamma.value / deviation

    return Node(
        gamma.value * normal + beta.value,
        [
            (x, to_x),
            (gamma, lambda gradient: (gradient * normal).sum(axes)),
            (beta, lambda gradient: gradient.sum(axes)),
        ],
    )


def relu(x):
    return Node(np.maximum(x.value, 0), [(x, lambda gradient: gradient * (x.value > 0))])


def silu(x):
    sigmoid = 1 / (1 + np.exp(-x.value))
    slope = sigmoid * (1 + x.value * (1 - sigmoid))
    return Node(x.value * sigmoid, [(x, lambda gradient: gradient * slope)])


def add(a, b):
    return Node(a.value + b.value, [(a, lambda gradient: gradient), (b, lambda gradient: gradient)])


def max_pool(x):
    """Windows of 3×3 at every second position, padded with −∞ on all sides."""
    batch, height, width, channels = x.value.shape
    rows, columns = -(-height // 2), -(-width // 2)
    edges = ((0, 0), (1, 1), (1, 1), (0, 0))
    padded = np.pad(x.value, edges, constant_values=-np.inf)
    taps = [
        (slice(i, i + 2 * rows - 1, 2), slice(j, j + 2 * columns - 1, 2))
        for i in range(3)
        for j in range(3)
    ]
    stacked = np.stack([padded[:, down, right] for down, right in taps])
    winner = stacked.argmax(axis=0)

    def to_x(gradient):
        total = np.zeros((batch, height + 2, width + 2, channels))
        for index, (down, right) in enumerate(taps):
            total[:, down, right] += gradient * (winner == index)
        return total[:, 1:-1, 1:-1]

    return Node(stacked.max(axis=0), [(x, to_x)])


def pad_with_zeros(x, stride, filters):
    """Option A: every `stride`-th position, and channels of zeros behind those of `x`."""
    channels = x.value.shape[-1]
    value = np.pad(x.value[:, ::stride, ::stride], ((0, 0),) * 3 + ((0, filters - channels),))

    def to_x(gradient):
        total = np.zeros_like(x.value)
        total[:, ::stride, ::stride] = gradient[..., :channels]
        return total

    return Node(value, [(x, to_x)])


def average(x):
    positions = x.value.shape[1] * x.value.shape[2]

    def to_x(gradient):
        return np.broadcast_to(gradient[:, None, None] / positions, x.value.shape)

    return Node(x.value.mean((1, 2)), [(x, to_x)])


def dense(x, kernel, bias):
    return Node(
        x.value @ kernel.value + bias.value,
        [
            (x, lambda gradient: gradient @ kernel.value.T),
            (kernel, lambda gradient: x.value.T @ gradient),
            (bias, lambda gradient: gradient.sum(0)),
        ],
    )


class Network:
    """A residual network over named weights, as He et al., 2015, describe it.

    Args:
        weights: {path: array}, named as the library names them.
        spec: The network's numbers and options, as a `ResNetSpec` says them.
    """

    def __init__(self, weights, spec):
        self.weights = {path: Node(value.astype("float64")) for path, value in weights.items()}
        self.spec = spec
        self.activation = {"relu": relu, "silu": silu}[spec.activation]

    def logits(self, x, training):
        """Returns the logits of a node of images; `self.moving` becomes the new statistics."""
        self.training, self.moving = training, {}
        imagenet = self.spec.stem == "imagenet"
        x = self.activation(self.conv_norm(x, "stem_conv", 2 if imagenet else 1))
        if imagenet:
            x = max_pool(x)
        for stage, repeats in enumerate(self.spec.repeats, 1):
            for block in range(1, repeats + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                x = self.block(x, f"stage{stage}_block{block}", stride)
        return dense(
            average(x), self.weights["predictions/kernel"], self.weights["predictions/bias"]
        )

    def block(self, x, name, stride):
        if self.spec.block == "bottleneck":
            on_3x3 = self.spec.stride_on == "3x3"
            y = self.activation(self.conv_norm(x, f"{name}/conv1", 1 if on_3x3 else stride))
            y = self.activation(self.conv_norm(y, f"{name}/conv2", stride if on_3x3 else 1))
            y = self.conv_norm(y, f"{name}/conv3")
        else:
            y = self.activation(self.conv_norm(x, f"{name}/conv1", stride))
            y = self.conv_norm(y, f"{name}/conv2")
        if x.value.shape != y.value.shape:
            if self.spec.shortcut == "A":
                x = pad_with_zeros(x, stride, y.value.shape[-1])
            else:
                x = self.conv_norm(x, f"{name}/projection/conv_norm", stride)
        return self.activation(add(y, x))

    def conv_norm(self, x, path, stride=1):
        x = conv(x, self.weights[f"{path}/conv/kernel"], stride)
        gamma, beta, mean, variance = (
            self.weights[f"{path}/norm/{name}"]
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        if self.training:
            for name, old, new in (
                ("moving_mean", mean.value, x.value.mean((0, 1, 2))),
                ("moving_variance", variance.value, x.value.var((0, 1, 2))),
            ):
                self.moving[f"{path}/norm/{name}"] = MOMENTUM * old + (1 - MOMENTUM) * new
        return batch_norm(x, gamma, beta, mean.value, variance.value, self.training)

"""State dicts under published names, made without the library."""

import numpy as np


def random_state(entries, seed=0):
    """Returns random arrays for `{name: shape}`; what follows a normalization is positive."""
    generator = np.random.default_rng(seed)
    state = {}
    for name, shape in entries.items():
        if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
            state[name] = generator.uniform(0.5, 1.5, shape).astype("float32")
        else:
            scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
            state[name] = generator.normal(0, scale, shape).astype("float32")
    return state


def torchvision_entries(block, repeats, widths=(64, 128, 256, 512), classes=1000, channels=3):
    """The names and shapes of torchvision's `ResNet.state_dict()`, without its counts.

    Written from torchvision's published code: `conv1`, `bn1`, `layer1.0.conv1`, …, `fc`.
    """
    entries = {"conv1.weight": (widths[0], channels, 7, 7), **_norm("bn1", widths[0])}
    inputs = widths[0]
    for stage, (count, width) in enumerate(zip(repeats, widths, strict=True), 1):
        for index in range(count):
            at = f"layer{stage}.{index}"
            if block == "basic":
                kernels, outputs = [(width, inputs, 3, 3), (width, width, 3, 3)], width
            else:
                outputs = 4 * width
                kernels = [(width, inputs, 1, 1), (width, width, 3, 3), (outputs, width, 1, 1)]
            for number, shape in enumerate(kernels, 1):
                entries[f"{at}.conv{number}.weight"] = shape
                entries |= _norm(f"{at}.bn{number}", shape[0])
            if inputs != outputs or (index == 0 and stage > 1):
                entries[f"{at}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                entries |= _norm(f"{at}.downsample.1", outputs)
            inputs = outputs
    return entries | {"fc.weight": (classes, inputs), "fc.bias": (classes,)}


def _norm(name, channels):
    return {
        f"{name}.{variable}": (channels,)
        for variable in ("weight", "bias", "running_mean", "running_var")
    }

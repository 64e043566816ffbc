"""Fitting a stem's kernel to another number of input channels."""

import numpy as np


def adapt_channels(kernel, channels):
    """Returns a kernel for another number of input channels.

    One channel takes the sum over all of them, so that a grey image gives what it would as RGB
    with three equal channels. Several are filled by repeating the kernel's channels in turn
    (red, green, blue, red, …), scaled so that the response to an even image stays as strong.

    Args:
        kernel: An array `(height, width, in, out)`.
        channels: The wanted number of input channels.
    """
    present = kernel.shape[2]
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    repeated = np.take(kernel, np.arange(channels) % present, axis=2)
    return repeated * (present / channels)

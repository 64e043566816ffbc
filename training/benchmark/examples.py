"""What every contender is trained on: the same random images and labels."""

import numpy as np

from training.benchmark.job import Setting


def random_examples(setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """Returns one batch."""
    generator = np.random.default_rng(0)
    shape = (setting.batch, setting.image_size, setting.image_size, 3)
    images = generator.standard_normal(shape, dtype=np.float32)
    return images, generator.integers(setting.classes, size=setting.batch, dtype=np.int32)

"""Pictures and small data sets that the tests make for themselves."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from training.data.order import example_seed
from training.data.source import ArraySource


def smooth_picture(height, width, seed=0, channels=3):
    """Returns a picture of slow waves: uint8, shape (height, width, channels)."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = [
        np.sin(rows / height * generator.uniform(2, 9) + columns / width * generator.uniform(2, 9))
        for _ in range(channels)
    ]
    return np.uint8(127.5 + 127 * np.stack(waves, axis=-1))


def encoded(picture, kind="JPEG", **options):
    """Returns the bytes of a picture as a file."""
    file = io.BytesIO()
    squeezed = picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture
    Image.fromarray(squeezed).save(file, kind, **options)
    return file.getvalue()


def array_source(size=20, side=8, classes=3, channels=3):
    """Returns an in-memory source of noise."""
    generator = np.random.default_rng(1)
    images = generator.integers(0, 256, (size, side, side, channels), dtype=np.uint8)
    names = tuple(f"class{label}" for label in range(classes))
    return ArraySource("noise", images, np.arange(size) % classes, names)


def write_folder(root, counts, height=40, width=48):
    """Writes JPEG files in class folders: `counts` gives the number of each split's classes."""
    seed = 0
    for split, classes in counts.items():
        for name, count in classes.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                picture = smooth_picture(height + 3 * number, width, seed)
                (folder / f"{number:03}.jpg").write_bytes(encoded(picture, quality=95))
                seed += 1
    return root


def seeds(count):
    """Returns the seeds of the first examples of a run: int32, shape (count, 2)."""
    return example_seed(0, tf.constant(0, tf.int64), tf.range(count, dtype=tf.int64))

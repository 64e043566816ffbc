"""A contact sheet: images beside their augmented versions."""

import itertools
import textwrap
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from training.data.augment import augmented, finished, mixes, normalization
from training.data.batches import bad_images_named
from training.data.decoding import central_view, whole_view
from training.data.order import example_seed
from training.data.source import Source
from training.recipe.recipe import Recipe

CELL_INCHES = 1.5
LINE_INCHES = 0.17
CHARACTERS_AN_INCH = 12


def write_sheet(
    source: Source, recipe: Recipe, path: Path, images: int = 6, versions: int = 7
) -> None:
    """Draws images beside their augmented versions in the first epochs, without normalization.

    An erased rectangle has the mean colour. Mixup and CutMix mix each row with the one above it.
    """
    for name, value in (("images", images), ("versions", versions)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    if images > source.size:
        raise ValueError(
            f"`images` must be at most the number of images, {source.size}. "
            f"Received: images={images}"
        )
    indices = np.linspace(0, source.size - 1, images).astype(np.int64)
    # The centres of the images; files at twice the training size.
    view = whole_view(recipe.data.image_size * (2 if source.encoded else 1))
    # A mean image is computed from the whole split.
    with bad_images_named(source, lambda: itertools.chain(indices, range(source.size))):
        loaded = [source.load(tf.constant(index)) for index in indices]
        originals = [central_view(image, source, view).numpy() / 255 for image, _ in loaded]
        labels = [int(label) for _, label in loaded]
        columns = [augmented_versions(source, recipe, indices, epoch) for epoch in range(versions)]
    width = CELL_INCHES * (versions + 1)
    title = textwrap.wrap(_title(recipe), width=int(width * CHARACTERS_AN_INCH))
    lines = 2 if mixes(recipe.augmentation) else 1
    height = images * (CELL_INCHES + lines * LINE_INCHES) + (len(title) + 1) * LINE_INCHES
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle("\n".join(title), fontsize=9)
    grid = figure.subplots(images, versions + 1, squeeze=False)
    for row, cells in enumerate(grid):
        _draw(cells[0], originals[row], source.class_names[labels[row]], bold=True)
        for cell, (augmentations, targets) in zip(cells[1:], columns, strict=True):
            text = _target_text(targets[row], labels[row], source.class_names)
            _draw(cell, augmentations[row], text)
    figure.savefig(path, dpi=110)


def augmented_versions(
    source: Source, recipe: Recipe, indices: np.ndarray, epoch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Augments images as one epoch does, and undoes the normalization."""
    index, step = tf.constant(indices), tf.constant(epoch, tf.int64)
    seeds = example_seed(recipe.seed, step, index)
    images, labels = [], []
    for number, seed in zip(index, seeds, strict=True):
        image, label = source.load(number)
        images.append(augmented(image, seed, source, recipe))
        labels.append(label)
    mean, std = normalization(source, recipe)
    examples = {"image": tf.stack(images), "label": tf.stack(labels), "index": index, "seed": seeds}
    partners = np.roll(np.arange(len(indices)), 1)
    batch = finished(examples, step, recipe, len(source.class_names), (mean, std), partners)
    return np.clip(batch["image"].numpy() * std + mean, 0, 1), batch["target"].numpy()


def _draw(cell, image, text, bold=False):
    pixels = image if image.shape[-1] == 3 else image[..., 0]
    interpolation = "nearest" if len(image) < 100 else "antialiased"
    cell.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation=interpolation)
    cell.set_title(text, fontsize=8, fontweight="bold" if bold else "normal", pad=3)
    cell.set_axis_off()


def _target_text(target, label, class_names):
    """Names the classes of a mixed image and their shares."""
    if target[label] >= 0.995:
        return ""
    parts = [part for part in np.argsort(-target)[:2] if target[part] >= 0.005]
    return "\n".join(f"{target[part]:.0%} {class_names[part]}" for part in parts)


def _title(recipe):
    """Lists what the recipe's augmentation does."""
    augmentation = recipe.augmentation
    crops = {
        "none": "whole image",
        "pad": f"padded by {augmentation.padding} and cropped",
        "resized": "crop of {:g} to {:g} of the area".format(*augmentation.area),
        "scale": "shorter side {} to {}, then cropped".format(*augmentation.scale_sides),
    }
    steps = [crops[augmentation.crop]] + ["mirrored"] * augmentation.flip
    if augmentation.policy != "none":
        names = {"randaugment": "RandAugment", "trivialaugment": "TrivialAugment"}
        steps.append(names[augmentation.policy])
    for name in ("color_jitter", "pca_noise", "random_erasing", "mixup", "cutmix"):
        if getattr(augmentation, name):
            steps.append(f"{name.replace('_', ' ')} {getattr(augmentation, name):g}")
    size = recipe.data.image_size
    source = recipe.data.source.rsplit("/")[-1].removeprefix("folder:")
    return f"{source} at {size}×{size}: {', '.join(steps)}; left, the original"

"""The contact sheet."""

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.image import imread

from tests.training.data.pictures import array_source
from training.data.augment import augmented
from training.data.order import example_seed
from training.data.sheet import augmented_versions, write_sheet
from training.recipe.recipe import Augmentation, Data, Recipe

MIXING = Augmentation(padding=1, policy="trivialaugment", mixup=0.5, random_erasing=0.5)


def recipe(augmentation=MIXING):
    return Recipe(data=Data(image_size=8), augmentation=augmentation)


def test_a_sheet_is_a_picture(tmp_path):
    path = tmp_path / "sheet.png"
    write_sheet(array_source(), recipe(), path, images=2, versions=3)
    height, width, _ = imread(path).shape
    assert width == 4 * 165
    assert height > 2 * 165


def test_versions_are_those_of_the_first_epochs():
    source, chosen = array_source(), recipe(Augmentation(padding=2))
    for epoch in range(3):
        images, targets = augmented_versions(source, chosen, np.array([4, 11]), epoch)
        for image, target, index in zip(images, targets, (4, 11), strict=True):
            number = tf.constant(index, tf.int64)
            seed = example_seed(0, tf.constant(epoch, tf.int64), number)
            expected = augmented(source.load(number)[0], seed, source, chosen).numpy() / 255
            np.testing.assert_allclose(image, expected, atol=1e-5)
            assert target[source.labels[index]] == 1


def test_sheets_of_grey_images_and_without_the_mean_image(tmp_path):
    grey = Recipe(data=Data(image_size=8, mean=(0.5,), std=(0.5,)))
    write_sheet(array_source(channels=1), grey, tmp_path / "b.png", 1, 1)
    per_pixel = Recipe(data=Data(image_size=8, per_pixel_mean=True))
    write_sheet(array_source(), per_pixel, tmp_path / "c.png", 1, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"b.png", "c.png"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"images": 0}, "Received: images=0"),
        ({"versions": 0}, "Received: versions=0"),
        ({"images": 21}, "20. Received: images=21"),
    ],
)
def test_wrong_numbers_are_errors(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        write_sheet(array_source(), recipe(), tmp_path / "sheet.png", **options)

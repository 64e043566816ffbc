"""Moving, erasing, mixing and normalizing; which options of a recipe change the pixels."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.training.data.pictures import array_source, seeds, smooth_picture, write_folder
from training.data.augment import (
    augmented,
    beta,
    erased,
    mean_image,
    mirrored,
    mixed,
    moved,
    moved_mean,
    normalization,
    normalized,
    with_partners,
)
from training.data.decoding import central_view, whole_view
from training.data.folder import FolderSource
from training.data.order import integers, step_seed
from training.recipe.recipe import Augmentation, Data, Recipe

BATCH, SIZE = 6, 20


@pytest.mark.parametrize(
    "options",
    [
        *({"padding": 2}, {"flip": True}, {"color_jitter": 0.4}, {"pca_noise": 0.5}),
        *({"crop": "resized"}, {"crop": "scale", "scale_sides": (40, 60)}),
        *({"policy": "randaugment"}, {"policy": "trivialaugment"}),
    ],
    ids=str,
)
def test_an_option_changes_the_pixels(options):
    source = array_source()
    picture = tf.constant(smooth_picture(32, 32))
    plain = {"crop": "pad" if "padding" in options else "none", "padding": 4, "flip": False}
    augmentation = Augmentation(**{**plain, **options})
    recipe = Recipe(data=Data(image_size=32), augmentation=augmentation)
    found = (augmented(picture, seed, source, recipe).numpy() for seed in seeds(6))
    assert any((image != picture.numpy()).any() for image in found)


def moved_by_numpy(image, top, left, flip, padding):
    height, width, _ = image.shape
    padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)])
    crop = padded[top : top + height, left : left + width]
    return crop[:, ::-1] if flip else crop


@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (1, np.uint8), (3, np.float32)])
def test_images_move_as_numpy_moves_them(rng, channels, dtype):
    images = rng.integers(0, 256, (50, 10, 14, channels)).astype(dtype)
    found = moved(tf.constant(images), seeds(50), Augmentation(padding=3))
    offsets = integers(seeds(50), "pad crop", (7, 7)).numpy()
    flips = mirrored(seeds(50)).numpy()
    assert found.dtype == images.dtype
    for image, result, (top, left), flip in zip(images, found, offsets, flips, strict=True):
        np.testing.assert_array_equal(result, moved_by_numpy(image, top, left, flip, 3))
    still = Augmentation(crop="none", flip=False)
    np.testing.assert_array_equal(moved(tf.constant(images), seeds(50), still), images)


def test_an_image_moves_alone_as_in_a_batch(rng):
    images = tf.constant(rng.integers(0, 256, (9, 8, 8, 3), dtype=np.uint8))
    together = moved(images, seeds(9), Augmentation(padding=2))
    for number in range(9):
        alone = moved(images[number, None], seeds(9)[number, None], Augmentation(padding=2))
        np.testing.assert_array_equal(alone[0], together[number])
    # One image, moved as several seeds say.
    many = moved(images[:1], seeds(9), Augmentation(padding=2))
    same = moved(tf.repeat(images[:1], 9, axis=0), seeds(9), Augmentation(padding=2))
    np.testing.assert_array_equal(many, same)


def test_half_are_mirrored_and_every_offset_is_drawn_equally_often():
    flips = mirrored(seeds(20_000)).numpy()
    assert abs(flips.mean() - 0.5) < 0.02
    offsets = integers(seeds(20_000), "pad crop", (9, 9)).numpy()
    counts = np.histogram2d(*offsets.T, bins=9)[0]
    np.testing.assert_allclose(counts, 20_000 / 81, rtol=0.35)


def holes(count, probability, height=60, width=80):
    """Returns where images of ones were erased: bool, shape (count, height, width)."""
    images = tf.ones((count, height, width, 2))
    erased_images = erased(images, seeds(count), probability).numpy()
    assert (erased_images[..., 0] == erased_images[..., 1]).all()
    return erased_images[..., 0] == 0


def test_a_hole_is_one_rectangle_with_area_and_aspect_in_range():
    found = holes(800, 1.0)
    areas, logarithms = [], []
    for hole in found:
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert hole.sum() == height * width
        areas.append(height * width / hole.size)
        logarithms.append(np.log(width / height))
    assert 0.017 < min(areas) < 0.03
    assert 0.31 < max(areas) < 0.345
    assert abs(np.mean(areas) - 0.175) < 0.02
    assert np.abs(logarithms).max() < np.log(3.3) + 0.12
    # The left and the right, the upper and the lower half lose as much.
    lost = found.mean(axis=0)
    assert abs(lost[:30].sum() / lost.sum() - 0.5) < 0.03
    assert abs(lost[:, :40].sum() / lost.sum() - 0.5) < 0.03


def test_the_probability_is_that_of_a_hole():
    assert abs(holes(2000, 0.25).any(axis=(1, 2)).mean() - 0.25) < 0.04
    assert not holes(50, 0.0).any()


def test_what_is_not_erased_stays_and_a_batch_of_one_gets_the_same(rng):
    images = tf.constant(rng.normal(size=(8, 9, 12, 3)), tf.float32)
    together = erased(images, seeds(8), 0.7).numpy()
    assert ((together == images.numpy()) | (together == 0)).all()
    for number in range(8):
        alone = erased(images[number, None], seeds(20)[number, None], 0.7)[0]
        np.testing.assert_array_equal(alone, together[number])


def mixing(seed=0, **augmentation):
    """Returns a function of the step that mixes images of one number with their predecessors."""
    chosen = Recipe(augmentation=Augmentation(**augmentation), seed=seed)
    numbers = tf.reshape(tf.range(1.0, BATCH + 1), (-1, 1, 1, 1)) * tf.ones((1, SIZE, SIZE, 2))
    targets = tf.eye(BATCH)
    partners, partner_targets = tf.roll(numbers, 1, axis=0), tf.roll(targets, 1, axis=0)

    @tf.function
    def mix(step):
        return mixed(numbers, targets, partners, partner_targets, step, chosen)

    return lambda step: [part.numpy() for part in mix(tf.constant(step, tf.int64))]


def test_partners_come_before_around_the_end_of_the_batch():
    read, partners = with_partners(np.arange(6), batch=6, distance=2)
    assert read.tolist() == [0, 1, 2, 3, 4, 5]
    assert partners.tolist() == [4, 5, 0, 1, 2, 3]
    # For a part, its partners outside of it are read as well: 4 and 5 for 0 and 1.
    read, partners = with_partners(np.array([0, 1, 2]), batch=6, distance=2)
    assert read.tolist() == [0, 1, 2, 4, 5]
    assert partners.tolist() == [3, 4, 0]
    # Nothing more is read if nothing is mixed.
    read, partners = with_partners(np.array([4, 2]), batch=6, distance=0)
    assert read.tolist() == [4, 2]
    assert partners.tolist() == [0, 1]


def test_mixup_mixes_pixels_as_it_mixes_targets():
    mix = mixing(mixup=0.4)
    for step in range(5):
        images, targets = mix(step)
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        share = targets[0, 0]
        np.testing.assert_allclose(np.diag(targets), share, atol=1e-6)
        np.testing.assert_allclose(targets[0, -1], 1 - share, atol=1e-6)
        expected = targets @ np.arange(1, BATCH + 1)
        np.testing.assert_allclose(
            images, np.broadcast_to(expected[:, None, None, None], images.shape), rtol=1e-5
        )


def test_cutmix_targets_are_the_areas():
    shares, mix = [], mixing(cutmix=1.0)
    for step in range(60):
        images, targets = mix(step)
        foreign = images[1] == 1
        assert ((images[1] == 2) | foreign).all()
        rows, columns = foreign[..., 0].any(axis=1), foreign[..., 0].any(axis=0)
        assert foreign[..., 0].sum() == rows.sum() * columns.sum()
        np.testing.assert_allclose(targets[1, 0], foreign[..., 0].mean(), atol=1e-6)
        np.testing.assert_allclose(targets[1, 1], 1 - foreign[..., 0].mean(), atol=1e-6)
        shares.append(targets[1, 1])
    assert 0.5 < np.mean(shares) < 0.85  # above the half of Beta(1, 1), for boxes are clipped


def test_with_both_each_batch_has_one_of_them():
    kinds, mix = [], mixing(mixup=1.0, cutmix=1.0)
    for step in range(200):
        images, _ = mix(step)
        kinds.append(len(np.unique(images[1])) == 1 and images[1, 0, 0, 0] not in (1, 2))
    assert 0.35 < np.mean(kinds) < 0.65


@pytest.mark.parametrize("concentration", [0.1, 4.0])
def test_beta_is_scipys(concentration):
    draw = tf.function(lambda step: beta(step_seed(0, step), concentration))
    numbers = [float(draw(tf.constant(step, tf.int64))) for step in range(1000)]
    assert min(numbers) >= 0
    assert max(numbers) <= 1
    distribution = scipy.stats.beta(concentration, concentration)
    assert abs(np.mean(numbers) - 0.5) < 5 * distribution.std() / np.sqrt(1000)
    # The lower half, for float32 rounds what is close to 1.
    lower = [number for number in numbers if number < 0.5]
    assert abs(len(lower) - 500) < 80
    assert scipy.stats.kstest(lower, lambda number: 2 * distribution.cdf(number)).pvalue > 1e-3


def test_seed_and_step_determine_the_mixing():
    one, other = mixing(mixup=0.4, cutmix=1.0), mixing(seed=1, mixup=0.4, cutmix=1.0)
    np.testing.assert_array_equal(one(3)[0], one(3)[0])
    assert (one(3)[0] != one(4)[0]).any()
    assert (one(3)[0] != other(3)[0]).any()


def test_pixels_are_scaled_shifted_and_divided(rng):
    images = rng.integers(0, 256, (4, 6, 7, 3), dtype=np.uint8)
    mean, std = np.float32([0.4, 0.5, 0.6]), np.float32([0.1, 0.2, 0.3])
    expected = (images / 255 - np.float64(mean)) / std
    for given in (mean, np.broadcast_to(mean, images.shape)):
        found = normalized(tf.constant(images), tf.constant(given), tf.constant(std))
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, expected, atol=3e-6)


def test_a_recipe_gives_one_value_or_one_a_channel():
    recipe = Recipe(data=Data(mean=(0.5,), std=(0.25,)))
    mean, std = normalization(array_source(channels=3), recipe)
    assert mean.tolist() == [0.5, 0.5, 0.5]
    assert std.tolist() == [0.25, 0.25, 0.25]
    three = Recipe(data=Data(mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0)))
    with pytest.raises(ValueError, match=r"1 channels .* Received: data.mean=\(0.1, 0.2, 0.3\)"):
        normalization(array_source(channels=1), three)


def test_the_mean_image_is_numpys():
    source = array_source(size=30, side=8)
    mean, _ = normalization(source, Recipe(data=Data(per_pixel_mean=True, image_size=8)))
    expected = source.images.astype(np.float64).mean(axis=0) / 255
    np.testing.assert_allclose(mean, expected, atol=1e-7)
    assert mean.dtype == np.float32


@pytest.mark.parametrize("policy", ["none", "randaugment"])
def test_grey_images_have_a_mean_image_too(policy):
    source = array_source(size=30, side=8, channels=1)
    data = Data(per_pixel_mean=True, image_size=8, std=(0.5,))
    recipe = Recipe(data=data, augmentation=Augmentation(policy=policy))
    mean, std = normalization(source, recipe)
    np.testing.assert_allclose(mean, source.images.mean(axis=0) / 255, atol=1e-7)
    assert (mean.shape, std.tolist()) == ((8, 8, 1), [0.5])
    picture = tf.constant(source.images[0])
    assert augmented(picture, seeds(1)[0], source, recipe).shape == (8, 8, 1)


def test_the_mean_image_of_files_is_that_of_their_central_views(tmp_path):
    source = FolderSource(write_folder(tmp_path, {"train": {"a": 2, "b": 1}}), "train")
    views = [
        central_view(source.load(tf.constant(index))[0], source, whole_view(16)).numpy()
        for index in range(3)
    ]
    mean = mean_image(source, Data(per_pixel_mean=True, image_size=16))
    np.testing.assert_allclose(mean, np.mean(views, axis=0) / 255, atol=1e-7)


def test_the_mean_image_moves_with_the_padded_crop(rng):
    mean = tf.constant(rng.random((8, 8, 3)), tf.float32)
    augmentation = Augmentation(crop="pad", padding=2)
    assert moved_mean(mean, seeds(5), augmentation).shape == (5, 8, 8, 3)
    still = dataclasses.replace(augmentation, crop="resized", padding=4)
    assert moved_mean(mean, seeds(5), still) is mean
    assert moved_mean(mean[0, 0], seeds(5), augmentation).shape == (3,)

"""Mixup and CutMix."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from training.data.mixing import beta, mixed, mixes, with_partners
from training.data.order import step_seed
from training.recipe.recipe import Augmentation, Recipe

BATCH, SIZE = 6, 20


def recipe(**augmentation):
    return Recipe(augmentation=Augmentation(**augmentation))


def mix(step, chosen):
    """Mixes images whose pixels are their number with their predecessors."""
    numbers = tf.reshape(tf.range(1.0, BATCH + 1), (-1, 1, 1, 1)) * tf.ones((1, SIZE, SIZE, 2))
    targets = tf.eye(BATCH)
    images, mixed_targets = mixed(
        numbers,
        targets,
        tf.roll(numbers, 1, axis=0),
        tf.roll(targets, 1, axis=0),
        tf.constant(step, tf.int64),
        chosen,
    )
    return images.numpy(), mixed_targets.numpy()


def test_partners_stand_before_around_the_end_of_the_batch():
    read, partners = with_partners(np.arange(6), batch=6, distance=2)
    assert read.tolist() == [0, 1, 2, 3, 4, 5]
    assert partners.tolist() == [4, 5, 0, 1, 2, 3]
    # Of a part, those that do not belong to it are read as well: 4 and 5 for 0 and 1.
    read, partners = with_partners(np.array([0, 1, 2]), batch=6, distance=2)
    assert read.tolist() == [0, 1, 2, 4, 5]
    assert partners.tolist() == [3, 4, 0]


def test_nothing_more_is_read_where_nothing_is_mixed():
    read, partners = with_partners(np.array([4, 2]), batch=6, distance=0)
    assert read.tolist() == [4, 2]
    assert partners.tolist() == [0, 1]


def test_mixup_mixes_pixels_as_it_mixes_targets():
    for step in range(10):
        images, targets = mix(step, recipe(mixup=0.4))
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        share = targets[0, 0]
        np.testing.assert_allclose(np.diag(targets), share, atol=1e-6)
        np.testing.assert_allclose(targets[0, -1], 1 - share, atol=1e-6)
        expected = targets @ np.arange(1, BATCH + 1)
        np.testing.assert_allclose(
            images, np.broadcast_to(expected[:, None, None, None], images.shape), rtol=1e-5
        )


def test_cutmix_targets_are_the_areas():
    shares = []
    for step in range(60):
        images, targets = mix(step, recipe(cutmix=1.0))
        foreign = images[1] == 1
        assert ((images[1] == 2) | foreign).all()
        rows, columns = foreign[..., 0].any(axis=1), foreign[..., 0].any(axis=0)
        assert foreign[..., 0].sum() == rows.sum() * columns.sum()
        np.testing.assert_allclose(targets[1, 0], foreign[..., 0].mean(), atol=1e-6)
        np.testing.assert_allclose(targets[1, 1], 1 - foreign[..., 0].mean(), atol=1e-6)
        shares.append(targets[1, 1])
    assert 0.5 < np.mean(shares) < 0.85  # above the half of Beta(1, 1), for boxes are clipped


def test_with_both_each_batch_has_one_of_them():
    kinds = []
    for step in range(200):
        images, _ = mix(step, recipe(mixup=1.0, cutmix=1.0))
        kinds.append(len(np.unique(images[1])) == 1 and images[1, 0, 0, 0] not in (1, 2))
    assert 0.35 < np.mean(kinds) < 0.65


@pytest.mark.parametrize("concentration", [0.1, 0.2, 1.0, 4.0])
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


def test_a_step_mixes_the_same_each_time_and_another_step_otherwise():
    both = recipe(mixup=0.4, cutmix=1.0)
    np.testing.assert_array_equal(mix(3, both)[0], mix(3, both)[0])
    assert (mix(3, both)[0] != mix(4, both)[0]).any()
    other = dataclasses.replace(both, seed=1)
    assert (mix(3, both)[0] != mix(3, other)[0]).any()


def test_whether_anything_is_mixed():
    assert not mixes(Augmentation())
    assert mixes(Augmentation(mixup=0.1))
    assert mixes(Augmentation(cutmix=0.1))

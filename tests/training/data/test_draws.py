"""Random numbers with a seed a row."""

import numpy as np
import pytest
import tensorflow as tf

from training.data.order import hashed, integers, normal, uniform

SEEDS = tf.stack([tf.range(40_000), 7 * tf.ones(40_000, tf.int32)], axis=1)


def reference_hash(*words):
    """The same hash in Python integers."""
    state = 0x9E3779B9
    for word in words:
        state = ((state ^ word) + 0x9E3779B9) & 0xFFFFFFFF
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            state = ((state ^ (state >> shift)) * factor) & 0xFFFFFFFF
        state ^= state >> 16
    return state


def test_the_hash_is_that_of_plain_integers():
    words = [(0, 0, 0), (1, 2, 3), (0xFFFFFFFF, 5, 0x80000000)]
    expected = [reference_hash(*row) for row in words]
    columns = [tf.constant(column, tf.uint32) for column in zip(*words, strict=True)]
    assert hashed(*columns).numpy().tolist() == expected
    assert [int(hashed(*row)) for row in words] == expected


def test_negative_and_long_integers_count_by_their_lowest_32_bits():
    assert int(hashed(tf.constant(-1))) == reference_hash(0xFFFFFFFF)
    assert int(hashed(tf.constant(2**40 + 3, tf.int64))) == reference_hash(3)


@pytest.mark.parametrize("draw", [uniform, normal])
def test_a_row_gets_what_it_would_get_alone(draw):
    batch = tf.function(draw)(SEEDS[:5], "test", 3)
    for row, seed in zip(batch, SEEDS[:5], strict=True):
        np.testing.assert_array_equal(row, draw(seed, "test", 3))
        np.testing.assert_array_equal(row, draw(seed[tf.newaxis], "test", 3)[0])


def test_uniform_numbers_fill_the_unit_interval():
    numbers = uniform(SEEDS, "test", 2).numpy()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.histogram2d(*numbers.T, bins=20, range=[[0, 1], [0, 1]])[0]
    # χ² with 399 degrees of freedom: mean 399, standard deviation 28.
    assert ((counts - 100) ** 2 / 100).sum() < 399 + 5 * 28


def test_names_counters_and_seeds_give_unrelated_numbers():
    columns = [
        uniform(SEEDS, "one", 2)[:, 0],
        uniform(SEEDS, "one", 2)[:, 1],
        uniform(SEEDS, "other", 1)[:, 0],
        uniform(SEEDS[:, ::-1], "one", 1)[:, 0],
        tf.roll(uniform(SEEDS, "one", 1)[:, 0], 1, axis=0),
    ]
    correlations = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlations).max() < 5 / np.sqrt(len(SEEDS))


def test_integers_take_each_value_equally_often():
    numbers = integers(SEEDS, "test", (9, 2)).numpy()
    assert numbers.dtype == np.int32
    nine, two = np.bincount(numbers[:, 0]), np.bincount(numbers[:, 1])
    assert len(nine) == 9
    assert len(two) == 2
    np.testing.assert_allclose(nine, len(SEEDS) / 9, rtol=0.08)
    np.testing.assert_allclose(two, len(SEEDS) / 2, rtol=0.03)


def test_normal_numbers_have_the_normal_moments():
    numbers = normal(SEEDS, "test", 2).numpy()
    assert np.isfinite(numbers).all()
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.std() - 1) < 0.02
    assert abs((numbers**4).mean() - 3) < 0.2

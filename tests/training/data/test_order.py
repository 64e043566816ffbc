"""The order of examples, a permutation an epoch, and random numbers with a seed a row."""

import numpy as np
import pytest
import tensorflow as tf

from training.data.order import (
    batch_order,
    example_at,
    example_seed,
    hashed,
    integers,
    normal,
    shuffled,
    step_seed,
    uniform,
)

SEEDS = tf.stack([tf.range(40_000), 7 * tf.ones(40_000, tf.int32)], axis=1)


def order(size, seed=0, epoch=0):
    return shuffled(
        tf.range(size, dtype=tf.int64), size, seed, tf.constant(epoch, tf.int64)
    ).numpy()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 16, 17, 99, 100, 1437, 50_000])
def test_every_index_comes_once_an_epoch(size):
    for epoch in (0, 1, 1000):
        assert sorted(order(size, epoch=epoch)) == list(range(size))


def test_orders_are_unrelated_to_each_other_and_to_the_order_of_the_source():
    size = 20_000
    orders = [
        np.arange(size),
        order(size),
        order(size, epoch=1),
        order(size, epoch=256),
        order(size, seed=1),
        order(size, seed=2**32),
        np.roll(order(size), 1),
    ]
    correlations = np.corrcoef(orders) - np.eye(len(orders))
    assert np.abs(correlations).max() < 5 / np.sqrt(size)
    for number, one in enumerate(orders):
        for other in orders[:number]:
            assert (one == other).sum() < 10  # one is expected


def test_first_and_last_places_are_taken_by_all_indices():
    epochs = tf.range(2000, dtype=tf.int64)
    for place in (0, 9):
        taken = shuffled(tf.fill(epochs.shape, tf.constant(place, tf.int64)), 10, 0, epochs)
        np.testing.assert_allclose(np.bincount(taken, minlength=10), 200, atol=75)


def test_a_position_alone_determines_its_example():
    positions = tf.range(250, dtype=tf.int64)
    columns = example_at(positions, size=40, seed=3, repeats=2)
    for position in (0, 1, 79, 80, 81, 249):
        alone = example_at(tf.constant(position, tf.int64), size=40, seed=3, repeats=2)
        assert list(map(int, alone)) == [int(column[position]) for column in columns]


def test_repeats_are_adjacent():
    index, epoch, repetition = example_at(tf.range(60, dtype=tf.int64), size=10, seed=0, repeats=3)
    assert repetition.numpy().tolist() == [0, 1, 2] * 20
    assert epoch.numpy().tolist() == [0] * 30 + [1] * 30
    rows = index.numpy().reshape(20, 3)
    assert (rows == rows[:, :1]).all()
    assert sorted(rows[:10, 0]) == list(range(10))


@pytest.mark.parametrize(
    ("batch", "repeats", "replicas", "distinct"),
    [
        (1024, 4, 8, 128),  # torchvision's second recipe, on 8 devices: all of a share
        (2048, 3, 8, 256),  # A2: a batch begins within the repeats of an image
        (1024, 4, 4, 256),  # a share of 256, of 256 images
        (1024, 4, 2, 256),  # a share of 512, of 256 images: each twice
        (1024, 1, 8, 128),
    ],
)
def test_a_replica_has_each_image_once(batch, repeats, replicas, distinct):
    order = batch_order(batch, repeats, replicas)
    np.testing.assert_array_equal(np.sort(order), np.arange(batch))
    for step in (0, 1, 2):
        index, _, _ = example_at(step * batch + order, 10_000, seed=0, repeats=repeats)
        for share in np.split(index.numpy(), replicas):
            assert len(np.unique(share)) == distinct


def test_the_order_of_a_batch_by_hand():
    # Three images, twice each: a a b b c c.
    assert batch_order(6, repeats=2, replicas=2).tolist() == [0, 2, 4, 1, 3, 5]
    assert batch_order(6, repeats=2, replicas=1).tolist() == [0, 1, 2, 3, 4, 5]
    assert batch_order(6, repeats=1, replicas=3).tolist() == [0, 1, 2, 3, 4, 5]
    assert batch_order(5, repeats=3, replicas=5).tolist() == [0, 3, 1, 4, 2]


def test_seeds_differ():
    epoch, index, repetition = np.meshgrid(range(8), range(1000), range(3), indexing="ij")
    parts = [tf.constant(part.ravel(), tf.int64) for part in (epoch, index, repetition)]
    seeds = example_seed(5, *parts).numpy()
    assert seeds.shape == (24_000, 2)
    assert len(np.unique(seeds, axis=0)) == len(seeds)
    assert not (example_seed(6, *parts).numpy() == seeds).all(axis=1).any()
    np.testing.assert_array_equal(example_seed(5, *(part[77] for part in parts)), seeds[77])
    steps = {tuple(step_seed(0, tf.constant(step, tf.int64)).numpy()) for step in range(100)}
    assert len(steps) == 100


@pytest.mark.parametrize("size", [0, 2**32 + 1])
def test_a_size_out_of_range_is_an_error(size):
    with pytest.raises(ValueError, match=f"Received: size={size}"):
        shuffled(tf.constant(0, tf.int64), size, 0, tf.constant(0, tf.int64))


def test_the_largest_positions_are_exact():
    index, epoch, _ = example_at(tf.constant([10**15 + 7], tf.int64), size=1_281_167, seed=0)
    assert int(epoch[0]) == (10**15 + 7) // 1_281_167
    assert 0 <= int(index[0]) < 1_281_167


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
    # Negative and long integers count by their lowest 32 bits.
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
    for column, bound, tolerance in ((0, 9, 0.08), (1, 2, 0.03)):
        counts = np.bincount(numbers[:, column])
        assert len(counts) == bound
        np.testing.assert_allclose(counts, len(SEEDS) / bound, rtol=tolerance)


def test_normal_numbers_have_the_normal_moments():
    numbers = normal(SEEDS, "test", 2).numpy()
    assert np.isfinite(numbers).all()
    assert abs(numbers.mean()) < 0.02
    assert abs(numbers.std() - 1) < 0.02
    assert abs((numbers**4).mean() - 3) < 0.2

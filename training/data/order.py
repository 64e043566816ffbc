"""The order of the examples and the draws of their augmentation: functions of seed and step."""

import math
import zlib

import numpy as np
import tensorflow as tf

GOLDEN = 0x9E3779B9  # 2³² divided by the golden ratio: zeros do not stay zeros
FINALIZER = ((16, 0x7FEB352D), (15, 0x846CA68B))  # shifts and factors
MASK = 0xFFFFFFFF


def hashed(*words: tf.Tensor | int) -> tf.Tensor:
    """Hashes 32-bit words, element by element."""
    state: tf.Tensor | int = GOLDEN
    for word in words:
        state = _continued(state, word)
    return _as_uint32(state)


def _continued(state, word):
    """Continues a hash by one word: `hashed(a, b)` is `_continued(hashed(a), b)`."""
    if isinstance(state, int) and isinstance(word, int):  # constants take no operations
        return _finalized_integer(((state ^ (word & MASK)) + GOLDEN) & MASK)
    return _finalized(tf.bitwise.bitwise_xor(_as_uint32(state), _as_uint32(word)) + GOLDEN)


def uniform(seed: tf.Tensor, name: str, count: int) -> tf.Tensor:
    """Draws numbers uniformly from [0, 1)."""
    key = hashed(zlib.crc32(name.encode()), seed[..., 0], seed[..., 1])
    bits = hashed(key[..., tf.newaxis], tf.range(count))
    return tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.float32) * 2.0**-24


def between(parts: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Stretches numbers of [0, 1) to [low, high)."""
    return low + parts * (high - low)


def integers(seed: tf.Tensor, name: str, bounds: tuple[int, ...]) -> tf.Tensor:
    """Draws one integer from `[0, bound)` for each bound."""
    parts = uniform(seed, name, len(bounds))
    return tf.cast(tf.floor(parts * tf.constant(bounds, tf.float32)), tf.int32)


def normal(seed: tf.Tensor, name: str, count: int) -> tf.Tensor:
    """Draws numbers from the standard normal distribution."""
    # In float64: a vector instruction and its scalar twin may differ in the last bit, and the place
    # in the batch decides which one is used. Rounding to float32 makes them agree.
    parts = tf.cast(uniform(seed, name, count), tf.float64) + 2.0**-25
    return tf.cast(tf.math.ndtri(parts), tf.float32)


def _as_uint32(word):
    if isinstance(word, int):
        return tf.constant(word & MASK, tf.uint32)
    return tf.cast(word, tf.uint32)


def _finalized_integer(bits):
    for shift, factor in FINALIZER:
        bits = ((bits ^ (bits >> shift)) * factor) & MASK
    return bits ^ (bits >> 16)


def _finalized(bits):
    for shift, factor in FINALIZER:
        bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, _as_uint32(shift)))
        bits *= _as_uint32(factor)
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, _as_uint32(16)))


ROUNDS = 8  # four for each digit; Luby and Rackoff's strong permutation needs four in all


def example_at(
    position: tf.Tensor, size: int, seed: int, repeats: int = 1
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the index, epoch and repetition of the example at a position of the run."""
    position = tf.cast(position, tf.int64)
    drawn = position // repeats
    epoch = drawn // size
    return shuffled(drawn % size, size, seed, epoch), epoch, position % repeats


def batch_order(batch: int, repeats: int, replicas: int) -> np.ndarray:
    """Returns the order of a batch's places in which each replica takes a contiguous share.

    The repeats of an image are adjacent in a batch. For several replicas, all first repeats come
    before all second ones, so that a share holds each image once, or as rarely as possible.
    """
    places = np.arange(batch)
    return places if replicas == 1 else places[np.argsort(places % repeats, kind="stable")]


def example_seed(
    seed: int, epoch: tf.Tensor, index: tf.Tensor, repetition: tf.Tensor | int = 0
) -> tf.Tensor:
    """Derives the seed of one example's augmentation."""
    return _seed_pair("example", (*_halves(seed), epoch, index, repetition))


def step_seed(seed: int, step: tf.Tensor) -> tf.Tensor:
    """Derives the seed of what is drawn once for a whole batch: int32, shape `(2,)`."""
    return _seed_pair("step", (*_halves(seed), step))


def shuffled(index: tf.Tensor, size: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Permutes the numbers 0 to size − 1."""
    if not 1 <= size <= 2**32:
        raise ValueError(f"`size` must be in [1, 2**32]. Received: size={size}")
    high_radix = math.isqrt(size - 1) + 1
    low_radix = -(-size // high_radix)
    key = hashed(hashed(zlib.crc32(b"order"), *_halves(seed), epoch))
    keys = [_continued(key, turn) for turn in range(ROUNDS)]

    def permuted_once(number):
        high, low = number // low_radix, number % low_radix
        for turn in range(0, ROUNDS, 2):
            high = (high + tf.cast(_continued(keys[turn], low), tf.int64)) % high_radix
            low = (low + tf.cast(_continued(keys[turn + 1], high), tf.int64)) % low_radix
        return high * low_radix + low

    number = permuted_once(tf.cast(index, tf.int64))
    return tf.while_loop(
        lambda number: tf.reduce_any(number >= size),
        lambda number: (tf.where(number >= size, permuted_once(number), number),),
        (number,),
    )[0]


def _seed_pair(purpose, words):
    pair = [hashed(zlib.crc32(purpose.encode()), half, *words) for half in (0, 1)]
    return tf.stack([tf.bitcast(bits, tf.int32) for bits in pair], axis=-1)


def _halves(seed):
    return seed & 0xFFFFFFFF, seed >> 32

"""Random numbers that are functions of a seed: whole batches of them, one seed an example.

`tf.random.stateless_uniform` takes one seed a call. Here each row of a batch has its own, so that
a batch is augmented in a few operations and each example still gets the numbers that it would get
alone. The numbers are hashes of (seed, name of the draw, counter), by a 32-bit integer finalizer
of the murmur family (Wellons, 2018, "Prospecting for Hash Functions", lowbias32).
"""

import zlib

import tensorflow as tf

GOLDEN = 0x9E3779B9  # 2³² divided by the golden ratio: zeros do not stay zeros
FINALIZER = ((16, 0x7FEB352D), (15, 0x846CA68B))  # shifts and factors
MASK = 0xFFFFFFFF


def hashed(*words: tf.Tensor | int) -> tf.Tensor:
    """Hashes 32-bit words, element by element.

    Args:
        *words: Integer tensors of shapes that broadcast, or integers. The lowest 32 bits count.

    Returns:
        uint32, of the broadcast shape.

    Example:

    >>> hashed(1, tf.constant([2, 3])).numpy() == hashed(1, 3).numpy()
    array([False,  True])
    """
    state: tf.Tensor | int = GOLDEN
    for word in words:
        if isinstance(state, int) and isinstance(word, int):  # no operations for what is known
            state = _finalized_integer(((state ^ (word & MASK)) + GOLDEN) & MASK)
        else:
            state = _finalized(tf.bitwise.bitwise_xor(_as_uint32(state), _as_uint32(word)) + GOLDEN)
    return _as_uint32(state)


def uniform(seed: tf.Tensor, name: str, count: int) -> tf.Tensor:
    """Draws numbers uniformly from [0, 1).

    Args:
        seed: int32, shape `(..., 2)`.
        name: Names the draw. Another name gives other numbers, independent of these.
        count: How many numbers for each seed.

    Returns:
        float32, shape `(..., count)`: multiples of 2⁻²⁴.

    Example:

    >>> seeds = tf.constant([[0, 1], [0, 2]])
    >>> both = uniform(seeds, "crop", 3)
    >>> bool(tf.reduce_all(both[1] == uniform(seeds[1], "crop", 3)))
    True
    """
    key = hashed(zlib.crc32(name.encode()), seed[..., 0], seed[..., 1])
    bits = hashed(key[..., tf.newaxis], tf.range(count))
    return tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.float32) * 2.0**-24


def integers(seed: tf.Tensor, name: str, bounds: tuple[int, ...]) -> tf.Tensor:
    """Draws one integer from `[0, bound)` for each bound.

    Args:
        seed: int32, shape `(..., 2)`.
        name: Names the draw.
        bounds: Upper bounds, exclusive, at most 2²⁴.

    Returns:
        int32, shape `(..., len(bounds))`.
    """
    parts = uniform(seed, name, len(bounds))
    return tf.cast(tf.floor(parts * tf.constant(bounds, tf.float32)), tf.int32)


def normal(seed: tf.Tensor, name: str, count: int) -> tf.Tensor:
    """Draws numbers from the standard normal distribution.

    Args:
        seed: int32, shape `(..., 2)`.
        name: Names the draw.
        count: How many numbers for each seed.

    Returns:
        float32, shape `(..., count)`: at most about 5.4 in size, for there are 2²⁴ of them.
    """
    # In float64: a vector instruction and its scalar twin may differ in the last bit, and which
    # computes a number depends on its place in the batch. Rounding to float32 makes them agree.
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

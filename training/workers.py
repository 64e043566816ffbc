"""What several workers have to settle among themselves, and what happens when one is gone."""

import contextlib
from collections.abc import Callable, Iterator

import tensorflow as tf

# What a collective operation ends with when a peer was killed, left, or does not answer.
_SIGNS_OF_LOSS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


class LostWorker(ConnectionError):
    """A worker without which the others cannot go on."""


def make_gather(strategy: tf.distribute.Strategy) -> Callable[[int], list[int]]:
    """Returns a function that tells every worker the number that each of them has.

    All workers must call it, and wait in it for the slowest.

    Args:
        strategy: Under which they work together.

    Returns:
        A function of a number below 2⁶³; it returns everyone's, in an order that is the same for
        all. A worker with several devices is there as often.
    """
    if not _has_peers(strategy):
        return lambda number: [number]

    @tf.function
    def gathered(number):
        everyone = strategy.run(lambda: tf.reshape(number, [1]))
        return strategy.gather(everyone, axis=0)

    return lambda number: gathered(tf.constant(number, tf.int64)).numpy().tolist()


@contextlib.contextmanager
def lost_workers_named(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Says in a line that a worker is gone; to be put around what the workers do together.

    Args:
        strategy: Under which they work together.

    Raises:
        LostWorker: Instead of the error in which a collective operation then ends.
    """
    try:
        yield
    except _SIGNS_OF_LOSS as error:
        if not _has_peers(strategy):
            raise
        reasons = [line.strip() for line in str(error).splitlines() if "aborted by" in line]
        raise LostWorker(
            "Another worker is gone, or failed, and without it this one cannot go on. Start all "
            "of them again: the run goes on from its last checkpoint. "
            f"Received: {type(error).__name__}" + (f": {reasons[0]}" if reasons else "")
        ) from error


def _has_peers(strategy):
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)

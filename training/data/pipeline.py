"""What training and evaluation pipelines have in common."""

from collections.abc import Callable

import tensorflow as tf


def share_of(batch: int, worker: int, workers: int) -> int:
    """Returns how many examples of each batch are one worker's."""
    if not 0 <= worker < workers:
        raise ValueError(
            f"`worker` must be in [0, workers). Received: worker={worker}, workers={workers}"
        )
    if batch % workers:
        raise ValueError(
            "The batch must be a multiple of the number of workers. "
            f"Received: batch={batch}, workers={workers}"
        )
    return batch // workers


def mapped(dataset: tf.data.Dataset, function: Callable[..., object]) -> tf.data.Dataset:
    """Maps a function over a dataset."""
    return dataset.map(tf.autograph.experimental.do_not_convert(function))


def parallel(dataset: tf.data.Dataset, function: Callable[..., object]) -> tf.data.Dataset:
    """Maps a function over a dataset on several threads, in order."""
    return dataset.map(
        tf.autograph.experimental.do_not_convert(function),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def prefetched(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Keeps some batches ready."""
    return batches.prefetch(tf.data.AUTOTUNE)

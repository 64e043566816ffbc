"""What happens where an image cannot be read: an error that names it, or another in its place."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import tensorflow as tf

from keras_resnets.preprocessing.preprocessing import MAX_ASPECT_RATIO
from training.data.decoding import READ_FORMATS, decoded
from training.data.pipeline import mapped
from training.data.source import Source

STRIP = f"it is more than {MAX_ASPECT_RATIO} times as long as wide"
ATTEMPTS = 100  # images in a row that are tried where bad ones are skipped
CYCLE = 16  # images that are then read at the same time


class BadImage(OSError):
    """An image that cannot be read. The message names it and says why."""


@contextlib.contextmanager
def bad_images_named(source: Source, indices: Callable[[], Iterable[int]]) -> Iterator[None]:
    """Names the image that stops a pipeline; to be put around what takes batches from it.

    TensorFlow's error does not say which file could not be decoded, and no operation catches it.
    So after one the images in question are read again, one by one. Else this costs nothing.
    """
    try:
        yield
    except tf.errors.OpError as error:
        for index in indices():
            problem = why_unreadable(source, index)
            if problem is not None:
                raise BadImage(problem) from error
        raise


def skipping_bad(
    places: tf.data.Dataset, source: Source, read: Callable[..., object]
) -> tf.data.Dataset:
    """Reads images in order, and in place of one that cannot be read the next one that can."""

    def first_good(place):
        def attempt(further):
            index = (place["index"] + further) % source.size
            return read(place | {"index": index, "skipped": further > 0})

        attempts = mapped(tf.data.Dataset.range(min(ATTEMPTS, source.size)), attempt)
        failure = mapped(tf.data.Dataset.range(1), attempt)
        return attempts.ignore_errors().concatenate(failure).take(1)

    # In a `map`, a nested dataset would make the pipeline sequential where
    # `tf.config.experimental.enable_op_determinism` is on.
    return places.interleave(
        tf.autograph.experimental.do_not_convert(first_good),
        cycle_length=CYCLE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def why_unreadable(source: Source, index: int) -> str | None:
    """Reads one image; says which it is and what is wrong with it, or returns `None`."""
    number = tf.constant(index, tf.int64)
    name = source.name_of(number).numpy().decode()
    try:
        image, _ = source.load(number)
    except (OSError, ValueError, tf.errors.OpError) as error:
        return f"{name} cannot be read: {why_not_loaded(error)}"
    try:
        shape = decoded(image, source).shape
    except tf.errors.OpError:
        return f"{name} cannot be read: {what_is_wrong(image.numpy())}."
    if is_strip(shape):
        return f"{name} cannot be resized: {STRIP}."
    return None


def is_strip(shape: tf.TensorShape) -> bool:
    """Returns whether an image is too long to be resized whole, as evaluation does."""
    shorter, longer = sorted(shape[:2])
    return longer > MAX_ASPECT_RATIO * shorter


def why_not_loaded(error: Exception) -> str:
    """Says in a few words why a source could not load an image.

    TensorFlow puts the operation and the file before the reason, and the operation behind it.
    """
    line = str(error).splitlines()[0]
    return line.partition(" [Op:")[0].rpartition("; ")[2]


def what_is_wrong(contents: bytes) -> str:
    """Says in a few words why a file could not be decoded."""
    if not contents:
        return "the file is empty"
    if contents.startswith(b"\xff\xd8\xff"):
        whole = contents.rstrip(b"\0").endswith(b"\xff\xd9")
        return "the JPEG data are damaged" if whole else "the JPEG file is cut off"
    if contents.startswith(b"\x89PNG"):
        whole = b"IEND" in contents[-64:]
        return "the PNG data are damaged" if whole else "the PNG file is cut off"
    if contents.startswith((b"GIF8", b"BM")) or contents[8:12] == b"WEBP":
        return "the image data are damaged"
    return f"it is not a {READ_FORMATS} file"

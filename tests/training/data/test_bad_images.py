"""Images that cannot be read: named in an error, or skipped and counted."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training.data.pictures import array_source, encoded, smooth_picture, write_folder
from training.data.augment import augmented
from training.data.batches import (
    BadImage,
    bad_images_named,
    evaluation_batches,
    indices_of_steps,
    skipping_bad,
    training_batches,
    what_is_wrong,
)
from training.data.decoding import decoded
from training.data.folder import FolderSource
from training.data.order import example_at, example_seed
from training.recipe.recipe import Augmentation, Data, Evaluation, Recipe

JPEG = encoded(smooth_picture(40, 40))
PNG = encoded(smooth_picture(40, 40), "PNG")
BAD = {
    "cut.jpg": (JPEG[: len(JPEG) // 2], "the JPEG file is cut off"),
    "empty.jpg": (b"", "the file is empty"),
    "text.jpg": (b"not at all a picture", "it is not a JPEG, PNG, GIF, BMP or WebP file"),
    "cut.png": (PNG[: len(PNG) // 2], "the PNG file is cut off"),
    "with its end.jpg": (JPEG, "the JPEG data are damaged"),
    "padded.jpg": (JPEG + b"\0\0", "the JPEG data are damaged"),
    "torn.gif": (b"GIF89a...", "the image data are damaged"),
    "torn.png": (PNG[:200] + b"\0" * 20 + PNG[220:], "the PNG data are damaged"),
}


def recipe(on_bad_image="error", **augmentation):
    values = {"crop": "none", "flip": False} | augmentation
    return Recipe(
        data=Data(source="folder:any", image_size=16, on_bad_image=on_bad_image),
        augmentation=Augmentation(**values),
        evaluation=Evaluation(batch=4),
        batch=4,
    )


def folder_with(tmp_path, name, contents, split="train"):
    root = write_folder(tmp_path, {split: {"a": 7, "b": 6}})
    path = root / split / "a" / name
    path.write_bytes(contents)
    source = FolderSource(root, split)
    return source, source.paths.index(path), path


def batches_until_error(dataset, source, indices=None, most=8):
    """Returns the batches before an error, and the message that names the bad image."""
    batches = []
    try:
        with bad_images_named(source, indices or (lambda: range(source.size))):
            for batch in dataset.take(most).as_numpy_iterator():
                batches.append(batch)
    except BadImage as error:
        message, advice, _ = str(error).partition(
            " Mend or remove it; `python -m training validate`"
        )
        assert advice
        return batches, message
    return batches, None


def test_training_stops_at_a_bad_image_and_names_it(tmp_path):
    contents, reason = BAD["cut.jpg"]
    source, bad, path = folder_with(tmp_path, "cut.jpg", contents)
    chosen = recipe(crop="resized", area=(1.0, 1.0))
    batches, message = batches_until_error(training_batches(source, chosen), source)
    assert message == f"{path} cannot be read: {reason}."
    order, _, _ = example_at(tf.range(source.size, dtype=tf.int64), source.size, seed=0)
    place = order.numpy().tolist().index(bad)
    assert len(batches) == place // 4  # all batches before it, in order
    indices = [index for batch in batches for index in batch["index"]]
    np.testing.assert_array_equal(indices, order[: len(indices)])


def test_skipping_is_advised_only_where_it_can_be_done(tmp_path):
    source, bad, path = folder_with(tmp_path, "cut.jpg", BAD["cut.jpg"][0])
    for can_skip in (True, False):
        with pytest.raises(BadImage) as raised, bad_images_named(source, lambda: [bad], can_skip):
            raise tf.errors.InvalidArgumentError(None, None, "no name")
        assert str(raised.value).startswith(f"{path} cannot be read: ")
        assert ("--data.on-bad-image skip in a new run" in str(raised.value)) == can_skip


@pytest.mark.parametrize("name", ["000.jpg", "z.jpg"])
def test_evaluation_stops_at_a_bad_image_wherever_it_is(tmp_path, name):
    source, bad, path = folder_with(tmp_path, name, b"", split="test")
    batches, message = batches_until_error(evaluation_batches(source, recipe("skip")), source)
    assert message == f"{path} cannot be read: the file is empty."
    assert len(batches) == bad // 4


def test_the_very_last_image_is_not_missed(tmp_path):
    root = write_folder(tmp_path, {"test": {"a": 8}})
    (root / "test" / "a" / "007.jpg").write_bytes(b"")
    source = FolderSource(root, "test")
    batches, message = batches_until_error(evaluation_batches(source, recipe()), source)
    assert len(batches) == 1
    assert message.endswith("007.jpg cannot be read: the file is empty.")


def test_a_file_that_vanishes_is_named(tmp_path):
    source, _, path = folder_with(tmp_path, "gone.jpg", JPEG)
    path.unlink()
    _, message = batches_until_error(training_batches(source, recipe()), source)
    assert message.startswith(f"{path} cannot be read: ")
    assert "No such file" in message


def test_a_bad_image_is_replaced_by_the_next_good_one_and_counted(tmp_path):
    source, bad, _ = folder_with(tmp_path, "0010.jpg", b"")
    source.paths[bad + 1].unlink()
    source.paths[bad + 1].symlink_to("nowhere.jpg")
    chosen = recipe("skip", crop="resized", area=(0.1, 0.5))
    batches, message = batches_until_error(training_batches(source, chosen), source)
    assert message is None
    order, _, _ = example_at(tf.range(32, dtype=tf.int64), source.size, seed=0)
    expected = [bad + 2 if index in (bad, bad + 1) else index for index in order.numpy()]
    indices = np.concatenate([batch["index"] for batch in batches])
    np.testing.assert_array_equal(indices, expected)
    skipped = np.concatenate([batch["skipped"] for batch in batches])
    np.testing.assert_array_equal(skipped, np.isin(order, (bad, bad + 1)))
    for batch in batches:
        np.testing.assert_array_equal(batch["label"], source.labels[batch["index"]])
    # The good images are those that are read where none is skipped.
    mean, std = np.array(chosen.data.mean), np.array(chosen.data.std)
    for place in np.flatnonzero(~skipped[:8]):
        index = tf.constant(indices[place])
        seed = example_seed(0, tf.constant(place // source.size), index)
        pixels = augmented(source.load(index)[0], seed, source, chosen).numpy()
        image = batches[place // 4]["image"][place % 4]
        np.testing.assert_allclose(image, (pixels / 255 - mean) / std, atol=3e-6)


def test_a_strip_that_evaluation_cannot_resize_is_named(tmp_path):
    contents = encoded(np.zeros((2, 201, 3), np.uint8), "PNG")
    source, _, path = folder_with(tmp_path, "strip.png", contents, split="test")
    _, message = batches_until_error(evaluation_batches(source, recipe()), source)
    expected = "cannot be resized: it is more than 100 times as long as wide."
    assert message == f"{path} {expected}"


def test_where_nothing_can_be_read_skipping_ends_in_an_error(tmp_path):
    root = write_folder(tmp_path, {"train": {"a": 3}})
    for path in (root / "train" / "a").iterdir():
        path.write_bytes(b"")
    source = FolderSource(root, "train")
    places = tf.data.Dataset.from_tensors({"index": tf.constant(1, tf.int64)})
    skipping = skipping_bad(
        places, source, lambda place: decoded(source.load(place["index"])[0], source)
    )
    batches, message = batches_until_error(skipping, source)
    assert batches == []
    assert message == f"{source.paths[0]} cannot be read: the file is empty."


def test_only_the_images_in_question_are_read_again(tmp_path):
    source, bad, _ = folder_with(tmp_path, "0010.jpg", b"")
    step = int(np.flatnonzero(indices_of_steps(source, recipe(), 0, 8) == bad)[0]) // 4
    asked = []

    def indices():
        asked.extend(indices_of_steps(source, recipe(), step, 1).tolist())
        return asked

    dataset = training_batches(source, recipe(), start_step=step)
    batches, message = batches_until_error(dataset, source, indices)
    assert batches == []
    assert "0010.jpg cannot be read" in message
    assert len(asked) == 4


def test_another_error_stays_what_it_is(tmp_path):
    source = FolderSource(write_folder(tmp_path, {"train": {"a": 3}}), "train")
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="too long"),
        bad_images_named(source, lambda: range(3)),
    ):
        tf.debugging.Assert(False, ["too long"])


def test_sources_in_memory_have_nothing_to_skip():
    dataset = training_batches(array_source(side=16), recipe("skip", color_jitter=0.1))
    assert "skipped" not in dataset.element_spec


@pytest.mark.parametrize(("contents", "reason"), BAD.values(), ids=BAD)
def test_reasons(contents, reason):
    assert what_is_wrong(contents) == reason

"""Images that cannot be read, in a real run: named, or skipped and counted."""

import numpy as np
import pytest

pytest.importorskip("tyro")

import tensorflow as tf

from tests.subprocesses import run_module
from training.data.order import example_at


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    return run_module("tests.training.skipping_run", str(tmp_path_factory.mktemp("skipping")))


@pytest.mark.slow
def test_a_bad_image_stops_the_run_with_its_name_and_the_reason(printed):
    assert printed["stopped_by"] in (
        "train/a/003.jpg cannot be read: the JPEG file is cut off.",
        "train/b/002.jpg cannot be read: the file is empty.",
    )


@pytest.mark.slow
def test_skipped_images_are_counted_wherever_the_run_tells_of_itself(printed):
    order, _, _ = example_at(tf.range(8 * 4, dtype=tf.int64), 13, seed=0)
    is_bad = np.isin(order, (3, 7 + 2))
    whole = printed["whole"]
    assert whole["status"] == 0
    assert whole["skipped"] == is_bad.sum() > 0
    counts = [entry["skipped_images"] for entry in whole["metrics"]]
    assert counts == [is_bad[:16].sum(), is_bad.sum()]
    assert f"{is_bad.sum()} bad images skipped" in whole["printed"]


@pytest.mark.slow
def test_a_run_that_skips_goes_on_to_the_same_bits(printed):
    assert printed["status"] == 143
    assert "Resuming at step 3" in printed["resumed"].pop("printed")
    whole = {key: value for key, value in printed["whole"].items() if key != "printed"}
    assert printed["resumed"] == whole


@pytest.mark.slow
def test_evaluation_never_skips(printed):
    expected = "test/b/001.jpg cannot be read: the file is empty."
    assert printed["evaluation_stopped_by"] == expected


@pytest.mark.slow
def test_the_names_of_the_classes_are_stored(printed):
    assert printed["whole"]["classes"] == ["a", "b"]

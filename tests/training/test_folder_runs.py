"""Real runs on a folder: fine-tuning, and images that cannot be read, named or skipped."""

import numpy as np
import pytest

pytest.importorskip("tyro")

import tensorflow as tf

from tests.subprocesses import run_module
from training.data.order import example_at

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    return run_module("tests.training.folder_runs", str(tmp_path_factory.mktemp("runs")))


def test_the_classifier_begins_anew_and_is_trained_first(printed):
    tuned = printed["tuned"]
    assert tuned["status"] == 0
    assert "the classifier of 2 classes begins anew, for the file has 1000" in tuned["printed"]
    given, after_head_only, *_, at_the_end = tuned["kept"]
    assert given
    assert after_head_only
    assert not at_the_end
    assert tuned["classes"] == ["a", "b"]
    assert tuned["outputs"] == 2


def test_a_bad_image_stops_the_run_with_its_name_and_the_reason(printed):
    assert printed["stopped_by"] in (
        "train/a/003.jpg cannot be read: the JPEG file is cut off.",
        "train/b/002.jpg cannot be read: the file is empty.",
    )


def test_skipped_images_are_counted_wherever_the_run_tells_of_itself(printed):
    order, _, _ = example_at(tf.range(8 * 4, dtype=tf.int64), 13, seed=0)
    is_bad = np.isin(order, (3, 7 + 2))
    whole = printed["whole"]
    assert whole["status"] == 0
    assert whole["skipped"] == is_bad.sum() > 0
    counts = [entry["skipped_images"] for entry in whole["metrics"]]
    assert counts == [is_bad[:16].sum(), is_bad.sum()]
    assert f"{is_bad.sum()} bad images skipped" in whole["printed"]


def test_a_run_that_skips_resumes_to_the_same_bits(printed):
    assert printed["status"] == 143
    assert "Resuming at step 3" in printed["resumed"]["printed"]
    assert printed["resumed"] | {"printed": ""} == printed["whole"] | {"printed": ""}


def test_evaluation_never_skips(printed):
    expected = "test/b/001.jpg cannot be read: the file is empty."
    assert printed["evaluation_stopped_by"] == expected

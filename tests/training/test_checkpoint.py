"""Checkpoints: whole or not there, verified, and the one before as a reserve."""

import contextlib
import errno
import json
import os

import keras
import numpy as np
import pytest

from training import checkpoint as checkpoints
from training.checkpoint import (
    DamagedCheckpoint,
    latest_checkpoint,
    load_checkpoint,
    named_variables,
    restore,
    save_checkpoint,
    weights_sha256,
)


def variables(value=0.0):
    return named_variables(
        model=[
            keras.Variable(np.full((2, 3), value), name="kernel"),
            keras.Variable(value, name="scale"),
        ],
        optimizer=[keras.Variable(7, dtype="int64", name="iteration")],
    )


def test_what_is_saved_comes_back(tmp_path):
    save_checkpoint(tmp_path, 12, variables(1.5), {"best": 0.25})
    found, messages = latest_checkpoint(tmp_path)
    fresh = variables()
    restore(fresh, found)
    assert (found.step, found.facts, messages) == (12, {"best": 0.25}, [])
    for name, variable in variables(1.5).items():
        np.testing.assert_array_equal(fresh[name], variable)


def test_names_do_not_depend_on_what_the_process_has_made_before():
    def names():
        layer = keras.layers.Dropout(0.5)
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(momentum=0.9))
        optimizer.build([keras.Variable(0.0, name="stage1_block2_kernel")])
        return [*named_variables(model=layer.variables, optimizer=optimizer.variables)]

    first = names()
    assert names() == first
    assert first[0] == "model/0000/seed_generator/seed_generator_state"
    assert first[-1].endswith("/stage1_block2_kernel_momentum")


def test_no_checkpoint_is_no_error(tmp_path):
    assert latest_checkpoint(tmp_path / "missing") == (None, [])


def test_the_last_two_are_kept(tmp_path):
    for step in (1, 2, 30, 400):
        save_checkpoint(tmp_path, step, variables(), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000030", "step-00000400"]


@pytest.mark.parametrize(
    "damage",
    ["flip", "truncate", "remove", "empty", "no description", "junk", "other hash", "no files"],
)
def test_a_damaged_one_is_refused_by_name_and_the_one_before_is_used(tmp_path, damage):
    save_checkpoint(tmp_path, 1, variables(1.0), {})
    path = save_checkpoint(tmp_path, 2, variables(2.0), {})
    arrays, description = path / checkpoints.ARRAYS, path / checkpoints.DESCRIPTION
    content = arrays.read_bytes()
    if damage == "flip":
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 1])
        arrays.write_bytes(content[:middle] + flipped + content[middle + 1 :])
    elif damage == "truncate":
        arrays.write_bytes(content[:-10])
    elif damage == "remove":
        arrays.unlink()
    elif damage == "empty":
        arrays.write_bytes(b"")
    elif damage == "no description":
        description.unlink()
    elif damage == "no files":
        description.unlink()
        arrays.unlink()
    elif damage == "other hash":
        described = json.loads(description.read_text())
        description.write_text(json.dumps(described | {"sha256": "0" * 64}))
    else:
        description.write_text('{"step": 2')
    with pytest.raises(DamagedCheckpoint, match="step-00000002"):
        load_checkpoint(path)
    found, messages = latest_checkpoint(tmp_path)
    assert found.step == 1
    assert len(messages) == 1
    assert "step-00000002" in messages[0]


def test_if_all_are_damaged_the_run_does_not_silently_begin_anew(tmp_path):
    path = save_checkpoint(tmp_path, 1, variables(), {})
    (path / checkpoints.ARRAYS).write_bytes(b"")
    with pytest.raises(DamagedCheckpoint, match="No checkpoint is left whole"):
        latest_checkpoint(tmp_path)


def test_a_half_written_one_is_not_seen(tmp_path):
    save_checkpoint(tmp_path, 1, variables(), {})
    (tmp_path / "step-00000002.writing").mkdir()
    (tmp_path / "step-00000002.writing" / checkpoints.ARRAYS).write_bytes(b"half")
    found, messages = latest_checkpoint(tmp_path)
    assert (found.step, messages) == (1, [])
    save_checkpoint(tmp_path, 2, variables(), {})
    assert latest_checkpoint(tmp_path)[0].step == 2


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_step_that_is_saved_again_is_there_at_any_moment(tmp_path, monkeypatch, renames):
    save_checkpoint(tmp_path, 3, variables(1.0), {})
    replace, done = os.replace, []

    def killed(*paths):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(paths)
        replace(*paths)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        save_checkpoint(tmp_path, 3, variables(2.0), {})
    found, messages = latest_checkpoint(tmp_path)
    assert found.arrays["model/0001/scale"] == (2.0 if renames == 2 else 1.0)
    assert (found.step, messages) == (3, [])
    save_checkpoint(tmp_path, 3, variables(3.0), {})
    assert latest_checkpoint(tmp_path)[0].arrays["model/0001/scale"] == 3.0
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]


def test_damaged_ones_that_a_run_went_back_from_are_no_reserve(tmp_path):
    for step in (10, 20):
        path = save_checkpoint(tmp_path, step, variables(), {})
    (path / checkpoints.ARRAYS).write_bytes(b"")
    save_checkpoint(tmp_path, 15, variables(), {})  # stopped before 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010", "step-00000015"]


def test_a_full_disk_is_named_and_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, variables(1.0), {})

    def full(file, **arrays):
        file.write(b"part of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match=r"step 2 could not be written: No space left on device"):
        save_checkpoint(tmp_path, 2, variables(2.0), {})
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert latest_checkpoint(tmp_path)[0].step == 1


def test_a_checkpoint_of_another_model_is_refused_and_nothing_assigned(tmp_path):
    save_checkpoint(tmp_path, 1, variables(3.0), {})
    found, _ = latest_checkpoint(tmp_path)
    other = named_variables(
        model=[
            keras.Variable(np.zeros((2, 3)), name="kernel"),
            keras.Variable([0.0, 0.0], name="scale"),
        ],
        optimizer=[keras.Variable(7, dtype="int64", name="iteration")],
    )
    with pytest.raises(ValueError, match="first that differs"):
        restore(other, found)
    assert float(np.max(other["model/0000/kernel"])) == 0.0


def test_arrays_that_need_pickle_are_refused(tmp_path):
    path = save_checkpoint(tmp_path, 1, variables(), {})
    with open(path / checkpoints.ARRAYS, "wb") as file:
        np.savez(file, evil=np.array([object()], dtype=object))
    description = json.loads((path / checkpoints.DESCRIPTION).read_text())
    description["sha256"] = checkpoints._sha256(path / checkpoints.ARRAYS)
    (path / checkpoints.DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(DamagedCheckpoint):
        load_checkpoint(path)


def test_the_hash_of_weights_is_that_of_their_bytes():
    import hashlib

    weights = [keras.Variable([[1.0, 2.0]]), keras.Variable([3.0])]
    bytes_in_order = np.array([1.0, 2.0, 3.0], "float32").tobytes()
    assert weights_sha256(weights) == hashlib.sha256(bytes_in_order).hexdigest()

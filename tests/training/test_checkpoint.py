"""Checkpoints: whole or not there, verified, and the one before as a reserve."""

import contextlib
import errno
import hashlib
import json
import os

import keras
import numpy as np
import pytest

from tests.training.dying import Dying, Killed
from training.loop.learner import named_variables
from training.run import checkpoint as checkpoints
from training.run.checkpoint import (
    DamagedCheckpoint,
    latest_checkpoint,
    load_checkpoint,
    remove_checkpoint,
    restore,
    save_checkpoint,
    step_before,
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
    assert latest_checkpoint(tmp_path / "missing") == (None, [])
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


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / checkpoints.ARRAYS).unlink(),
        lambda path: (path / checkpoints.DESCRIPTION).unlink(),
        lambda path: [each.unlink() for each in path.iterdir()],
        lambda path: (path / checkpoints.ARRAYS).write_bytes(b""),
    ],
    ids=["no arrays", "no description", "no files", "empty"],
)
def test_a_damaged_one_is_refused_by_name_and_the_one_before_is_used(tmp_path, damage):
    save_checkpoint(tmp_path, 1, variables(1.0), {})
    path = save_checkpoint(tmp_path, 2, variables(2.0), {})
    damage(path)
    with pytest.raises(DamagedCheckpoint, match="step-00000002"):
        load_checkpoint(path)
    found, [message] = latest_checkpoint(tmp_path)
    assert found.step == 1
    assert "step-00000002" in message


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


def test_damaged_ones_are_no_reserve_and_if_all_are_the_run_does_not_begin_anew(tmp_path):
    for step in (10, 20):
        path = save_checkpoint(tmp_path, step, variables(), {})
    (path / checkpoints.ARRAYS).write_bytes(b"")
    save_checkpoint(tmp_path, 15, variables(), {})  # stopped before 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010", "step-00000015"]
    for path in tmp_path.iterdir():
        (path / checkpoints.ARRAYS).write_bytes(b"")
    with pytest.raises(DamagedCheckpoint, match="No checkpoint is left whole"):
        latest_checkpoint(tmp_path)


@pytest.mark.parametrize("has_one_before", [True, False])
def test_a_full_disk_is_named_and_leaves_the_checkpoint_before(
    tmp_path, monkeypatch, has_one_before
):
    if has_one_before:
        save_checkpoint(tmp_path, 1, variables(1.0), {})

    def full(file, **arrays):
        file.write(b"part of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match=r"step 2 could not be written: No space left") as error:
        save_checkpoint(tmp_path, 2, variables(2.0), {})
    assert ("The one before it stays" in str(error.value)) == has_one_before
    names = [path.name for path in tmp_path.iterdir()]
    assert names == ["step-00000001"] * has_one_before


@pytest.mark.parametrize("name", [checkpoints.ARRAYS, checkpoints.DESCRIPTION])
@pytest.mark.parametrize(
    "make",
    [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()],
    ids=["pipe", "device", "folder"],
)
def test_what_is_no_regular_file_is_not_read(tmp_path, name, make):
    save_checkpoint(tmp_path, 1, variables(1.0), {})
    path = save_checkpoint(tmp_path, 2, variables(2.0), {})
    (path / name).unlink()
    make(path / name)
    found, (message,) = latest_checkpoint(tmp_path)
    assert found.step == 1
    assert f"{name} must be there, as a regular file" in message


def test_a_link_to_a_regular_file_is_read(tmp_path):
    path = save_checkpoint(tmp_path / "run", 2, variables(2.0), {})
    for name in (checkpoints.ARRAYS, checkpoints.DESCRIPTION):
        (path / name).rename(tmp_path / name)
        (path / name).symlink_to(tmp_path / name)
    assert load_checkpoint(path).arrays["model/0001/scale"] == 2.0


@pytest.mark.parametrize("changes", range(6))
def test_one_that_is_removed_is_gone_or_whole_at_any_moment(tmp_path, monkeypatch, changes):
    for step in (3, 4):
        save_checkpoint(tmp_path, step, variables(float(step)), {})
    dying = Dying(monkeypatch, changes)
    with contextlib.suppress(Killed):
        remove_checkpoint(tmp_path, 4)
        assert not dying.is_dead
    monkeypatch.undo()
    found, messages = latest_checkpoint(tmp_path)
    assert (found.step, messages) in [(3, []), (4, [])]
    assert step_before(tmp_path, 4) == 3
    remove_checkpoint(tmp_path, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]
    assert step_before(tmp_path, 3) == 0


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


FACTS = {
    "state": {"step": 20, "best_accuracy": 0.875, "seconds": 12.5},
    "environment": {"versions": {"keras": "3.15.1"}, "devices": ["/device:CPU:0"], "cores": 2},
    "data": ["digits/train/0a1b", None],
}


def bytes_changed(content, rng):
    """Returns contents with a bit flipped, a byte replaced, added or taken out, or cut off."""
    place = int(rng.integers(len(content)))
    before, byte, after = content[:place], content[place], content[place + 1 :]
    digit = int(rng.choice([*b'0123456789"{}[],:. eE-tn\\']))
    return [
        before + bytes([byte ^ 1 << int(rng.integers(8))]) + after,
        before + bytes([digit]) + after,
        before + bytes([digit, byte]) + after,
        before + after,
        before,
    ][int(rng.integers(5))]


def values_changed(text, rng):
    """Returns a description in which a value, at any depth, is another one or has another name."""
    description = json.loads(text)
    place, inner = None, description
    while isinstance(inner, dict | list) and inner:
        keys = [*inner] if isinstance(inner, dict) else [*range(len(inner))]
        place = inner, keys[int(rng.integers(len(keys)))]
        inner = inner[place[1]]
        if rng.random() < 0.3:
            break
    within, key = place
    others = [None, True, 21, 20.0, -1, "20", "", [], {}, [inner], {"step": inner}, 1e300]
    if isinstance(within, dict) and rng.random() < 0.3:
        within[f"{key}x"] = within.pop(key)
    else:
        within[key] = others[int(rng.integers(len(others)))]
    return json.dumps(description).encode()


def test_a_change_to_any_byte_is_refused_or_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    path = save_checkpoint(tmp_path, 20, variables(1.5), FACTS)
    arrays, description = path / checkpoints.ARRAYS, path / checkpoints.DESCRIPTION
    rng, refused = np.random.default_rng(0), 0
    whole = load_checkpoint(path)
    for number in range(600):
        changed, change = (
            (description, bytes_changed),
            (description, values_changed),
            (arrays, bytes_changed),
        )[number % 3]
        content = changed.read_bytes()
        changed.write_bytes(change(content, rng))
        try:
            found = load_checkpoint(path)
        except DamagedCheckpoint:
            refused += 1
        else:
            assert repr((found.step, found.facts)) == repr((whole.step, whole.facts))
            assert found.arrays.keys() == whole.arrays.keys()
            for name, array in whole.arrays.items():
                assert found.arrays[name].tobytes() == array.tobytes()
        changed.write_bytes(content)
    assert refused > 500  # what is left were white space, other escapes, and the same values
    assert load_checkpoint(path).step == 20


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "20", '"step"', "[" * 100_000, '{"a":' * 100_000, "\ufffe"),
        *("1" * 10_000, '{"step": 20, "sha256": [], "facts": NaN}'),
    ],
)
def test_a_description_of_any_other_form_is_damaged(tmp_path, text):
    path = save_checkpoint(tmp_path, 20, variables(), {})
    (path / checkpoints.DESCRIPTION).write_text(text)
    with pytest.raises(DamagedCheckpoint, match="step-00000020"):
        load_checkpoint(path)


def test_a_checkpoint_under_another_step_s_name_is_damaged(tmp_path):
    path = save_checkpoint(tmp_path, 20, variables(), {})
    for name in ("step-00000021", "step-20", "step-abc"):
        path = path.rename(tmp_path / name)
        with pytest.raises(DamagedCheckpoint, match=r"`step` is 20, and its folder's name says"):
            load_checkpoint(path)


def as_once_written(path):
    """Gives a checkpoint the hash over its arrays alone that older versions wrote."""
    description = json.loads((path / checkpoints.DESCRIPTION).read_text())
    description["sha256"] = hashlib.sha256((path / checkpoints.ARRAYS).read_bytes()).hexdigest()
    (path / checkpoints.DESCRIPTION).write_text(json.dumps(description))


def test_a_checkpoint_with_the_hash_of_an_older_version_is_read(tmp_path):
    path = save_checkpoint(tmp_path, 20, variables(1.5), FACTS)
    as_once_written(path)
    found = load_checkpoint(path)
    assert (found.step, found.facts) == (20, FACTS)
    content = (path / checkpoints.ARRAYS).read_bytes()
    (path / checkpoints.ARRAYS).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DamagedCheckpoint, match="SHA-256"):
        load_checkpoint(path)


@pytest.mark.parametrize("is_file", [True, False])
@pytest.mark.parametrize(
    ("name", "is_seen"),
    [
        *(("step-00000099", True), ("step-00000099.replaced", True), ("step-123456789", True)),
        *(("step-00000002.writing", False), ("step-00000001.replaced", False)),
        *(("step-abc", False), ("step-99", False), ("step-000000099", False), ("notes", False)),
        ("step-00000099.old", False),
    ],
)
def test_what_else_is_named_like_a_checkpoint(tmp_path, name, is_seen, is_file):
    """One by a checkpoint's name is damaged; what has another name is nobody's but the user's."""
    save_checkpoint(tmp_path, 1, variables(1.0), {})
    other = tmp_path / name
    if is_file:
        other.write_text("a text")
    else:
        other.mkdir()
        (other / "notes.txt").write_text("a text")
    found, messages = latest_checkpoint(tmp_path)
    assert found.step == 1
    assert [name in message for message in messages] == [True] * is_seen
    save_checkpoint(tmp_path, 2, variables(2.0), {})
    save_checkpoint(tmp_path, 99, variables(99.0), {})
    found, messages = latest_checkpoint(tmp_path)
    assert (found.step, messages) == (99, [])
    is_ours = is_seen or name.endswith((".writing", ".replaced"))
    kept = {"step-00000002", "step-00000099"} | (set() if is_ours else {name})
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_arrays_that_need_pickle_are_refused(tmp_path):
    path = save_checkpoint(tmp_path, 1, variables(), {})
    with open(path / checkpoints.ARRAYS, "wb") as file:
        np.savez(file, evil=np.array([object()], dtype=object))
    as_once_written(path)
    with pytest.raises(DamagedCheckpoint):
        load_checkpoint(path)


def test_the_hash_of_weights_is_that_of_their_bytes():
    weights = [keras.Variable([[1.0, 2.0]]), keras.Variable([3.0])]
    bytes_in_order = np.array([1.0, 2.0, 3.0], "float32").tobytes()
    assert weights_sha256(weights) == hashlib.sha256(bytes_in_order).hexdigest()

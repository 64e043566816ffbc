"""Checkpoints that a kill at any moment cannot spoil, and the state that goes into them."""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.run.folder import folder_to_disk

KEPT = 2
ARRAYS = "variables.npz"
DESCRIPTION = "checkpoint.json"
WRITING, REPLACED = ".writing", ".replaced"  # unfinished, and about to be removed
_NAME = re.compile(rf"step-([0-9]{{8}}|[1-9][0-9]{{8,}})({WRITING}|{REPLACED})?")


@dataclasses.dataclass
class State:
    """What changes during a run, and goes into its checkpoints beside the variables."""

    step: int = 0
    evaluated: int = 0  # the step when the test split was last measured
    seconds: float = 0.0  # of training, and of building the graph; not of evaluations and saves
    steady_seconds: float = 0.0  # of the calls that did not build the graph
    steps_of_steady_seconds: int = 0
    best_accuracy: float = 0.0
    best_step: int = 0
    loss_sum: float = 0.0  # over the examples since the last evaluation
    correct: int = 0
    examples: int = 0
    skipped: int = 0  # images, over the whole run, that replaced one that could not be read

    @classmethod
    def from_values(cls, values: Any) -> "State":
        """Returns the state of a checkpoint's JSON values; raises `ValueError` if it is none."""
        fields = {field.name: field.type for field in dataclasses.fields(cls)}

        def is_allowed(name, value):
            return type(value) in (int, fields[name]) and 0 <= value < math.inf

        has_all = isinstance(values, dict) and values.keys() == fields.keys()
        if not has_all or not all(is_allowed(*each) for each in values.items()):
            raise ValueError(
                f"A state must have the fields {', '.join(fields)}, each a number from 0 on, and "
                f"whole if it counts. Received: {values!r}"
            )
        state = cls(**values)
        if max(state.evaluated, state.best_step) > state.step or state.best_accuracy > 1:
            raise ValueError(f"A state's numbers must agree. Received: {values!r}")
        return state

    @property
    def steps_per_second(self) -> float:
        """The pace of training: that of calls which build no graph, if there was one."""
        if self.steps_of_steady_seconds:
            return self.steps_of_steady_seconds / self.steady_seconds
        return self.step / self.seconds


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint."""

    path: Path
    step: int
    facts: dict[str, Any]  # what was saved beside the variables, as plain JSON values
    arrays: dict[str, np.ndarray]  # the variables' values by name


class DamagedCheckpoint(ValueError):
    """A checkpoint whose files are missing or differ from what was written."""


def check_facts(checkpoint: Checkpoint) -> None:
    """Raises `ValueError` unless the facts of a checkpoint are those that a run saves."""
    facts = checkpoint.facts
    if State.from_values(facts.get("state")).step != checkpoint.step:
        raise ValueError(f"its state is that of step {facts['state']['step']}")
    kinds = {"environment": dict, "environment_changes": list, "data": list}
    for name, kind in kinds.items():
        if not isinstance(facts.get(name), kind):
            raise ValueError(f"its `{name}` is {facts.get(name)!r}")
    for line in facts["environment_changes"]:
        if not isinstance(line, str):
            raise ValueError(f"its `environment_changes` hold {line!r}")


def save_checkpoint(
    folder: Path, step: int, variables: dict[str, Any], facts: dict[str, Any], keep: int = 0
) -> Path:
    """Saves variables and facts as a step's checkpoint; removes all but the last two and `keep`."""
    target, beside, replaced = _paths(folder, step)
    arrays = {name: np.asarray(variable) for name, variable in variables.items()}
    try:
        folder.mkdir(exist_ok=True)
        _remove(beside)
        beside.mkdir()
        with open(beside / ARRAYS, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            _to_disk(file)
        digest = _sha256(beside / ARRAYS, step, facts)
        description = {"step": step, "sha256": digest, "facts": facts}
        with open(beside / DESCRIPTION, "w", encoding="utf-8") as file:
            json.dump(description, file, indent=2, allow_nan=False)
            _to_disk(file)
        folder_to_disk(beside)
        if target.exists():  # saved twice at the same step, or damaged: still there until renamed
            _remove(replaced)
            target.replace(replaced)
        beside.replace(target)
        folder_to_disk(folder)
    except OSError as error:
        _remove(beside)
        raise OSError(
            error.errno,
            f"The checkpoint of step {step} could not be written: {error.strerror or error}"
            + (". The one before it stays" if has_checkpoints(folder) else ""),
            str(target),
        ) from error
    _remove_all_but_the_last(folder, target, keep)
    return target


def remove_checkpoint(folder: Path, step: int) -> None:
    """Removes the checkpoint of a step; a kill leaves the whole of it or nothing."""
    target, beside, replaced = _paths(folder, step)
    _remove(replaced)
    _remove(beside)
    if target.exists():
        target.replace(beside)
        folder_to_disk(folder)
        _remove(beside)


def step_before(folder: Path, step: int) -> int:
    """Returns the step of the last checkpoint before a step's; 0 if there is none."""
    steps = (int(path.stem.removeprefix("step-")) for path in _checkpoints(folder))
    return max((earlier for earlier in steps if earlier < step), default=0)


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint, and checks its hash and that it is the one its folder is named for."""
    try:
        for part in (DESCRIPTION, ARRAYS):  # reading a pipe or a device may not end
            if not (path / part).is_file():
                raise ValueError(f"{part} must be there, as a regular file")
        description = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
        step, facts, expected = (description[name] for name in ("step", "facts", "sha256"))
        name = _NAME.fullmatch(path.name)
        if type(step) is not int or not isinstance(facts, dict):
            raise ValueError(f"`step` must be an integer and `facts` an object in {DESCRIPTION}")
        if name is None or int(name[1]) != step:
            raise ValueError(f"`step` is {step}, and its folder's name says otherwise")
        whole = _sha256(path / ARRAYS, step, facts)
        # Checkpoints were once written with a hash over the arrays alone.
        if expected not in (whole, _sha256(path / ARRAYS)):
            raise ValueError(f"the SHA-256 of its contents is {whole}, not {expected!r}")
        with np.load(path / ARRAYS, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (
        *(OSError, EOFError, ValueError, KeyError, TypeError, RecursionError),
        zipfile.BadZipFile,
    ) as error:
        raise DamagedCheckpoint(f"The checkpoint {path} is damaged: {error!r}") from error
    return Checkpoint(path, step, facts, arrays)


def latest_checkpoint(
    folder: Path, check: Callable[[Checkpoint], object] = lambda checkpoint: None
) -> tuple[Checkpoint | None, list[str]]:
    """Reads the latest checkpoint that is whole."""
    messages: list[str] = []
    for path in reversed(_checkpoints(folder)):
        try:
            checkpoint = load_checkpoint(path)
            check(checkpoint)
        except DamagedCheckpoint as error:
            messages.append(str(error))
        except ValueError as error:
            messages.append(f"The checkpoint {path} is damaged: {error}")
        else:
            return checkpoint, messages
    if messages:
        raise DamagedCheckpoint(
            "No checkpoint is left whole: delete the run's folder to start a new run. "
            + " ".join(messages)
        )
    return None, messages


def checkpoint_of(folder: Path, step: int) -> Checkpoint:
    """Reads the checkpoint of a step."""
    return load_checkpoint(_paths(folder, step)[0])


def has_checkpoints(folder: Path) -> bool:
    """Returns whether `latest_checkpoint` has one to give, or to refuse as damaged."""
    return bool(_checkpoints(folder))


def restore(variables: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Assigns a checkpoint's arrays to the variables of the same names."""
    for name in [*variables, *checkpoint.arrays]:
        wanted = tuple(variables[name].shape) if name in variables else None
        present = checkpoint.arrays[name].shape if name in checkpoint.arrays else None
        if wanted != present:
            raise ValueError(
                f"The checkpoint {checkpoint.path} must hold this run's variables. The first that "
                f"differs is {name!r}: of shape {wanted} in the run, {present} in the checkpoint"
            )
    for name, variable in variables.items():
        variable.assign(checkpoint.arrays[name])


def weights_sha256(variables: Sequence[keras.Variable]) -> str:
    """Returns the SHA-256 over the bytes of all variables, in the order given."""
    digest = hashlib.sha256()
    for variable in variables:
        digest.update(np.ascontiguousarray(np.asarray(variable)).tobytes())
    return digest.hexdigest()


def _paths(folder, step):
    """Returns the path of a checkpoint, and those while it is written and while replaced."""
    name = f"step-{step:08d}"
    return folder / name, folder / f"{name}{WRITING}", folder / f"{name}{REPLACED}"


def _checkpoints(folder):
    """Returns the paths with a checkpoint's name, from the earliest to the latest."""
    if not folder.is_dir():
        return []
    named = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    steps = {path: int(name[1]) for name, path in named if name and name[2] != WRITING}
    return sorted(steps, key=lambda path: (steps[path], path.suffix != REPLACED))


def _remove_all_but_the_last(folder, latest, keep):
    """Removes all but the last two up to the latest, which was just written, and that to keep."""
    # Later ones were damaged, so that the run went back.
    written = [path for path in _checkpoints(folder) if path.suffix != REPLACED]
    if latest not in written:  # another folder has replaced this one
        return
    kept = [*written[: written.index(latest) + 1][-KEPT:], _paths(folder, keep)[0]]
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name) and path not in kept:
            _remove(path)


def _remove(path):
    """Removes a folder or a file, if it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _sha256(path, *description):
    """Returns the hash over a description, if there is one, and a file."""
    start = json.dumps(description, sort_keys=True, allow_nan=False) if description else ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.sha256(start.encode())).hexdigest()


def _to_disk(file):
    file.flush()
    os.fsync(file.fileno())

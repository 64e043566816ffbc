"""Checkpoints that a kill at any moment cannot spoil."""

import contextlib
import dataclasses
import hashlib
import json
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


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint.

    Attributes:
        path: Its folder.
        step: Number of steps done.
        facts: What was saved beside the variables; plain JSON values.
        arrays: The variables' values by name.
    """

    path: Path
    step: int
    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


class DamagedCheckpoint(ValueError):
    """A checkpoint whose files are missing or are not those that were written."""


def save_checkpoint(
    folder: Path, step: int, variables: dict[str, Any], facts: dict[str, Any]
) -> Path:
    """Saves variables and facts as the checkpoint of a step, and removes all but the last two."""
    target, beside, replaced = _paths(folder, step)
    arrays = {name: np.asarray(variable) for name, variable in variables.items()}
    try:
        folder.mkdir(exist_ok=True)
        _remove(beside)
        beside.mkdir()
        with open(beside / ARRAYS, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            _to_disk(file)
        digest = _sha256(beside / ARRAYS, _canonical(step, facts))
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
    _remove_all_but_the_last(folder, target)
    return target


def remove_checkpoint(folder: Path, step: int) -> None:
    """Removes the checkpoint of a step; killed meanwhile, it leaves the whole of it or nothing."""
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
        whole = _sha256(path / ARRAYS, _canonical(step, facts))
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
            "No checkpoint is left whole: delete the run's folder to begin anew. "
            + " ".join(messages)
        )
    return None, messages


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
    """Returns where a checkpoint stands, and where it does while written and while replaced."""
    name = f"step-{step:08d}"
    return folder / name, folder / f"{name}{WRITING}", folder / f"{name}{REPLACED}"


def _checkpoints(folder):
    """Returns what is named as a checkpoint, from the earliest to the latest."""
    if not folder.is_dir():
        return []
    named = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    steps = {path: int(name[1]) for name, path in named if name and name[2] != WRITING}
    return sorted(steps, key=lambda path: (steps[path], path.suffix != REPLACED))


def _remove_all_but_the_last(folder, latest):
    """Removes what is not among the last two up to the latest, which has just been written.

    Later ones are of a run that went back because they were damaged. What cannot be removed now
    will be tried again after the next checkpoint.
    """
    written = [path for path in _checkpoints(folder) if path.suffix != REPLACED]
    if latest not in written:  # another folder has come in this one's place
        return
    kept = written[: written.index(latest) + 1][-KEPT:]
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name) and path not in kept:
            _remove(path)


def _remove(path):
    """Removes a folder, or a file that stands in its place, if it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _canonical(step, facts):
    """Returns the bytes that stand for a description in the hash."""
    return json.dumps([step, facts], sort_keys=True, allow_nan=False).encode()


def _sha256(path, beginning=b""):
    """Returns the hash over some bytes and a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.sha256(beginning)).hexdigest()


def _to_disk(file):
    file.flush()
    os.fsync(file.fileno())
